/**
 * Checks of what clients were told: one end for each call, the answer to their own call, and the truth about where it comes from.
 */
import { type CallIndex, executionsOf } from './executions.js';
import type { CheckedCall, History } from './record.js';
import type { Finding } from './violation.js';

/** Calls whose client was not told their end, or was told it more than once. */
export function findNotAnsweredOnce(
  calls: readonly Pick<CheckedCall, 'id' | 'answers' | 'status'>[],
): readonly Finding[] {
  return calls
    .filter(({ answers }) => answers !== 1)
    .map(({ id, answers, status }) => ({
      callId: id,
      expected: 'one answer',
      found: answers === 0 ? 'none until the client gave up' : `${answers} answers, status ${status}`,
    }));
}

/**
 * Calls that got the answer of another call. An answer from a cache names the call that it was first given to; it is allowed
 * where it is marked as degraded and that call is one of the same model that was over before.
 */
export function findWrongCaller(run: Pick<History, 'calls'>, index: CallIndex): readonly Finding[] {
  return run.calls.flatMap((call) => {
    const { id, answeredId } = call;
    if (answeredId === undefined || answeredId === id || isCached(call, index.calls.get(answeredId)))
      return [];
    return [{ callId: id, expected: `the answer to ${id}`, found: `the answer to ${answeredId}` }];
  });
}

/** Whether the answer can be one that a cache kept of the call `first`. */
function isCached(call: CheckedCall, first: CheckedCall | undefined): boolean {
  if (!call.degraded || first === undefined) return false;
  return first.model === call.model && first.status === 0 && first.endMs <= call.endMs;
}

/**
 * Answers that are no full answers and do not say so: those of a replica that only stands in, and those that no model was asked for.
 */
export function findUnmarked(
  run: Pick<History, 'calls' | 'standIns' | 'executions'>,
  index: CallIndex,
): readonly Finding[] {
  const standIns = new Set(run.standIns ?? []);
  return run.calls.flatMap((call): Finding[] => {
    if (call.status !== 0 || call.degraded) return [];
    const by = answeredBy(call, index);
    const expected = 'the mark of a degraded answer';
    if (by !== undefined)
      return standIns.has(by) ? [{ callId: call.id, expected, found: `no mark on an answer of ${by}` }] : [];
    // Without any execution in the log it is the log that is missing; `findUnsound` says that.
    if (run.executions.length === 0) return [];
    return [{ callId: call.id, expected, found: 'no mark on an answer that no model computed' }];
  });
}

/** The replica that the answer names; otherwise the one of the last execution. */
function answeredBy(call: CheckedCall, index: CallIndex): string | undefined {
  return call.endpoint ?? executionsOf(index, call.id).at(-1)?.replica;
}
