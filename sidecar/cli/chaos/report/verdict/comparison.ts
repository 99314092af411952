/** Compares Outrider with another arm in one drill: by bad calls first, then by the time to full recovery. */
import type { ArmName } from '../../history/record.js';
import { type ArmFigures, badCalls } from '../figures/figures.js';
import { count, duration } from '../figures/format.js';
import { RECOVERY_WINDOW_MS } from '../figures/recovery.js';
import { spanOrder } from '../figures/span.js';

/** What is said of Outrider beside another arm. `level`: the difference is within the spread. */
export interface Comparison {
  readonly drill: string;
  readonly other: ArmName;
  readonly result: 'better' | 'level' | 'worse';
  /** What decided; `nothing` where both are within the spread. */
  readonly by: 'calls' | 'recovery' | 'nothing';
  /** In words, with the figures. */
  readonly because: string;
}

/** Standard deviations of a difference of counts within which it is chance. */
const DEVIATIONS = 2;

/** The rule in words, for the page. */
export const COMPARISON_RULE = `Outrider is compared with each other arm by failed + wrong + duplicated calls, and where these are level by the time to full recovery. Calls are level when the ranges of repeated runs overlap, or when the counts differ by at most twice the square root of their sum (${DEVIATIONS} standard deviations of chance). Recoveries are level when the medians differ by at most ${RECOVERY_WINDOW_MS} ms, which is the resolution of that time, or when the ranges overlap, each of which begins where the shortest one would be without one of its bad calls: what a single call decides is chance.`;

/** @param own figures of Outrider; `other` those of another arm in the same drill. */
export function compare(own: ArmFigures, other: ArmFigures): Comparison {
  const { drill, arm } = other;
  const calls = compareCalls(own, other);
  const bad = badCalls(own);
  const words = `${count(bad)} bad ${bad === 1 ? 'call' : 'calls'} of ${count(own.counts.calls)}, beside ${count(badCalls(other))} of ${count(other.counts.calls)}`;
  if (calls !== 0) return { drill, other: arm, result: resultOf(calls), by: 'calls', because: words };
  const recovery = compareRecovery(own, other);
  const because = `${words}; recovered after ${recoveryText(own)}, beside ${recoveryText(other)}`;
  return {
    drill,
    other: arm,
    result: resultOf(recovery),
    by: recovery === 0 ? 'nothing' : 'recovery',
    because,
  };
}

/** Below 0 where `own` is better, 0 where they are level. Counts are compared for the same number of calls. */
function compareCalls(own: ArmFigures, other: ArmFigures): number {
  if (own.counts.calls === 0 || other.counts.calls === 0) return 0;
  const ownBad = badCalls(own);
  const otherBad = (badCalls(other) * own.counts.calls) / other.counts.calls;
  if (Math.abs(ownBad - otherBad) <= DEVIATIONS * Math.sqrt(ownBad + otherBad)) return 0;
  if (overlap(own.badShares, other.badShares)) return 0;
  return ownBad - otherBad;
}

/** Below 0 where `own` is back sooner, 0 where they are level or one of them has no marked fault. */
function compareRecovery(ofOwn: ArmFigures, ofOther: ArmFigures): number {
  const { recoveryMs: own } = ofOwn;
  const { recoveryMs: other } = ofOther;
  if (own === undefined || other === undefined) return 0;
  const [ownMs, otherMs] = [spanOrder(own.median), spanOrder(other.median)];
  if (ownMs === otherMs || Math.abs(ownMs - otherMs) <= RECOVERY_WINDOW_MS) return 0;
  return overlap(rangeOf(ofOwn), rangeOf(ofOther)) ? 0 : ownMs - otherMs;
}

/** From the shortest recovery without one bad call to the longest. */
function rangeOf({ recoveryMs, recoveryLessOneMs = recoveryMs }: ArmFigures): readonly number[] {
  return [recoveryLessOneMs!.least, recoveryMs!.most].map(spanOrder);
}

/** Whether the ranges of both share a value. */
function overlap(a: readonly number[], b: readonly number[]): boolean {
  return Math.min(...a) <= Math.max(...b) && Math.min(...b) <= Math.max(...a);
}

/** A difference below 0 is good for Outrider. */
function resultOf(difference: number): Comparison['result'] {
  if (difference === 0) return 'level';
  return difference < 0 ? 'better' : 'worse';
}

function recoveryText({ recoveryMs }: ArmFigures): string {
  return recoveryMs === undefined ? 'no marked fault' : duration(recoveryMs.median);
}
