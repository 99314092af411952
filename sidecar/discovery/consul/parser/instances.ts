import { isIP } from 'node:net';
import { present } from '../../../config/present.js';
import { nameOfPlace } from '../../../core/balancing/locality.js';
import type { Health } from '../../../core/discovery/eviction-guard.js';
import { jsonElements } from './array-scanner.js';
import { type AggregateStatus, aggregateStatus } from './health-status.js';
import { decodeJson, type Json, listIn, objectIn, oneLine, quote, textIn } from './json-fields.js';

/** One instance of a service that calls can go to. */
export interface Instance {
  /** `host:port` or `[ipv6]:port`, in lower case: its address is what makes an instance. */
  readonly key: string;
  /** Consul's id of the service instance, also where a proxy speaks for it; unique on its node only. */
  readonly id: string;
  readonly node: string;
  /** A host name or an IP address without brackets. */
  readonly address: string;
  readonly port: number;
  /** Consul's weight for its status, 0 to 65 535. */
  readonly weight: number;
  readonly status: Health;
  /** The check that says so and its first line of output; empty while passing. */
  readonly why: string;
  /** An operator has put it or its node into maintenance. Absent: not. */
  readonly isMaintained?: true;
  /** The service that its certificate must name: of a proxy, its destination. */
  readonly service: string;
  readonly datacenter: string;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  /** Where it is, as `nameOfPlace` writes it. Absent: Consul does not say it. */
  readonly place?: string;
}

/** The instances of an answer, and what was left out of it. */
export interface InstanceList {
  readonly instances: readonly Instance[];
  /** Entries that were left out. */
  readonly skipped: number;
  /** The first of them, and what is wrong with it. */
  readonly problem: string | undefined;
}

/** How an answer is read. */
export interface ReadOptions {
  /** Addresses for callers in another datacenter (`TaggedAddresses.wan`), where there are such. */
  readonly wan: boolean;
  /** The metadata keys that name region and zone. Absent: `region` and `zone`. */
  readonly placeKeys?: PlaceKeys | undefined;
}

/** Metadata keys of a service or a node. */
export interface PlaceKeys {
  readonly region: string;
  readonly zone: string;
}

/** More are left out; a bound on what one answer can make us hold. */
export const MAX_INSTANCES = 50_000;
/** An entry is about 2 kB; one of this size is an attack or an accident. */
const MAX_ENTRY_BYTES = 256 * 1024;
const MAX_NAME = 512;
const MAX_TAGS = 128;
const MAX_META = 128;
const MAX_WEIGHT = 65_535;
const HOST = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i;

/**
 * The instances of a service as Consul's health endpoints list them: `/v1/health/connect/SERVICE` (its proxies and natives)
 * and `/v1/health/service/SERVICE`. No field is trusted to be of the right type: an entry that makes no sense is left out
 * and the first such is described. @throws Error when the answer is no JSON array.
 */
export function readInstances(body: Uint8Array, options: ReadOptions): InstanceList {
  const reader = new InstanceReader(options);
  for (const { bytes, text } of jsonElements(body, MAX_ENTRY_BYTES)) reader.add(text, bytes);
  return reader.end();
}

/** Collects entries one by one, without those that make no sense, each address once. */
class InstanceReader {
  private readonly byKey = new Map<string, Instance>();
  private skipped = 0;
  private problem: string | undefined;

  constructor(private readonly options: ReadOptions) {}

  /** Throws an Error when `text` is not JSON. `undefined`: it was too large to look at. */
  add(text: string | undefined, bytes: number): void {
    if (text === undefined)
      return this.skip(`an entry has ${bytes} bytes; expected at most ${MAX_ENTRY_BYTES}`);
    const found = readEntry(decodeJson(text, 'an entry is not JSON') as Json, this.options);
    if (typeof found === 'string') this.skip(found);
    else this.admit(found);
  }

  /** The instances so far, in the order of the answer. */
  end(): InstanceList {
    return { instances: [...this.byKey.values()], skipped: this.skipped, problem: this.problem };
  }

  private admit(found: Instance): void {
    const known = this.byKey.get(found.key);
    if (known === undefined && this.byKey.size >= MAX_INSTANCES)
      return this.skip(`found more than ${MAX_INSTANCES} instances; the others are left out`);
    if (known !== undefined) {
      this.skip(
        `${titleOf(found)} has the address ${found.key} of ${titleOf(known)}; the healthier one counts`,
      );
      if (RANK[found.status] >= RANK[known.status]) return;
    }
    this.byKey.set(found.key, found);
  }

  private skip(problem: string): void {
    this.skipped += 1;
    this.problem ??= problem;
  }
}

/** Of two instances with one address the one of the lower rank counts. */
const RANK: Readonly<Record<Health, number>> = { passing: 0, warning: 1, critical: 2 };

/** An instance as messages name it. */
function titleOf({ id, node }: { readonly id: string; readonly node: string }): string {
  return `instance ${quote(id)} on node ${quote(node)}`;
}

/** An instance, or one sentence about what is wrong. */
function readEntry(entry: Json, options: ReadOptions): Instance | string {
  const node = objectIn(entry, 'Node');
  const service = objectIn(entry, 'Service');
  if (node === undefined || service === undefined) {
    return 'an entry has no Node or no Service; expected both, as objects';
  }
  const name = destinationOf(service);
  const id = ownIdOf(service);
  const title = titleOf({ id, node: textIn(node, 'Node') });
  if (id === '' || id.length > MAX_NAME) return `${title}: found an ID of ${id.length} characters`;
  if (name === '' || name.length > MAX_NAME) {
    return `${title}: found a service name of ${name.length} characters; expected 1 to ${MAX_NAME}`;
  }
  const place = placeOf(node, service, options);
  if (!(isIP(place.host) !== 0 || HOST.test(place.host))) {
    return `${title}: found the address ${quote(place.host)}; expected an IP address or a host name`;
  }
  if (!Number.isInteger(place.port) || place.port < 1 || place.port > 65_535) {
    return `${title}: found the port ${shown(place.said)}; expected 1 to 65535`;
  }
  const judgement = aggregateStatus(listIn(entry, 'Checks'));
  return {
    ...build(node, service, place, judgement, name),
    ...present('place', localityOf(node, service, options)),
  };
}

/** The instance of an entry whose address and names are valid; what is too long in its metadata is left out. */
function build(node: Json, service: Json, place: Place, judgement: AggregateStatus, name: string): Instance {
  const { host, port } = place;
  return {
    key: `${isIP(host) === 6 ? `[${host}]` : host}:${port}`.toLowerCase(),
    id: idOf(service),
    node: textIn(node, 'Node').slice(0, MAX_NAME),
    address: host,
    port,
    weight: weightOf(service, judgement.status),
    status: judgement.status,
    why: judgement.why,
    ...(judgement.isMaintained ? { isMaintained: true } : {}),
    service: name,
    datacenter: textIn(node, 'Datacenter').slice(0, MAX_NAME),
    tags: listIn(service, 'Tags')
      .filter((tag): tag is string => typeof tag === 'string' && tag.length <= MAX_NAME)
      .slice(0, MAX_TAGS),
    meta: metaOf(service),
  };
}

/**
 * Where an instance is: what is said of the service, else of its node; of each its `Locality` (Consul 1.17 and later), else its
 * metadata. Undefined: neither says it.
 */
export function localityOf(
  node: unknown,
  service: unknown,
  { placeKeys = { region: 'region', zone: 'zone' } }: Pick<ReadOptions, 'placeKeys'>,
): string | undefined {
  const datacenter = textIn(node, 'Datacenter');
  for (const at of [service, node]) {
    const said = objectIn(at, 'Locality');
    const meta = objectIn(at, 'Meta');
    const name =
      nameOfPlace({ region: textIn(said, 'Region'), zone: textIn(said, 'Zone') }, datacenter) ||
      nameOfPlace({ region: textIn(meta, placeKeys.region), zone: textIn(meta, placeKeys.zone) }, datacenter);
    if (name !== '') return name;
  }
  return undefined;
}

interface Place {
  readonly host: string;
  readonly port: number;
  /** The port as it stands there. */
  readonly said: unknown;
}

/** As Consul's BestAddress: the service's (for other datacenters its wan one, where there is one), else its node's. */
function placeOf(node: Json, service: Json, { wan }: ReadOptions): Place {
  const far = wan ? objectIn(objectIn(service, 'TaggedAddresses'), 'wan') : undefined;
  const farPort = far?.['Port'];
  const said = numberOf(farPort) !== 0 && farPort !== undefined ? farPort : service['Port'];
  const port = numberOf(said);
  const own = far === undefined ? textIn(service, 'Address') : textIn(far, 'Address');
  if (own !== '') return { host: own, port, said };
  const nodeFar = wan ? textIn(objectIn(node, 'TaggedAddresses'), 'wan') : '';
  return { host: nodeFar || textIn(node, 'Address'), port, said };
}

/** A value of an answer in a message, at most 80 characters. */
function shown(value: unknown): string {
  return oneLine(JSON.stringify(value) ?? 'nothing', 80);
}

/** The service that a certificate must name: of a proxy, its destination. */
function destinationOf(service: Json): string {
  return proxied(service, 'DestinationServiceName') || textIn(service, 'Service');
}

/** The id of the service instance: of a proxy, the one of its destination where it names one. */
function idOf(service: Json): string {
  const id = proxied(service, 'DestinationServiceID');
  return id === '' || id.length > MAX_NAME ? ownIdOf(service) : id;
}

/** The id of the entry itself; Consul takes the name for an absent one. */
function ownIdOf(service: Json): string {
  return textIn(service, 'ID') || textIn(service, 'Service');
}

/** A field of the service behind a proxy; empty for everything else. */
function proxied(service: Json, field: 'DestinationServiceName' | 'DestinationServiceID'): string {
  if (textIn(service, 'Kind') !== 'connect-proxy') return '';
  return textIn(objectIn(service, 'Proxy'), field);
}

/** Critical instances are used when there are no others; then they share as if they passed. */
function weightOf(service: Json, status: Health): number {
  const weights = objectIn(service, 'Weights');
  const weight = numberOf(weights?.[status === 'warning' ? 'Warning' : 'Passing'], 1);
  return Math.min(Math.max(0, weight), MAX_WEIGHT);
}

/** At most 128 entries of at most 512 characters; others are left out. */
function metaOf(service: Json): Readonly<Record<string, string>> {
  const meta: Record<string, string> = {};
  for (const [name, value] of Object.entries(objectIn(service, 'Meta') ?? {}).slice(0, MAX_META)) {
    if (typeof value !== 'string' || name.length > MAX_NAME || value.length > MAX_NAME) continue;
    // A plain assignment would change the prototype where the name is `__proto__`.
    Object.defineProperty(meta, name, { value, enumerable: true, writable: true, configurable: true });
  }
  return meta;
}

/** A finite number; `otherwise` for everything else. */
function numberOf(value: unknown, otherwise = Number.NaN): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
}
