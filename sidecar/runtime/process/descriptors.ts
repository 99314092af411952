import { readFileSync } from 'node:fs';
import { attempt } from '../attempt.js';

/** Descriptors kept for other uses: one eighth of the limit, within these bounds. */
const LEAST_RESERVE = 16;
const MOST_RESERVE = 256;
const RESERVE_SHARE = 1 / 8;

/**
 * The soft limit of open files (RLIMIT_NOFILE, which Node raises to the hard limit at start);
 * Infinity where it is not known.
 */
export function descriptorLimit(read: () => string = ownLimits): number {
  const soft = /^Max open files\s+(\d+)/m.exec(attempt(read, ''))?.[1];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}

function ownLimits(): string {
  return readFileSync('/proc/self/limits', 'utf8');
}

/**
 * The lowest descriptor that an accepted connection may not have: those from it on are kept for
 * connections to endpoints and models, files and child processes. The system assigns the lowest
 * free descriptor, so a high one means that few are left; nothing has to be configured or counted,
 * unlike Envoy's and HAProxy's connection limits.
 */
export function firstReserved(limit: number): number {
  if (!Number.isFinite(limit)) return limit;
  const reserve = Math.min(Math.max(LEAST_RESERVE, Math.floor(limit * RESERVE_SHARE)), MOST_RESERVE);
  return limit - Math.min(reserve, limit >>> 1);
}
