/** Real processes in tests: are they there, what are they doing, and waiting for a condition without a fixed sleep. */

import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Linux: false also for a zombie, which only waits for its parent to read its exit. */
export function isRunning(pid: number): boolean {
  const state = processState(pid);
  return state !== undefined && state !== 'Z';
}

/** The letter of /proc/PID/stat (`T` is stopped), or undefined when there is no such process. */
export function processState(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2)[0];
  } catch {
    return undefined;
  }
}

/** Polls until `probe` gives something truthy, and returns that. Fails with `what` after `limitMs`. */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  limitMs = 15_000,
): Promise<NonNullable<Exclude<T, false>>> {
  for (let left = limitMs; left > 0; left -= 20) {
    const found = await probe();
    if (found) return found as NonNullable<Exclude<T, false>>;
    await delay(20);
  }
  throw new Error(`did not happen within ${limitMs} ms: ${what}`);
}
