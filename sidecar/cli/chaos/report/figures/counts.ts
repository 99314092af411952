/**
 * Counts of calls, executions and attempts: all figures but times.
 */
import type { ArmRun, CallRecord } from '../../history/record.js';

/** How the calls of the load ended. The first four add up to `calls`. */
export interface CallCounts {
  readonly calls: number;
  /** Full answers with the expected content. */
  readonly right: number;
  /** Answers that say that a fallback gave them, whatever their content. */
  readonly degraded: number;
  /** Any status but OK, and calls that were never answered. */
  readonly failed: number;
  /** Status OK with other content and without the mark of a degraded answer. */
  readonly wrong: number;
  /** Degraded answers whose content differs from that of a full answer. */
  readonly degradedWrong: number;
}

/** How a call can end, in the order of pictures, from good to bad. */
export const CALL_ENDS = ['right', 'degraded', 'failed', 'wrong'] as const;

/** How one call ended; see {@link CallCounts}. */
export type CallEnd = (typeof CALL_ENDS)[number];

export function endOf({ status, answers, degraded, answer }: CallRecord): CallEnd {
  if (status !== 0 || answers === 0) return 'failed';
  if (degraded) return 'degraded';
  return answer === 'right' ? 'right' : 'wrong';
}

/** The calls that count: all but those that are the fault themselves. */
export function loadOf({ calls }: Pick<ArmRun, 'calls'>): readonly CallRecord[] {
  return calls.filter(({ isFault }) => isFault !== true);
}

export function countCalls(calls: readonly CallRecord[]): CallCounts {
  const counts = { calls: calls.length, right: 0, degraded: 0, failed: 0, wrong: 0, degradedWrong: 0 };
  for (const call of calls) {
    counts[endOf(call)] += 1;
    if (call.degraded && call.answer === 'wrong') counts.degradedWrong += 1;
  }
  return counts;
}

/** Executions beyond the first one, of calls that must not be executed twice. */
export function duplicatesIn(run: Pick<ArmRun, 'calls' | 'executions'>): number {
  const once = new Set(run.calls.filter(({ idempotent }) => !idempotent).map(({ id }) => id));
  return executionsBeyondFirst(run, once);
}

/**
 * Attempts beyond one for each call, as a share of the calls. By the arm's own count; otherwise by what models executed; undefined
 * where neither is known.
 */
export function extraAttemptsIn(
  run: Pick<ArmRun, 'calls' | 'executions' | 'attempts' | 'hasNoExecutions'>,
): number | undefined {
  const { calls, attempts } = run;
  if (calls.length === 0) return 0;
  if (attempts !== undefined) return Math.max(0, attempts / calls.length - 1);
  if (run.hasNoExecutions === true) return undefined;
  return executionsBeyondFirst(run, new Set(calls.map(({ id }) => id))) / calls.length;
}

/** How many executions of these calls are not the first one of their call. */
export function executionsBeyondFirst(
  { executions }: Pick<ArmRun, 'executions'>,
  ids: ReadonlySet<string>,
): number {
  const seen = new Set<string>();
  let beyond = 0;
  for (const { callId } of executions) {
    if (!ids.has(callId)) continue;
    if (seen.has(callId)) beyond += 1;
    seen.add(callId);
  }
  return beyond;
}

/**
 * By how much the share of wrong answers is greater among degraded answers than among full ones, from 0 to 1; undefined without
 * degraded answers. Negative where they are better.
 */
export function accuracyLost({ right, wrong, degraded, degradedWrong }: CallCounts): number | undefined {
  if (degraded === 0) return undefined;
  const full = right + wrong;
  return degradedWrong / degraded - (full === 0 ? 0 : wrong / full);
}
