/** How long a queue may expect an arrival to take: by what waits in it, and by the runs before. Few long runs make it expect too much. */
import type { CallRecord } from '../world/records.js';
import type { World } from '../world/world.js';
import type { Evidence, Run } from './evidence.js';
import { allPlaces } from './places.js';

/** A queue takes a wait that it predicts for so many times as long. */
export const PREDICTED_MARGIN = 1.2;
/** The last run is so much of the mean, 1 ÷ 10; of the first ten all count the same. */
const MEAN_OF = 10;

/** Times of the clock, ms. */
interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The wait and the run of a unary call that arrived in this span, as the queue may have expected them at most, ms. */
export function expectedMs(world: World, evidence: Evidence, replica: string, span: Span): number {
  const runMs = meanRunMs(evidence.runsOf(replica), span.toMs);
  const waiting = world.records.filter((record) => isWaiting(record, replica, span)).length;
  return (runMs * (waiting + 1) * PREDICTED_MARGIN) / placesOf(world, replica) + runMs;
}

/** Of unary runs that were answered by then. */
function meanRunMs(runs: readonly Run[], atMs: number): number {
  const ended = runs
    .filter(({ record, execution: { ended, endMs } }) => {
      return /\/(Unary|Safe)$/.test(record.plan.path) && ended === 'answered' && endMs <= atMs;
    })
    .sort((a, b) => a.execution.endMs - b.execution.endMs);
  let meanMs = 0;
  for (const [i, { execution }] of ended.entries())
    meanMs += (execution.endMs - execution.startMs - meanMs) / Math.min(i + 1, MEAN_OF);
  return meanMs;
}

/** It was in the queue of this replica at least a part of the time. Where it cannot have been in two, it was in the last. */
function isWaiting(
  { plan, arrivals, executions, endMs }: CallRecord,
  replica: string,
  { fromMs, toMs }: Span,
): boolean {
  const come = arrivals.filter(({ atMs }) => atMs <= toMs);
  const own = plan.isIdempotent ? come : come.slice(-1);
  if (!own.some((each) => each.replica === replica) || (endMs >= 0 && endMs < fromMs)) return false;
  return !executions.some((each) => each.replica === replica && each.startMs < fromMs);
}

/** Calls that its files let it run at once; of several files the fewest. */
function placesOf({ plan }: World, replica: string): number {
  return Math.max(1, Math.min(...allPlaces(plan, replica)));
}
