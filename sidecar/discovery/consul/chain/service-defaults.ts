import { defined } from '../../../config/present.js';
import type { PassiveHealth } from '../../snapshot.js';
import { isSet, type Json, listIn, objectIn, quote, textIn } from '../parser/json-fields.js';
import { countIn, goDurationIn, unknownIn } from './chain-json.js';

/** Bounds on the calls to one upstream, and when its endpoints are ejected. */
export interface UpstreamLimits {
  readonly maxInFlight?: number;
  readonly maxConnections?: number;
  readonly maxPending?: number;
  readonly connectTimeoutMs?: number;
  readonly passiveHealth?: PassiveHealth;
  /** Each one sentence that names the entry and the field. */
  readonly unsupported: readonly string[];
}

/** Fields of every entry. */
const OF_ENTRIES = [
  'Kind',
  'Name',
  'Namespace',
  'Partition',
  'Meta',
  'CreateIndex',
  'ModifyIndex',
  'Hash',
  'Status',
];
/** Of `service-defaults` what is applied to calls, or is in discovery chains already. */
const KNOWN_OF_SERVICE = new Set([...OF_ENTRIES, 'Protocol', 'UpstreamConfig', 'MeshGateway', 'ExternalSNI']);
/** The same of `proxy-defaults`; `Config` is looked into. */
const KNOWN_OF_PROXIES = new Set([...OF_ENTRIES, 'Config', 'MeshGateway']);
/** What is read of `UpstreamConfig.Defaults` and of each of its `Overrides`, or says which upstream it is about. */
const KNOWN_OF_UPSTREAM = new Set([
  ...['Name', 'Namespace', 'Partition', 'Peer', 'ConnectTimeoutMs', 'Limits', 'PassiveHealthCheck'],
]);
const KNOWN_LIMITS = new Set(['MaxConnections', 'MaxPendingRequests', 'MaxConcurrentRequests']);
const KNOWN_OF_CHECK = new Set([
  ...['Interval', 'MaxFailures', 'EnforcingConsecutive5xx', 'MaxEjectionPercent', 'BaseEjectionTime'],
]);

/**
 * What the `UpstreamConfig` of `service-defaults` (Consul 1.9) sets for an upstream: each field by `Overrides`, else by
 * `Defaults`. `PassiveHealthCheck` is Envoy's outlier detection (Consul 1.10, its last fields 1.13 to 1.15). @param upstream its
 * name in the catalogue. @throws Error when it is no entry.
 */
export function limitsOf(text: string, upstream: string): UpstreamLimits {
  if (text === '') return { unsupported: [] };
  const entry: unknown = JSON.parse(text);
  const service = textIn(entry, 'Name');
  if (textIn(entry, 'Kind') !== 'service-defaults') throw new Error('not a service-defaults entry');
  const config = objectIn(entry, 'UpstreamConfig');
  // One with a Peer is about a service of the same name in another cluster.
  const override = listIn(config, 'Overrides').find(
    (each) => textIn(each, 'Name') === upstream && textIn(each, 'Peer') === '',
  ) as Json | undefined;
  const defaults = objectIn(config, 'Defaults');
  const unsupported: string[] = [];
  for (const [said, where] of [
    [override, `Overrides ${quote(upstream)}`],
    [defaults, 'Defaults'],
  ] as const) {
    const name = `service-defaults ${quote(service)}: UpstreamConfig.${where}`;
    const check = objectIn(said, 'PassiveHealthCheck');
    const refused = [
      ...unknownIn(said, KNOWN_OF_UPSTREAM),
      ...unknownIn(objectIn(said, 'Limits'), KNOWN_LIMITS).map((field) => `Limits.${field}`),
      ...unknownIn(check, KNOWN_OF_CHECK).map((field) => `PassiveHealthCheck.${field}`),
    ];
    unsupported.push(...refused.map((field) => `${name}.${field} is not applied.`));
    unsupported.push(...refusedOf(check).map((why) => `${name}.PassiveHealthCheck.${why}.`));
  }
  const first = <T>(read: (said: Json | undefined) => T | undefined): T | undefined =>
    read(override) ?? read(defaults);
  const limit = (field: string) => first((said) => countIn(objectIn(said, 'Limits'), field));
  const passiveHealth = first((said) => passiveHealthOf(objectIn(said, 'PassiveHealthCheck')));
  return {
    unsupported,
    ...defined({
      maxInFlight: limit('MaxConcurrentRequests'),
      maxConnections: limit('MaxConnections'),
      maxPending: limit('MaxPendingRequests'),
      connectTimeoutMs: first((said) => countIn(said, 'ConnectTimeoutMs')),
      passiveHealth,
    }),
  };
}

/** Undefined: it says nothing that is applied. */
function passiveHealthOf(check: Json | undefined): PassiveHealth | undefined {
  const consecutiveFaults = countIn(check, 'MaxFailures');
  const baseMs = goDurationIn(check, 'BaseEjectionTime');
  const mode = check?.['EnforcingConsecutive5xx'] === 0 ? 'observe' : undefined;
  const said = defined({ consecutiveFaults, baseMs, mode } as const);
  return Object.keys(said).length === 0 ? undefined : said;
}

/** What of the check is not applied, each as a field and why. */
function refusedOf(check: Json | undefined): string[] {
  const enforcing = check?.['EnforcingConsecutive5xx'];
  return [
    ...(isSet(check?.['Interval'])
      ? ['Interval is not applied: an endpoint is ejected at the fault itself']
      : []),
    ...(isSet(check?.['MaxEjectionPercent'])
      ? ['MaxEjectionPercent is not applied: the sidecar has a cap of its own']
      : []),
    ...(typeof enforcing === 'number' && enforcing > 0 && enforcing < 100
      ? [`EnforcingConsecutive5xx ${enforcing} is not applied: ejection is always or never`]
      : []),
  ];
}

/**
 * What of `proxy-defaults` is not applied. Protocol and gateway mode are in the discovery chain already. @throws
 * Error when it is no entry.
 */
export function refusedDefaults(text: string): readonly string[] {
  if (text === '') return [];
  const entry: unknown = JSON.parse(text);
  if (textIn(entry, 'Kind') !== 'proxy-defaults') throw new Error('not a proxy-defaults entry');
  const settings = Object.keys(objectIn(entry, 'Config') ?? {}).filter((field) => field !== 'protocol');
  return [...settings.map((field) => `Config ${quote(field)}`), ...unknownIn(entry, KNOWN_OF_PROXIES)].map(
    (what) => `proxy-defaults: ${what} is not applied.`,
  );
}

/**
 * What the `service-defaults` of a service ask of its own sidecar and is not applied: how its calls come in. What goes out is
 * `limitsOf`. @throws Error when it is no entry.
 */
export function refusedOfService(text: string): readonly string[] {
  if (text === '') return [];
  const entry: unknown = JSON.parse(text);
  if (textIn(entry, 'Kind') !== 'service-defaults') throw new Error('not a service-defaults entry');
  const name = `service-defaults ${quote(textIn(entry, 'Name'))}`;
  return unknownIn(entry, KNOWN_OF_SERVICE).map((field) => `${name}: ${field} is not applied.`);
}
