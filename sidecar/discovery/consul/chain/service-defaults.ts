import { defined } from '../../../config/present.js';
import { isSet, type Json, listIn, objectIn, quote, textIn } from '../parser/json-fields.js';
import { countIn } from './chain-json.js';

/** Bounds on the calls to one upstream. */
export interface UpstreamLimits {
  readonly maxInFlight?: number;
  readonly connectTimeoutMs?: number;
  /** Each one sentence that names the entry and the field. */
  readonly unsupported: readonly string[];
}

/** Settings of Envoy and of balancing that have no counterpart here, or one in the sidecar's file. */
const ENVOY = ['EnvoyListenerJSON', 'EnvoyClusterJSON', 'PassiveHealthCheck', 'BalanceOutboundConnections'];
/** Of `Limits`, these count connections and requests that wait; a sidecar has its own bounds for both. */
const LIMITS = ['MaxConnections', 'MaxPendingRequests'];

/**
 * What the `UpstreamConfig` of `service-defaults` (Consul 1.9) sets for an upstream. @param upstream its name in the
 * catalogue. @throws Error when it is no entry.
 */
export function limitsOf(text: string, upstream: string): UpstreamLimits {
  if (text === '') return { unsupported: [] };
  const entry: unknown = JSON.parse(text);
  const service = textIn(entry, 'Name');
  if (textIn(entry, 'Kind') !== 'service-defaults') throw new Error('not a service-defaults entry');
  const config = objectIn(entry, 'UpstreamConfig');
  const override = listIn(config, 'Overrides').find((each) => textIn(each, 'Name') === upstream) as
    | Json
    | undefined;
  const defaults = objectIn(config, 'Defaults');
  const unsupported: string[] = [];
  for (const [said, where] of [
    [override, `Overrides ${quote(upstream)}`],
    [defaults, 'Defaults'],
  ] as const) {
    const name = `service-defaults ${quote(service)}: UpstreamConfig.${where}`;
    const limits = objectIn(said, 'Limits');
    const refused = [
      ...ENVOY.filter((field) => isSet(said?.[field])),
      ...LIMITS.filter((field) => isSet(limits?.[field])).map((field) => `Limits.${field}`),
    ];
    unsupported.push(...refused.map((field) => `${name}.${field} is not applied.`));
  }
  const first = (read: (said: Json | undefined) => number | undefined): number | undefined =>
    read(override) ?? read(defaults);
  const maxInFlight = first((said) => countIn(objectIn(said, 'Limits'), 'MaxConcurrentRequests'));
  const connectTimeoutMs = first((said) => countIn(said, 'ConnectTimeoutMs'));
  return { unsupported, ...defined({ maxInFlight, connectTimeoutMs }) };
}

/**
 * What of `proxy-defaults` is not applied. Protocol and gateway mode are in the discovery chain already. @throws
 * Error when it is no entry.
 */
export function refusedDefaults(text: string): readonly string[] {
  if (text === '') return [];
  const entry: unknown = JSON.parse(text);
  if (textIn(entry, 'Kind') !== 'proxy-defaults') throw new Error('not a proxy-defaults entry');
  return Object.keys(objectIn(entry, 'Config') ?? {})
    .filter((field) => field !== 'protocol')
    .map((field) => `proxy-defaults: Config ${quote(field)} is not applied.`);
}
