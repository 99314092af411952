/** What is true of a call and of the attempt that just ended, for the decision whether there shall be another. */

import type { Endpoint } from '../cluster/endpoint.js';
import type { AttemptEnd } from '../core/outcome/outcome.js';
import { NO_PUSHBACK, parsePushback, type RetryFacts } from '../core/retry/retry.js';
import { extraValue } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { Token } from '../http2/hpack/tokens.js';
import type { OutboundAttempt, OutboundCall } from './call.js';

export function retryFacts(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): RetryFacts {
  const { trailers } = attempt;
  const pushback = trailers === null ? undefined : fieldValue(trailers, Token.grpcRetryPushbackMs);
  return {
    ended: attempt.ended as AttemptEnd,
    status: attempt.status,
    pushbackMs: pushback === undefined ? NO_PUSHBACK : parsePushback(pushback),
    // Only a sidecar's word counts: what is outside the mesh may say anything.
    isMarkedUnprocessed:
      trailers !== null && !call.plan.stripsResponse && hasField(trailers, 'outrider-unprocessed'),
    isCommitted: call.isCommitted,
    isRequestHeld: call.isReplayable,
    isOtherAvailable: call.cluster.hasUntried(call.tried as Endpoint[]),
    timeLeftMs: call.deadlineMs - nowMs,
    breaker: call.breaker,
  };
}

function fieldValue(block: HeaderBlock, token: number): string | undefined {
  const extra = extraValue(block, token);
  if (extra !== undefined) return extra;
  for (const field of block.stable.toFields()) if (field.token === token) return field.value;
  return undefined;
}

function hasField(block: HeaderBlock, name: string): boolean {
  for (const field of block.stable.toFields()) if (field.name === name) return true;
  for (const field of block.extras) if (field.name === name) return true;
  return false;
}
