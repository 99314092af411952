import type { Address, RegistrationConfig } from '../../../config/model.js';
import type { AgentService } from './agent-state.js';

/** The instance that is registered. Read anew each time, so that getters return what has changed since. */
export interface ServiceInstance {
  readonly service: string;
  readonly instance: string;
  /** The version of Outrider. */
  readonly version: string;
  /** Where peers call; absent where the sidecar only calls others. */
  readonly inbound?: Address | undefined;
  /** Where the model service listens. */
  readonly local?: Address | undefined;
  readonly upstreams: readonly InstanceUpstream[];
  readonly models: readonly { readonly name: string; readonly version: string }[];
  /**
   * Whether the model answers (health/model/model-health.ts): taken at its word, so it has to be steady already. `ok` with a
   * reason: of several models, some do, and the reason names those that do not.
   */
  model(): { readonly ok: boolean; readonly why: string };
  /** Why the sidecar cannot serve; empty: it can. Flapping is damped by the check. */
  sidecar(): readonly string[];
}

/** An upstream of an instance, as it is shown in Consul. */
export interface InstanceUpstream {
  readonly name: string;
  readonly service: string;
  readonly datacenter?: string | undefined;
  readonly listen?: Address | undefined;
}

/** A service as `/v1/agent/service/register` takes it. */
export interface ServiceDefinition {
  readonly ID: string;
  readonly Name: string;
  readonly Kind?: 'connect-proxy';
  /** Absent: the address of the agent's node. */
  readonly Address?: string;
  readonly Port?: number;
  readonly Tags: readonly string[];
  readonly Meta: Readonly<Record<string, string>>;
  readonly Weights: { readonly Passing: number; readonly Warning: number };
  readonly Proxy?: ProxyDefinition;
  readonly Checks: readonly CheckDefinition[];
}

/** The `Proxy` of a sidecar as the agent takes it. */
export interface ProxyDefinition {
  readonly DestinationServiceName: string;
  readonly DestinationServiceID: string;
  readonly LocalServiceAddress?: string;
  readonly LocalServicePort?: number;
  readonly Upstreams: readonly UpstreamDefinition[];
}

/** One upstream of a sidecar as the agent takes it. */
export interface UpstreamDefinition {
  readonly DestinationType: 'service';
  readonly DestinationName: string;
  readonly Datacenter?: string;
  readonly LocalBindAddress: string;
  readonly LocalBindPort: number;
}

/** `Status` counts only where the agent does not know the check yet: what it knows keeps its state. */
export interface CheckDefinition {
  readonly CheckID: string;
  readonly Name: string;
  readonly Status: CheckStatus;
  readonly Notes?: string;
  readonly TTL?: string;
  readonly AliasService?: string;
  readonly DeregisterCriticalServiceAfter?: string;
}

/** The states of a check in Consul. */
export type CheckStatus = 'passing' | 'warning' | 'critical';

/** The checks' states at this moment, with which a new check begins. */
export interface States {
  readonly service: CheckStatus;
  readonly proxy: CheckStatus;
}

/** What is registered for one instance. */
export interface Definitions {
  readonly service: ServiceDefinition;
  /** Absent where there is no TCP port that it could be registered with. */
  readonly proxy?: ServiceDefinition;
}

/** A check that was not refreshed for this long is critical. */
export const TTL_MS = 30_000;

/** Name and notes of a check, as Consul's UI shows them. */
interface CheckText {
  readonly name: string;
  readonly notes: string;
}

const MODEL: CheckText = {
  name: 'model',
  notes: 'Outrider: inferences are answered, or a probe while there are none',
};
const CALLER: CheckText = { name: 'caller', notes: 'Outrider: serves no model; as healthy as its sidecar' };
const SIDECAR: CheckText = { name: 'sidecar', notes: 'Outrider: the sidecar can take calls' };

/** Consul's bounds on metadata: entries, characters of a key, characters of a value. */
const MAX_META = 64;
const MAX_META_KEY = 128;
const MAX_META_VALUE = 512;

/** The ids of an instance in the agent. */
export interface Ids {
  readonly service: string;
  readonly proxy: string;
  readonly serviceCheck: string;
  readonly proxyCheck: string;
  readonly aliasCheck: string;
}

/** `<service>-<instance>`, or the instance alone where it begins with the service. */
export function idsOf({ service, instance }: Pick<ServiceInstance, 'service' | 'instance'>): Ids {
  const own =
    instance === service || instance.startsWith(`${service}-`) ? instance : `${service}-${instance}`;
  const proxy = `${own}-sidecar-proxy`;
  return {
    service: own,
    proxy,
    serviceCheck: `${own}:health`,
    proxyCheck: `${proxy}:health`,
    aliasCheck: `${proxy}:service`,
  };
}

/**
 * What is registered for one instance, in the agent's spelling: the service, and its sidecar as `connect-proxy`, so
 * that Consul and its UI draw them together. What Consul 1.8.7 asks for: a proxy needs a port, an upstream too, and
 * no two upstreams may share an address or a service; keys of metadata are `[A-Za-z0-9_-]`, at most 128 characters,
 * their values at most 512, and at most 64 of them. What does not fit is left out or shortened rather than refused as
 * a whole.
 */
export function definitionsOf(
  instance: ServiceInstance,
  config: RegistrationConfig,
  states: States,
): Definitions {
  const ids = idsOf(instance);
  const common = {
    Tags: tagsOf(instance, config),
    Meta: metaOf(instance, config),
    Weights: { Passing: config.weights.passing, Warning: config.weights.warning },
  };
  const reach = reachOf(instance, config);
  const local = instance.local?.kind === 'tcp' ? instance.local : undefined;
  const service: ServiceDefinition = {
    ID: ids.service,
    Name: instance.service,
    ...common,
    ...(reach?.Address === undefined ? {} : { Address: reach.Address }),
    ...(local === undefined ? {} : { Port: local.port }),
    Checks: [ttlCheck(ids.serviceCheck, instance.inbound ? MODEL : CALLER, states.service, config)],
  };
  if (reach === undefined) return { service };
  const proxy: ServiceDefinition = {
    ID: ids.proxy,
    Name: `${instance.service}-sidecar-proxy`,
    Kind: 'connect-proxy',
    ...reach,
    ...common,
    Proxy: {
      DestinationServiceName: instance.service,
      DestinationServiceID: ids.service,
      ...(local === undefined ? {} : { LocalServiceAddress: local.host, LocalServicePort: local.port }),
      Upstreams: upstreamsOf(instance),
    },
    Checks: [
      ttlCheck(ids.proxyCheck, SIDECAR, states.proxy, config),
      {
        CheckID: ids.aliasCheck,
        Name: 'service behind the sidecar',
        AliasService: ids.service,
        Status: states.service,
      },
    ],
  };
  return { service, proxy };
}

/** A check that the sidecar refreshes. Consul removes a service whose check was critical for `deregister_after`. */
function ttlCheck(
  id: string,
  { name, notes }: CheckText,
  status: CheckStatus,
  config: RegistrationConfig,
): CheckDefinition {
  return {
    CheckID: id,
    Name: name,
    Status: status,
    Notes: notes,
    TTL: `${TTL_MS}ms`,
    DeregisterCriticalServiceAfter: `${config.deregisterAfterMs}ms`,
  };
}

/**
 * Where peers reach the sidecar. One that only calls has no such place, and Consul asks for a port all the same: it gets
 * that of its first upstream's listener, on its own loopback address.
 */
function reachOf(
  { inbound, upstreams }: ServiceInstance,
  config: RegistrationConfig,
): { Address?: string; Port: number } | undefined {
  if (inbound === undefined) {
    const listener = upstreams.map(({ listen }) => listen).find(isTcp);
    return listener && { Address: loopbackFor(listener.host), Port: listener.port };
  }
  if (!isTcp(inbound)) return undefined;
  const address = config.address ?? (isWildcard(inbound.host) ? undefined : inbound.host);
  return { ...(address === undefined ? {} : { Address: address }), Port: inbound.port };
}

/** Those that Consul can hold: the ones with a TCP listener of their own, each service once. */
function upstreamsOf({ upstreams }: ServiceInstance): UpstreamDefinition[] {
  const seen = new Set<string>();
  return upstreams.flatMap(({ service, datacenter, listen }) => {
    const key = `${service} ${datacenter ?? ''}`;
    if (!isTcp(listen) || seen.has(key)) return [];
    seen.add(key);
    const upstream: UpstreamDefinition = {
      DestinationType: 'service',
      DestinationName: service,
      ...(datacenter === undefined ? {} : { Datacenter: datacenter }),
      LocalBindAddress: listen.host,
      LocalBindPort: listen.port,
    };
    return [upstream];
  });
}

/** The operator's, then `outrider` and one for each model; only what DNS allows, else Consul warns of each. */
function tagsOf({ models }: ServiceInstance, { tags }: RegistrationConfig): string[] {
  const ours = models.map(({ name }) => `model-${name.replace(/[^A-Za-z0-9-]/g, '-')}`);
  return [...new Set([...tags, 'outrider', ...ours])];
}

/** The operator's wins over ours; `model-<name>` holds the version, for filters. */
function metaOf({ version, models }: ServiceInstance, { meta }: RegistrationConfig): Record<string, string> {
  const all: Record<string, string> = {
    ...meta,
    ...absentFrom(meta, 'outrider', version),
    ...absentFrom(meta, 'models', models.map((model) => `${model.name}:${model.version}`).join(' ')),
  };
  for (const { name, version: number } of models) {
    const key = `model-${name.replace(/[^A-Za-z0-9_-]/g, '_')}`.slice(0, MAX_META_KEY);
    if (Object.keys(all).length < MAX_META && !Object.hasOwn(all, key)) all[key] = number;
  }
  const shortened = Object.entries(all).map(([key, value]) => [key, value.slice(0, MAX_META_VALUE)]);
  return Object.fromEntries(shortened.filter(([, value]) => value !== '').slice(0, MAX_META));
}

/** An entry of metadata, unless the operator's has one of the same name. */
function absentFrom(meta: object, key: string, value: string): Record<string, string> {
  return Object.hasOwn(meta, key) ? {} : { [key]: value };
}

/** Whether an address can be registered, which takes a host and a port above 0. */
function isTcp(address: Address | undefined): address is Extract<Address, { kind: 'tcp' }> {
  return address?.kind === 'tcp' && address.port > 0;
}

/** Whether a listener's host is every address, which peers cannot connect to. */
function isWildcard(host: string): boolean {
  return host === '' || host === '0.0.0.0' || host === '::';
}

/** The address on this machine at which a listener can be reached. */
function loopbackFor(host: string): string {
  if (!isWildcard(host)) return host;
  return host === '::' ? '::1' : '127.0.0.1';
}

/** Whether the agent has exactly this; what Consul adds by itself does not count. */
export function isSame(wanted: ServiceDefinition, found: AgentService): boolean {
  return JSON.stringify(essenceOf({ ...wanted, Service: wanted.Name })) === JSON.stringify(essenceOf(found));
}

/** What of a service is compared, in one order and with Consul's defaults in place of absent fields. */
function essenceOf(service: AgentService): unknown {
  const proxy = service.Proxy;
  const upstreams = (proxy?.Upstreams ?? []).map((upstream) =>
    [
      upstream.DestinationName,
      upstream.Datacenter ?? '',
      upstream.LocalBindAddress,
      upstream.LocalBindPort,
    ].join(' '),
  );
  return [
    service.Service,
    service.Kind ?? '',
    service.Address ?? '',
    service.Port ?? 0,
    [...(service.Tags ?? [])].sort(),
    Object.entries(service.Meta ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
    [service.Weights?.Passing ?? 1, service.Weights?.Warning ?? 1],
    [proxy?.DestinationServiceName ?? '', proxy?.DestinationServiceID ?? ''],
    [proxy?.LocalServiceAddress ?? '', proxy?.LocalServicePort ?? 0],
    upstreams.sort(),
  ];
}
