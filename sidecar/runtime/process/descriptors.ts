/**
 * How many file descriptors this process may have open, and how many of them accepted connections leave to everything
 * else: connections to endpoints and to the model, files, a model process to start.
 *
 * Envoy and HAProxy count connections against a number that is set; here nothing has to be set or counted, as the
 * system gives out the lowest free descriptor: a new connection that got a high one is among the last.
 */

import { readFileSync } from 'node:fs';

const LEAST_RESERVE = 16;
const MOST_RESERVE = 256;
const RESERVE_SHARE = 1 / 8;

/** The soft limit of open files (RLIMIT_NOFILE; Node raises it to the hard one as it starts); Infinity where nothing says so. */
export function descriptorLimit(read: () => string = ownLimits): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(read())?.[1];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function ownLimits(): string {
  return readFileSync('/proc/self/limits', 'utf8');
}

/** An accepted connection with this descriptor, or a higher one, uses what is kept in reserve. */
export function firstReserved(limit: number): number {
  if (!Number.isFinite(limit)) return limit;
  const reserve = Math.min(Math.max(LEAST_RESERVE, Math.floor(limit * RESERVE_SHARE)), MOST_RESERVE);
  return limit - Math.min(reserve, limit >>> 1);
}
