/**
 * The verdict: which promises a run of `outrider chaos` found broken. An arm is judged by the calls that its callers lost; latency
 * and CPU time are shown, and decide nothing.
 */

import type { ArmName, ArmRun } from './history/record.js';
import { type Losses, lossesOf, lostOf } from './summary.js';

/** Fewer calls than this are no difference between two runs of the same. */
const LEAST_SPREAD = 3;

/**
 * Whether `ours` is worse than `theirs` by more than two runs of the same arm differ: single calls are in flight at the wrong
 * moment or not, so that the number of lost calls spreads as its root does.
 */
export function isWorse(ours: Losses, theirs: Losses): boolean {
  const spread = Math.max(LEAST_SPREAD, Math.sqrt(lostOf(theirs)));
  return lostOf(ours) > lostOf(theirs) + spread;
}

/**
 * One sentence for each drill in which Outrider lost more calls than another arm. Empty: it was at least as good everywhere,
 * or it was not among the arms.
 */
export function worseDrills(runs: readonly ArmRun[]): readonly string[] {
  const ours = runs.filter(({ arm }) => arm === OURS);
  return ours.flatMap((run) => {
    const mine = lossesOf(run);
    const others = runs.filter(({ drill, arm }) => drill === run.drill && arm !== OURS);
    return others.flatMap((other) => {
      const theirs = lossesOf(other);
      if (!isWorse(mine, theirs)) return [];
      return [`${run.drill}: ${OURS} lost ${lostOf(mine)} calls, ${other.arm} ${lostOf(theirs)}`];
    });
  });
}

const OURS: ArmName = 'outrider';
