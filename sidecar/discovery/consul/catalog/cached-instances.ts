import type { Instance, InstanceList } from '../parser/instances.js';
import { textIn } from '../parser/json-fields.js';

/**
 * Instances that an earlier process kept; undefined when there are none. @throws Error when the cache holds something
 * else.
 */
export function cachedInstances(kept: unknown): InstanceList | undefined {
  if (kept === undefined) return undefined;
  if (!Array.isArray(kept) || !kept.every(isInstance)) {
    throw new Error('found something else in the cache; expected a list of instances');
  }
  return { instances: kept, skipped: 0, problem: undefined };
}

/** Fields that must be strings. */
const TEXTS = ['key', 'id', 'node', 'address', 'why', 'service', 'datacenter'] as const;

/** Whether a value has the shape of an instance: a cache of another version must not reach the data plane. */
function isInstance(value: unknown): value is Instance {
  if (typeof value !== 'object' || value === null) return false;
  const { port, weight, status, tags, meta, place, isMaintained } = value as Record<string, unknown>;
  return (
    TEXTS.every((field) => typeof (value as Record<string, unknown>)[field] === 'string') &&
    textIn(value, 'address') !== '' &&
    (isMaintained === undefined || isMaintained === true) &&
    (place === undefined || typeof place === 'string') &&
    typeof port === 'number' &&
    Number.isInteger(port) &&
    port > 0 &&
    port <= 65_535 &&
    typeof weight === 'number' &&
    weight >= 0 &&
    (status === 'passing' || status === 'warning' || status === 'critical') &&
    Array.isArray(tags) &&
    tags.every((tag) => typeof tag === 'string') &&
    typeof meta === 'object' &&
    meta !== null &&
    Object.values(meta).every((each) => typeof each === 'string')
  );
}
