/**
 * What the `service-defaults` of our own service say about its upstreams (`UpstreamConfig`, Consul 1.9 and newer), and
 * what `proxy-defaults` say that concerns outbound calls.
 */

import { isSet, type Json, listIn, objectIn, quote, textIn } from '../parser/json-fields.js';
import { countIn } from './chain-json.js';

export interface UpstreamLimits {
  readonly maxInFlight?: number;
  readonly connectTimeoutMs?: number;
  /** Each one sentence that names the entry and the field. */
  readonly unsupported: readonly string[];
}

const NOTHING: UpstreamLimits = { unsupported: [] };

/** Settings of Envoy and of balancing that have no counterpart here, or one in the sidecar's file. */
const REFUSED = [
  'EnvoyListenerJSON',
  'EnvoyClusterJSON',
  'PassiveHealthCheck',
  'BalanceOutboundConnections',
] as const;
const REFUSED_LIMITS = ['MaxConnections', 'MaxPendingRequests'] as const;

/** @throws Error when it is no entry. @param upstream its name in the catalogue. */
export function limitsOf(text: string, upstream: string): UpstreamLimits {
  if (text === '') return NOTHING;
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
    for (const field of REFUSED)
      if (isSet(said?.[field])) unsupported.push(`${name}.${field} is not applied.`);
    for (const field of REFUSED_LIMITS)
      if (isSet(objectIn(said, 'Limits')?.[field]))
        unsupported.push(`${name}.Limits.${field} is not applied.`);
  }
  const first = (read: (said: Json | undefined) => number | undefined): number | undefined =>
    read(override) ?? read(defaults);
  const maxInFlight = first((said) => countIn(objectIn(said, 'Limits'), 'MaxConcurrentRequests'));
  const connectTimeoutMs = first((said) => countIn(said, 'ConnectTimeoutMs'));
  return {
    unsupported,
    ...(maxInFlight === undefined ? {} : { maxInFlight }),
    ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
  };
}

/** @throws Error when it is no entry. The protocol and the gateways' mode have gone into the discovery chain already. */
export function refusedDefaults(text: string): readonly string[] {
  if (text === '') return [];
  const entry: unknown = JSON.parse(text);
  if (textIn(entry, 'Kind') !== 'proxy-defaults') throw new Error('not a proxy-defaults entry');
  return Object.keys(objectIn(entry, 'Config') ?? {})
    .filter((field) => field !== 'protocol')
    .map((field) => `proxy-defaults: Config ${quote(field)} is not applied.`);
}
