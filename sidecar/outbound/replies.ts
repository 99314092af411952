import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { AttemptEnd, isCutOff, isDeadlineReset } from '../core/outcome/outcome.js';
import { type LocalReply, localReplyFor, makeLocalReply } from '../relay/local-reply.js';
import { toldLimitMs } from './attempt-timeout.js';
import type { Failure, OutboundAttempt, OutboundCall } from './call.js';

/** The failure of a call whose last attempt this was: the endpoint's own answer where there is one. */
export function failureOf(call: OutboundCall, attempt: OutboundAttempt): Failure {
  if (attempt.ended === AttemptEnd.trailers && attempt.trailers !== null) return { reply: null, attempt };
  if (isDeadlineReset(attempt.ended as AttemptEnd, attempt.status, call.deadlineMs - call.context.nowMs))
    return { reply: deadlineReply(call, ''), attempt };
  if (call.isCommitted && isAnswerCutOff(call, attempt)) return { reply: cutOffReply(attempt), attempt };
  const { label: endpoint } = attempt.endpoint;
  const { attemptTimeoutMs: limitMs, timesFirstMessage, messageTimeoutMs } = call.plan;
  if (attempt.isSilent)
    return {
      reply: makeLocalReply(LocalReplyReasons.messageTimeout, { endpoint, limitMs: messageTimeoutMs }),
      attempt,
    };
  if (timesFirstMessage && attempt.ended === AttemptEnd.attemptTimeout)
    return { reply: makeLocalReply(LocalReplyReasons.firstMessageTimeout, { endpoint, limitMs }), attempt };
  return { reply: localReplyFor(attempt, endpoint, limitMs), attempt };
}

function isAnswerCutOff(call: OutboundCall, attempt: OutboundAttempt): boolean {
  const { startMs, ended, status } = attempt;
  const limitMs = toldLimitMs(call, attempt) - startMs;
  // The metadata of endpoints outside the mesh is removed.
  const isSidecar = !call.plan.stripsResponse;
  return isCutOff(ended as AttemptEnd, status, isSidecar, call.context.nowMs - startMs, limitMs);
}

/** The rest of the answer does not come. The caller did not cancel, so the status is not CANCELLED. */
function cutOffReply({ endpoint, reason: detail }: OutboundAttempt): LocalReply {
  return makeLocalReply(LocalReplyReasons.upstreamReset, { endpoint: endpoint.label, detail });
}

/**
 * The reply to a call whose deadline has passed.
 * @param missing what the call waited for; empty: it did not wait.
 */
export function deadlineReply(call: OutboundCall, missing: string): LocalReply {
  const limitMs = Math.round(call.deadlineMs - call.startMs);
  const reply = makeLocalReply(LocalReplyReasons.deadlineExceeded, { limitMs });
  return missing === '' ? reply : { ...reply, message: `${reply.message} while waiting for ${missing}` };
}

/** The reply to a request that its client aborted, where no engine can say so. */
export function abortedReply(): LocalReply {
  return makeLocalReply(LocalReplyReasons.answerAborted);
}

/** The reply to a stream that broke, and that no endpoint went on with. @param detail why, in words. */
export function notResumedReply({ resumable }: OutboundCall, detail: string): LocalReply {
  const where = resumable === null ? 'in the middle' : `after message ${resumable.messages}`;
  return makeLocalReply(LocalReplyReasons.notResumed, { where, detail });
}
