/** Instances that an earlier process kept. The file has a checksum and belongs to us, but nothing else vouches for its shape. */

import { textIn } from '../parser/json-fields.js';
import type { Instance, InstanceList } from './instances.js';

/** Undefined when nothing was kept. Throws an Error when what was kept is something else. */
export function cachedInstances(kept: unknown): InstanceList | undefined {
  if (kept === undefined) return undefined;
  if (!Array.isArray(kept) || !kept.every(isInstance)) {
    throw new Error('found something else in the cache; expected a list of instances');
  }
  return { instances: kept, skipped: 0, problem: undefined };
}

const TEXTS = ['key', 'id', 'node', 'address', 'why', 'service', 'datacenter'] as const;

function isInstance(value: unknown): value is Instance {
  if (typeof value !== 'object' || value === null) return false;
  const { port, weight, status, tags, meta, version } = value as Record<string, unknown>;
  return (
    TEXTS.every((field) => typeof (value as Record<string, unknown>)[field] === 'string') &&
    textIn(value, 'address') !== '' &&
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
    Object.values(meta).every((each) => typeof each === 'string') &&
    (version === undefined || typeof version === 'string')
  );
}
