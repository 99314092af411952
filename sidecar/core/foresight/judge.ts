import type { EndpointForesight } from './endpoint-foresight.js';
import type { SuspicionChange } from './suspicion.js';

/**
 * Second half of a sweep, when each endpoint of a pool has looked: what all of them show at the same time, a burst of calls or a slow
 * store behind them, is no sign of one. Each is held against the median of the others.
 *
 * @returns what changed, by index.
 */
export function judgeAll(members: readonly EndpointForesight[], nowMs: number): readonly SuspicionChange[] {
  const shiftOf = medianOfOthers(members.map(({ latency }) => latency.shiftAt(nowMs)));
  const faultsOf = medianOfOthers(members.map(({ errors }) => errors.recentShare));
  const growthOf = medianOfOthers(members.map(({ queue }) => queue.growth));
  return members.map((member, i) =>
    member.judge({ shift: shiftOf(i), faults: faultsOf(i), growth: growthOf(i) }, nowMs),
  );
}

/** By index, the median of the known values of all others, of two the lower; 0: none is known. */
function medianOfOthers(values: readonly (number | undefined)[]): (i: number) => number {
  const sorted = values.filter((value): value is number => value !== undefined).sort((a, b) => a - b);
  return (i) => {
    const own = values[i];
    const without = own === undefined ? sorted.length : sorted.indexOf(own);
    const count = own === undefined ? sorted.length : sorted.length - 1;
    if (count === 0) return 0;
    const middle = (count - 1) >> 1;
    return sorted[middle < without ? middle : middle + 1]!;
  };
}
