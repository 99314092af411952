import { writeAddress } from '../../../config/codecs/address.js';
import type { Address, RegistrationConfig } from '../../../config/model.js';
import { defined, present } from '../../../config/present.js';
import type { Health } from '../../../core/discovery/eviction-guard.js';
import { compareVersions } from '../../../core/models/version-policy.js';
import { MODELS_KEY, modelsValue } from '../registered-models.js';
import { idsOf, type ServiceInstance } from './instance.js';

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
interface ProxyDefinition {
  readonly DestinationServiceName: string;
  readonly DestinationServiceID: string;
  readonly LocalServiceAddress?: string;
  readonly LocalServicePort?: number;
  readonly Upstreams: readonly UpstreamDefinition[];
}

/** One upstream of a sidecar as the agent takes it. */
interface UpstreamDefinition {
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
  readonly Status: Health;
  readonly Notes?: string;
  readonly TTL?: string;
  readonly AliasService?: string;
  readonly DeregisterCriticalServiceAfter?: string;
}

/** The checks' states at this moment, with which a new check begins. */
export type States = Readonly<Record<'service' | 'proxy', Health>>;

/** A check that was not refreshed for this long is critical. */
const TTL_MS = 30_000;

/** Name and notes of the checks, as Consul's UI shows them. */
const CHECKS = {
  model: 'Outrider: inferences are answered, or a probe while there are none',
  caller: 'Outrider: serves no model; as healthy as its sidecar',
  sidecar: 'Outrider: the sidecar can take calls',
} as const;
/** Key of metadata under which the address of the read-only listener stands. */
export const OBSERVE_KEY = 'outrider-observe';
const ALIAS = 'service behind the sidecar';

/** Consul's bounds on metadata: entries, characters of a key, characters of a value. */
const MAX_META = 64;
const MAX_META_KEY = 128;
const MAX_META_VALUE = 512;

/**
 * What is registered for one instance, in the agent's spelling: the service, and its sidecar as `connect-proxy`, so
 * that Consul and its UI draw them together. What Consul 1.8.7 asks for: a proxy needs a port, an upstream too, and
 * no two upstreams may share an address or a service; keys of metadata are `[A-Za-z0-9_-]`, at most 128 characters,
 * their values at most 512, and at most 64 of them. What does not fit is left out or shortened rather than refused as
 * a whole. There is no `proxy` where there is no TCP port that it could be registered with.
 */
export function definitionsOf(
  instance: ServiceInstance,
  config: RegistrationConfig,
  states: States,
): { readonly service: ServiceDefinition; readonly proxy?: ServiceDefinition } {
  const ids = idsOf(instance);
  const common = {
    Tags: tagsOf(instance, config),
    Meta: metaOf(instance, config),
    Weights: { Passing: config.weights.passing, Warning: config.weights.warning },
  };
  /** A check that the sidecar refreshes. Consul removes a service whose check was critical for `deregister_after`. */
  const ttlCheck = (Name: keyof typeof CHECKS, CheckID: string, Status: Health): CheckDefinition => ({
    CheckID,
    Name,
    Status,
    Notes: CHECKS[Name],
    TTL: `${TTL_MS}ms`,
    DeregisterCriticalServiceAfter: `${config.deregisterAfterMs}ms`,
  });
  const reach = reachOf(instance, config);
  const local = instance.local?.kind === 'tcp' ? instance.local : undefined;
  const service: ServiceDefinition = {
    ID: ids.service,
    Name: instance.service,
    ...common,
    Meta: metaOf(instance, config, observeMeta(instance, config)),
    ...defined({ Address: reach?.Address, Port: local?.port }),
    Checks: [ttlCheck(instance.inbound ? 'model' : 'caller', ids.serviceCheck, states.service)],
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
      ...defined({ LocalServiceAddress: local?.host, LocalServicePort: local?.port }),
      Upstreams: upstreamsOf(instance),
    },
    Checks: [
      ttlCheck('sidecar', ids.proxyCheck, states.proxy),
      { CheckID: ids.aliasCheck, Name: ALIAS, AliasService: ids.service, Status: states.service },
    ],
  };
  return { service, proxy };
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
  return { ...present('Address', address), Port: inbound.port };
}

/** Those that Consul can hold: the ones with a TCP listener of their own, each service once. */
function upstreamsOf({ upstreams }: ServiceInstance): UpstreamDefinition[] {
  const seen = new Set<string>();
  return upstreams.flatMap(({ service, datacenter, listen }) => {
    const key = `${service} ${datacenter ?? ''}`;
    if (!isTcp(listen) || seen.has(key)) return [];
    seen.add(key);
    const bind = { LocalBindAddress: listen.host, LocalBindPort: listen.port };
    const named = { DestinationName: service, ...present('Datacenter', datacenter) };
    return [{ DestinationType: 'service', ...named, ...bind }];
  });
}

/** The operator's, then `outrider` and one for each model; only what DNS allows, else Consul warns of each. */
function tagsOf({ models }: ServiceInstance, { tags }: RegistrationConfig): string[] {
  const ours = models.map(({ name }) => `model-${name.replace(/[^A-Za-z0-9-]/g, '-')}`);
  return [...new Set([...tags, 'outrider', ...ours])];
}

/**
 * The operator's wins over ours; `model-<name>` holds the highest version, for filters. These alone may be too many: without `outrider` callers
 * would take this for another proxy.
 */
function metaOf(
  { version, models, modelStates = '' }: ServiceInstance,
  { meta }: RegistrationConfig,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const list = modelsValue(models);
  const all: Record<string, string> = {
    ...meta,
    ...more,
    ...absentFrom(meta, 'outrider', version),
    ...(list === '' ? {} : absentFrom(meta, MODELS_KEY, list)),
    ...(modelStates === '' ? {} : absentFrom(meta, 'model-states', modelStates)),
  };
  for (const { name, version: number } of models.toSorted((a, b) => compareVersions(b.version, a.version))) {
    const key = `model-${name.replace(/[^A-Za-z0-9_-]/g, '_')}`.slice(0, MAX_META_KEY);
    if (Object.keys(all).length < MAX_META && !Object.hasOwn(all, key)) all[key] = number;
  }
  const shortened = Object.entries(all).map(([key, value]) => [key, value.slice(0, MAX_META_VALUE)]);
  return Object.fromEntries(shortened.filter(([, value]) => value !== '').slice(0, MAX_META));
}

/**
 * Where Prometheus finds the metrics: `HOST:PORT`, or the port alone where the listener takes every
 * address of the machine. On the service only: the proxy has the same sidecar, which would be scraped twice.
 */
function observeMeta({ observe }: ServiceInstance, { meta }: RegistrationConfig): Record<string, string> {
  if (!isTcp(observe)) return {};
  const value = isWildcard(observe.host) ? String(observe.port) : writeAddress(observe);
  return absentFrom(meta, OBSERVE_KEY, value);
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
