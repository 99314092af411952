/**
 * What the EndpointSlices of a Service say (discovery.k8s.io/v1): which addresses are its endpoints, and in which state each of them is.
 */

/** Where an endpoint stands. `draining`: its pod ends and still answers. `ended`: its pod ends and answers no more. */
export type EndpointCondition = 'ready' | 'unready' | 'draining' | 'ended';

/** One endpoint of a slice. */
export interface SliceEndpoint {
  /** The first one: the others of an endpoint are the same (API: "fungible"). */
  readonly host: string;
  /** Name of its pod; empty: it has none. */
  readonly pod: string;
  /** Of its pod; empty: it has none. */
  readonly uid: string;
  /** Empty: not said. */
  readonly zone: string;
  readonly condition: EndpointCondition;
}

/** A port of a slice, at which each of its endpoints listens. */
export interface SlicePort {
  /** Empty: the Service gives it none. */
  readonly name: string;
  readonly port: number;
}

export interface EndpointSlice {
  readonly name: string;
  readonly family: 'ipv4' | 'ipv6' | 'fqdn';
  /** Those of TCP. */
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly SliceEndpoint[];
}

/** Which port and addresses of a Service are the endpoints of an upstream. */
export interface SliceSelection {
  /** A name; a number is the port at every address, whether a slice names it or not; undefined: the only one. */
  readonly port?: string | number | undefined;
  readonly family: 'any' | 'ipv4' | 'ipv6';
}

/** An endpoint of a Service. */
export interface ServiceEndpoint extends SliceEndpoint {
  readonly port: number;
}

/** What the slices of a Service come to. */
export interface ServiceEndpoints {
  /** One for each pod, and one for each address; in the order of slices. */
  readonly endpoints: readonly ServiceEndpoint[];
  /** Why none of them is ready, or why slices count for nothing; undefined: nothing is wrong. */
  readonly problem: string | undefined;
  /**
   * Endpoints that are listed, and that the selection leaves out: there are pods, and nothing is known of them. Where others are selected,
   * only pods that have no other endpoint and do not end.
   */
  readonly unselected: readonly SliceEndpoint[];
}

/** The API has at most 1,000 endpoints and 100 ports in a slice. */
const MAX_ENDPOINTS = 1_000;
const MAX_PORTS = 100;
/** Host names and IP addresses; what is longer is neither. */
const HOST = /^[A-Za-z0-9:.-]{1,253}$/;
const MAX_TEXT = 253;
const FAMILIES: Readonly<Record<string, EndpointSlice['family']>> = {
  IPv4: 'ipv4',
  IPv6: 'ipv6',
  FQDN: 'fqdn',
};

type Fields = Readonly<Record<string, unknown>>;

/** A slice as the API writes it in JSON; a text says why it is none. Endpoints without a usable address are left out. */
export function readSlice(value: unknown): EndpointSlice | string {
  const { metadata, addressType, endpoints, ports } = fieldsOf(value);
  const name = textOf(fieldsOf(metadata)['name']);
  if (name === '') return 'found an EndpointSlice without a name';
  const family = FAMILIES[String(addressType)];
  if (family === undefined)
    return `found the EndpointSlice ${name} of the type ${shown(addressType)}; expected IPv4, IPv6 or FQDN`;
  return {
    name,
    family,
    ports: listOf(ports, MAX_PORTS).flatMap(readPort),
    endpoints: listOf(endpoints, MAX_ENDPOINTS).flatMap(readEndpoint),
  };
}

function readPort(value: unknown): SlicePort[] {
  const { name, port, protocol = 'TCP' } = fieldsOf(value);
  if (protocol !== 'TCP' || !isPort(port)) return [];
  return [{ name: textOf(name), port }];
}

function readEndpoint(value: unknown): SliceEndpoint[] {
  const { addresses, conditions, targetRef, zone } = fieldsOf(value);
  const [host] = listOf(addresses, 1);
  if (typeof host !== 'string' || !HOST.test(host)) return [];
  const target = fieldsOf(targetRef);
  const isPod = target['kind'] === 'Pod';
  return [
    {
      host,
      pod: isPod ? textOf(target['name']) : '',
      uid: isPod ? textOf(target['uid']) : '',
      zone: textOf(zone),
      condition: conditionOf(fieldsOf(conditions)),
    },
  ];
}

/**
 * What is not said is as with kube-proxy: ready and serving, and not terminating. A pod that ends is never ready, whatever
 * `publishNotReadyAddresses` of its Service makes of that.
 */
function conditionOf({ ready, serving, terminating }: Fields): EndpointCondition {
  if (terminating === true) return serving === false ? 'ended' : 'draining';
  return ready === false ? 'unready' : 'ready';
}

/** Which of two entries for one pod, or one address, counts: the lower. A slice that another one replaces lists its pods for a while. */
const RANK: Readonly<Record<EndpointCondition, number>> = { ready: 0, unready: 1, draining: 2, ended: 3 };

/** The endpoints of all slices of a Service together. */
export function mergeSlices(
  slices: Iterable<EndpointSlice>,
  { port, family }: SliceSelection,
): ServiceEndpoints {
  const seenPorts = new Map<string, SlicePort>();
  const byPod = new Map<string, ServiceEndpoint>();
  const names: string[] = [];
  const leftOut: SliceEndpoint[] = [];
  let listed = 0;
  let withPort = 0;
  for (const slice of slices) {
    listed += slice.endpoints.length;
    for (const each of slice.ports) seenPorts.set(`${each.name} ${each.port}`, each);
    if (slice.family === 'fqdn') names.push(slice.name);
    const isOfFamily = slice.family !== 'fqdn' && (family === 'any' || slice.family === family);
    const number = isOfFamily ? portOf(slice.ports, port) : undefined;
    if (number === undefined) {
      leftOut.push(...slice.endpoints);
      continue;
    }
    withPort += slice.endpoints.length;
    for (const each of slice.endpoints) addTo(byPod, { ...each, port: number });
  }
  const byAddress = new Map<string, ServiceEndpoint>();
  for (const each of byPod.values()) {
    const key = `${each.host} ${each.port}`;
    const known = byAddress.get(key);
    // An address goes to another pod once its own has ended.
    if (known === undefined || RANK[each.condition] < RANK[known.condition]) byAddress.set(key, each);
  }
  const endpoints = [...byAddress.values()];
  const counts = { listed, withPort, names, ports: [...seenPorts.values()] };
  const problem = problemOf(endpoints, { port, family }, counts);
  return { endpoints, problem, unselected: endpoints.length === 0 ? leftOut : podsWithout(byPod, leftOut) };
}

/** One endpoint for each pod of `leftOut` that has none in `byPod`. Of an endpoint without a pod nobody can tell whose other address it is. */
function podsWithout(
  byPod: ReadonlyMap<string, ServiceEndpoint>,
  leftOut: readonly SliceEndpoint[],
): readonly SliceEndpoint[] {
  const found = new Map<string, SliceEndpoint>();
  for (const each of leftOut) {
    const isReplica = each.condition === 'ready' || each.condition === 'unready';
    if (isReplica && each.uid !== '' && !byPod.has(each.uid)) found.set(each.uid, each);
  }
  return [...found.values()];
}

/** A pod counts once: its IPv4 address where it has two, and that it ends where one slice says so, which cannot be taken back. */
function addTo(byPod: Map<string, ServiceEndpoint>, found: ServiceEndpoint): void {
  const key = found.uid === '' ? `${found.host} ${found.port}` : found.uid;
  const known = byPod.get(key);
  if (known === undefined) {
    byPod.set(key, found);
    return;
  }
  const first = isIpv6(known) && !isIpv6(found) ? found : known;
  byPod.set(key, { ...first, condition: conditionOfBoth(known, found) });
}

function conditionOfBoth(a: ServiceEndpoint, b: ServiceEndpoint): EndpointCondition {
  const [better, worse] =
    RANK[a.condition] <= RANK[b.condition] ? [a.condition, b.condition] : [b.condition, a.condition];
  return worse === 'draining' || worse === 'ended' ? worse : better;
}

function isIpv6({ host }: ServiceEndpoint): boolean {
  return host.includes(':');
}

function portOf(ports: readonly SlicePort[], wanted: SliceSelection['port']): number | undefined {
  if (typeof wanted === 'number') return wanted;
  if (wanted === undefined) return ports.length === 1 ? ports[0]!.port : undefined;
  return ports.find(({ name }) => name === wanted)?.port;
}

interface Counts {
  readonly listed: number;
  readonly withPort: number;
  /** Slices of host names. */
  readonly names: readonly string[];
  readonly ports: readonly SlicePort[];
}

function problemOf(
  endpoints: readonly ServiceEndpoint[],
  { port, family }: SliceSelection,
  { listed, withPort, names, ports }: Counts,
): string | undefined {
  if (endpoints.some(({ condition }) => condition === 'ready')) return undefined;
  if (listed === 0) return 'found no pod: no pod matches its selector, or it is scaled to 0';
  if (endpoints.length > 0) {
    const ending = endpoints.filter(({ condition }) => condition === 'draining' || condition === 'ended');
    const why = ending.length === 0 ? '' : `; ${ending.length} of them end`;
    return `found ${endpoints.length} pods, none of which is ready${why}`;
  }
  if (names.length > 0) return `found the EndpointSlice ${names[0]} of the type FQDN; expected IPv4 or IPv6`;
  if (withPort === 0 && typeof port !== 'number') {
    const found = ports.length === 0 ? 'no TCP port' : `the TCP ports ${ports.map(writePort).join(', ')}`;
    if (port === undefined) return `found ${found}; expected \`port\` to say which, by name or number`;
    if (!ports.some(({ name }) => name === port))
      return `found ${found}; expected one with the name "${port}"`;
  }
  return `found no address of the family ${family}; expected one, or \`family: any\``;
}

function writePort({ name, port }: SlicePort): string {
  return name === '' ? String(port) : `${name} (${port})`;
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536;
}

function listOf(value: unknown, max: number): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, max) : [];
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT) : '';
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `"${value.slice(0, 40)}"` : typeof value;
}
