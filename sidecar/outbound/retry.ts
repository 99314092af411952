/** What is true of a call and of the attempt that just ended, for the decision whether there shall be another. */

import type { Endpoint } from '../cluster/endpoint.js';
import { AttemptTrait } from '../core/outcome/classify-attempt.js';
import type { AttemptEnd } from '../core/outcome/outcome.js';
import { NO_PUSHBACK, parsePushback, type RetryFacts } from '../core/retry/retry.js';
import { extraValue, metadataValue } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { Token } from '../http2/hpack/tokens.js';
import { MODEL_TRAILER } from './attempt-facts.js';
import type { OutboundAttempt, OutboundCall } from './call.js';

export function retryFacts(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): RetryFacts {
  const { trailers } = attempt;
  const pushback = trailers === null ? undefined : fieldValue(trailers, Token.grpcRetryPushbackMs);
  return {
    ended: attempt.ended as AttemptEnd,
    status: attempt.status,
    pushbackMs: pushback === undefined ? NO_PUSHBACK : parsePushback(pushback),
    isMarkedUnprocessed: (attempt.traits & AttemptTrait.unprocessed) !== 0,
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

/** The endpoint does not serve the model of the call; true: nor does any other that it could go to. */
export function isServedNowhere(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): boolean {
  const { unservedModels, endpoints } = call.cluster;
  const model = metadataValue(attempt.trailers!, MODEL_TRAILER)!;
  return unservedModels.isServedNowhere(model, attempt.endpoint, endpoints, nowMs);
}
