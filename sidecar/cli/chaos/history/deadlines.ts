/**
 * Check of deadlines by the clock of the client, which is part of what is measured: an event loop that is late sees an answer late.
 */
import type { CheckBounds } from './bounds.js';
import { type History, LAG_INTERVAL_MS } from './record.js';
import { type Finding, ms } from './violation.js';

/**
 * Calls that were over later than their deadline allows. How late the client's own event loop was between the deadline and the end
 * is added to the bound: no arm can make up for it. A call without an end is reported by `findNotAnsweredOnce`.
 */
export function findLate(
  run: Pick<History, 'calls' | 'clientLagMs'>,
  { deadlineMs: boundMs }: CheckBounds,
): readonly Finding[] {
  return run.calls.flatMap((call): Finding[] => {
    const { id, deadlineMs, endMs, answers } = call;
    if (deadlineMs === undefined || answers === 0 || endMs <= deadlineMs + boundMs) return [];
    const lagMs = greatestLag(run.clientLagMs, deadlineMs, endMs);
    if (endMs <= deadlineMs + boundMs + lagMs) return [];
    return [
      {
        callId: id,
        expected: `over within ${ms(boundMs)} and ${ms(lagMs)} of its client's lateness after the deadline at ${ms(deadlineMs)}`,
        found: `over ${ms(endMs - deadlineMs)} after the deadline, with status ${call.status}`,
      },
    ];
  });
}

/**
 * The greatest lateness of the client between two moments, in ms. An interval more on each side counts: lateness is noticed when it
 * is over.
 */
export function greatestLag(lagMs: readonly number[], fromMs: number, toMs: number): number {
  const first = Math.max(0, Math.floor(fromMs / LAG_INTERVAL_MS) - 1);
  const last = Math.min(lagMs.length - 1, Math.floor(toMs / LAG_INTERVAL_MS) + 1);
  let most = 0;
  for (let i = first; i <= last; i += 1) most = Math.max(most, lagMs[i] ?? 0);
  return most;
}
