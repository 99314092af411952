import type { AdoptedLimits } from '../../../config/model.js';
import { defined } from '../../../config/present.js';
import { countIn, goDurationIn } from '../chain/chain-json.js';
import { isObject, isSet, type Json, objectIn } from '../parser/json-fields.js';

/** What the `Config` of an upstream sets, and what of it is not applied, each as a field with a reason where there is one. */
export interface UpstreamSettings {
  readonly limits: AdoptedLimits;
  readonly refused: readonly string[];
}

/** Bounds of the options that these values stand for: a registration with more is not to keep the sidecar from starting. */
const MOST_CALLS = 1_000_000;
const MOST_FAULTS = 1_000;
const CONNECT_MS = [1, 60_000] as const;
const EJECTION_MS = [10, 3_600_000] as const;

const KNOWN = new Set(['connect_timeout_ms', 'protocol', 'limits', 'passive_health_check']);
const KNOWN_LIMITS = new Set(['max_connections', 'max_pending_requests', 'max_concurrent_requests']);
const KNOWN_CHECK = new Set(['interval', 'max_failures', 'base_ejection_time']);

/**
 * Reads the `Config` of an upstream in a proxy's registration, as Consul documents it for Envoy: `connect_timeout_ms`, `limits` and
 * `passive_health_check` (1.8; `base_ejection_time` later).
 */
export function readUpstreamSettings(config: Json | undefined): UpstreamSettings {
  const limits = objectIn(config, 'limits');
  const check = objectIn(config, 'passive_health_check');
  const count = (json: Json | undefined, field: string, most: number): number | undefined => {
    const found = countIn(json, field);
    return found === undefined ? undefined : Math.min(found, most);
  };
  const connectMs = countIn(config, 'connect_timeout_ms');
  const ejectionMs = goDurationIn(check, 'base_ejection_time');
  return {
    limits: defined({
      connectTimeoutMs: connectMs === undefined ? undefined : within(connectMs, CONNECT_MS),
      maxConnections: count(limits, 'max_connections', MOST_CALLS),
      maxPending: count(limits, 'max_pending_requests', MOST_CALLS),
      maxInFlight: count(limits, 'max_concurrent_requests', MOST_CALLS),
      consecutiveFaults: count(check, 'max_failures', MOST_FAULTS),
      ejectionMs: ejectionMs === undefined ? undefined : within(ejectionMs, EJECTION_MS),
    }),
    refused: [
      ...othersIn('Config', config, KNOWN),
      ...othersIn('Config.limits', limits, KNOWN_LIMITS),
      ...othersIn('Config.passive_health_check', check, KNOWN_CHECK),
      ...(isSet(check?.['base_ejection_time']) && ejectionMs === undefined
        ? ['Config.passive_health_check.base_ejection_time is not applied']
        : []),
      ...(isSet(check?.['interval'])
        ? ['Config.passive_health_check.interval is not applied: an endpoint is ejected at the fault itself']
        : []),
    ],
  };
}

function within(value: number, [least, most]: readonly [number, number]): number {
  return Math.min(Math.max(Math.round(value), least), most);
}

/** Fields that are not applied; a known one of another type than an object or a number is one too. */
function othersIn(where: string, json: Json | undefined, known: ReadonlySet<string>): string[] {
  return Object.entries(json ?? {})
    .filter(([field, value]) => !known.has(field) || isUnreadable(field, value))
    .map(([field]) => `${where}.${field.slice(0, 80)} is not applied`);
}

/** A block that is none, or a number below 1, which for Envoy would mean no calls at all. */
function isUnreadable(field: string, value: unknown): boolean {
  if (field === 'limits' || field === 'passive_health_check') return !isObject(value);
  return (field.startsWith('max_') || field === 'connect_timeout_ms') && !isPositive(value);
}

function isPositive(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}
