import { createHash } from 'node:crypto';
import type { SidecarConfig } from '../../config/model.js';

/** SHA-256 of a configuration, hex: the same for files that say the same, whatever their comments. */
export function configHash(config: SidecarConfig): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(config)))
    .digest('hex');
}

/** With the keys of every object in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, sorted(item)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
