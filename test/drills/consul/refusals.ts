/** How long it takes until calls are refused that should be, and until they are served again. */

import type { SentCall } from '../faults/load.js';

/** From `fromMs` to the last call before `toMs` that was served all the same; undefined: none was refused. */
export function untilRefused(calls: readonly SentCall[], fromMs: number, toMs: number): number | undefined {
  const during = calls.filter(({ startMs }) => startMs >= fromMs && startMs < toMs);
  if (!during.some(({ failure }) => failure !== undefined)) return undefined;
  const last = during.findLast(({ failure }) => failure === undefined);
  return last === undefined ? 0 : last.startMs - fromMs;
}

/** From `fromMs` to the last call before `toMs` that was refused all the same; undefined: none was served. */
export function untilServed(
  calls: readonly SentCall[],
  fromMs: number,
  toMs = Number.POSITIVE_INFINITY,
): number | undefined {
  const after = calls.filter(({ startMs }) => startMs >= fromMs && startMs < toMs);
  if (!after.some(({ failure }) => failure === undefined)) return undefined;
  const last = after.findLast(({ failure }) => failure !== undefined);
  return last === undefined ? 0 : last.startMs - fromMs;
}
