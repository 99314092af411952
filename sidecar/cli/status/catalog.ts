import { labelOf, writeAddress } from '../../config/codecs/address.js';
import { present } from '../../config/present.js';
import { MODELS_KEY } from '../../discovery/consul/registered-models.js';
import { OBSERVE_KEY } from '../../discovery/consul/registration/definition.js';
import type { AskedAgent } from '../consul/asked-agent.js';

/** An instance as Consul's catalogue has it. */
export interface CatalogInstance {
  readonly service: string;
  readonly node: string;
  /** Of the program that registered it; empty: it does not say. */
  readonly version: string;
  readonly address: string;
  readonly status: 'passing' | 'warning' | 'critical';
  /** `NAME:VERSION,VERSION` each, as it announces them. */
  readonly models: readonly string[];
  /** `HOST:PORT` where its metrics are; absent: it has no `observe`. */
  readonly observe?: string;
  /** Outputs of the checks that do not pass. */
  readonly why: string;
}

/** Of one service; a bound for a catalogue that holds something else. */
const MAX_INSTANCES = 5_000;

/**
 * The instances that Outrider has registered (tag `outrider`), of all services and nodes of the datacenter, by their names. A proxy
 * of `consul.adopt` has no tag and is not listed. @throws AgentError
 */
export async function catalogInstances(agent: AskedAgent): Promise<Map<string, CatalogInstance>> {
  const services = (await agent.json('/catalog/services')) as Record<string, readonly string[]>;
  const ours = Object.entries(services).filter(
    ([name, tags]) => tags.includes('outrider') && !name.endsWith('-sidecar-proxy'),
  );
  const found = new Map<string, CatalogInstance>();
  for (const [service] of ours) {
    const path = `/health/service/${encodeURIComponent(service)}`;
    const entries = (await agent.json(path, { tag: 'outrider' })) as HealthEntry[];
    for (const entry of entries.slice(0, MAX_INSTANCES))
      found.set(entry.Service.ID, instanceOf(service, entry));
  }
  return found;
}

/** Where the sidecars of these services take calls from peers: the name of the instance by `HOST:PORT`. @throws AgentError */
export async function inboundAddresses(
  agent: AskedAgent,
  services: Iterable<string>,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const service of new Set(services)) {
    const entries = (await agent.json(`/health/connect/${encodeURIComponent(service)}`)) as HealthEntry[];
    for (const { Node, Service } of entries.slice(0, MAX_INSTANCES)) {
      const instance = Service.Proxy?.DestinationServiceID ?? '';
      if (instance === '') continue;
      const host = Service.Address || Node.Address;
      found.set(labelOf({ kind: 'tcp', host, port: Service.Port }), instance);
    }
  }
  return found;
}

/** An instance as `/health/service/NAME` lists it; only what is read of it. */
interface HealthEntry {
  readonly Node: { readonly Node: string; readonly Address: string };
  readonly Service: {
    readonly ID: string;
    readonly Address: string;
    readonly Port: number;
    readonly Meta: Readonly<Record<string, string>> | null;
    /** Of a proxy only. */
    readonly Proxy?: { readonly DestinationServiceID?: string };
  };
  readonly Checks: readonly { readonly Status: string; readonly Output: string; readonly Name: string }[];
}

/** An instance with what its checks say: critical beats warning, as for Consul's own queries. */
function instanceOf(service: string, entry: HealthEntry): CatalogInstance {
  const { Node, Service, Checks } = entry;
  const bad = Checks.filter(({ Status }) => Status !== 'passing');
  const isCritical = bad.some(({ Status }) => Status !== 'warning');
  const models = Service.Meta?.[MODELS_KEY] ?? '';
  return {
    service,
    node: Node.Node,
    version: Service.Meta?.['outrider'] ?? '',
    address: `${Service.Address || Node.Address}:${Service.Port}`,
    status: bad.length === 0 ? 'passing' : isCritical ? 'critical' : 'warning',
    models: models.split(' ').filter((each) => each !== ''),
    ...present('observe', observeOf(entry)),
    why: bad.map(({ Name, Output }) => Output.trim().split('\n', 1)[0] || Name).join('; '),
  };
}

/** A port alone stands for every address of its machine; the registration's own is the one that peers reach. */
function observeOf({ Node, Service }: HealthEntry): string | undefined {
  const said = Service.Meta?.[OBSERVE_KEY];
  if (said === undefined || !/^\d{1,5}$/.test(said)) return said;
  return writeAddress({ kind: 'tcp', host: Service.Address || Node.Address, port: Number(said) });
}
