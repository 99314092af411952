/**
 * The limit of one attempt as its endpoint is told it: one that knows only the call's deadline goes on working for a caller that
 * has gone elsewhere (envoyproxy/envoy issue 4628). Of unary calls, whose limit begins with the end of the request, it is
 * known when the request is complete before it is sent; of one that is still on its way a sidecar is told how long it is. A
 * stream's limit is over with the beginning of its answer, which no header can say.
 */

import { AttemptEnd, endsAtLimit } from '../core/outcome/outcome.js';
import type { HeaderField } from '../http2/hpack/field.js';
import { Token } from '../http2/hpack/tokens.js';
import { ATTEMPT_TIMEOUT_KEY, attemptTimeoutField } from '../relay/attempt-timeout-header.js';
import { type Call, NEVER } from '../relay/call.js';
import { endpointWaitStartMs } from '../relay/call-timer.js';
import { timeoutField } from '../relay/header-rewrite.js';
import type { OutboundAttempt } from './call.js';

/** The time that the endpoint is given, ms from now; NEVER: as long as it likes. */
export function timeToldMs(call: Call, attempt: OutboundAttempt, nowMs: number): number {
  const leftMs = call.deadlineMs - nowMs;
  const limitMs = limitOf(call, attempt, nowMs);
  attempt.isLimitTold = limitMs < leftMs;
  return attempt.isLimitTold ? limitMs : leftMs;
}

/** Of a request of which more is to come another sidecar is told the limit itself, to be counted from its end. */
export function withLimit(
  extras: readonly HeaderField[],
  { plan, requestEnded }: Call,
  attempt: OutboundAttempt,
): readonly HeaderField[] {
  if (plan.attemptTimeoutMs === 0 || !plan.holdsResponse || requestEnded) return extras;
  attempt.isLimitTold = true;
  const field = attemptTimeoutField(plan.attemptTimeoutMs);
  if (extras.length === 0) return [field];
  (extras as HeaderField[]).push(field);
  return extras;
}

/** The fields that `withLimit` gave, once the request is complete and as long as they are not written: changed in place. */
export function retimed(
  extras: readonly HeaderField[],
  call: Call,
  attempt: OutboundAttempt,
  nowMs: number,
): readonly HeaderField[] {
  const field = timeoutField(timeToldMs(call, attempt, nowMs));
  const own = extras as HeaderField[];
  if (own.length === 0) return [field];
  if (own[own.length - 1]!.name === ATTEMPT_TIMEOUT_KEY) own.pop();
  if (own.length > 0 && own[0]!.token === Token.grpcTimeout) own[0] = field;
  else own.unshift(field);
  return own;
}

function limitOf(call: Call, attempt: OutboundAttempt, nowMs: number): number {
  const { attemptTimeoutMs, holdsResponse } = call.plan;
  if (attemptTimeoutMs === 0 || !holdsResponse || !call.requestEnded) return NEVER;
  return endpointWaitStartMs(call, attempt) + attemptTimeoutMs - nowMs;
}

/**
 * An attempt that its endpoint gave up at the limit that it was told has met our limit: which of two clocks is first is
 * chance. What the endpoint said stays readable.
 */
export function noteLimit(call: Call, attempt: OutboundAttempt, nowMs: number): void {
  if (!attempt.isLimitTold || call.isCommitted) return;
  const tookMs = nowMs - endpointWaitStartMs(call, attempt);
  if (endsAtLimit(attempt.ended as AttemptEnd, attempt.status, tookMs, call.plan.attemptTimeoutMs))
    attempt.ended = AttemptEnd.attemptTimeout;
}
