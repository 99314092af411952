import { isAttemptTimeoutFirst } from '../core/deadline/deadline.js';
import { MetadataKey } from '../core/metadata-key.js';
import { AttemptEnd, endsAtLimit } from '../core/outcome/outcome.js';
import type { HeaderField } from '../http2/hpack/field.js';
import { Token } from '../http2/hpack/tokens.js';
import { attemptTimeoutField, callDeadlineField } from '../relay/attempt-timeout-header.js';
import { type Call, NEVER } from '../relay/call.js';
import { endpointWaitStartMs } from '../relay/call-timer.js';
import { timeoutField } from '../relay/header-rewrite.js';
import type { OutboundAttempt, OutboundCall } from './call.js';

/** When the timeout of an attempt that begins now is due, monotonic ms; NEVER: the call's deadline comes first. */
export function attemptDueMs(call: OutboundCall, nowMs: number): number {
  const { attemptTimeoutMs } = call.plan;
  return isAttemptTimeoutFirst(attemptTimeoutMs, call.deadlineMs - nowMs) ? nowMs + attemptTimeoutMs : NEVER;
}

/**
 * The time that the endpoint is told it has, ms from now; NEVER: no limit. An endpoint that knows the call's deadline only
 * works on for a caller that has gone elsewhere (envoyproxy/envoy issue 4628), so it gets the attempt timeout. That of a
 * unary call runs from the end of the request, so that it is known once the request is complete; until then a sidecar is
 * told its length. A stream's ends with the begin of its response, which no point in time says (`withLimit`).
 */
export function timeToldMs(call: Call, attempt: OutboundAttempt, nowMs: number): number {
  const leftMs = call.deadlineMs - nowMs;
  const limitMs = limitOf(call, attempt, nowMs);
  attempt.isLimitTold = limitMs < leftMs;
  return attempt.isLimitTold ? limitMs : leftMs;
}

/**
 * Adds what `grpc-timeout` does not say, for the sidecar at the endpoint. Where it is the limit of the attempt: what is left of the call.
 * Otherwise the attempt timeout itself, where no point in time says it: that of a unary call of which more is to come, as
 * it runs from the request's end, and that of a stream, which is over with its first message or with its headers, and so before the stream is.
 */
export function withLimit(
  extras: readonly HeaderField[],
  { plan, requestEnded, deadlineMs }: Call,
  attempt: OutboundAttempt,
  nowMs: number,
): readonly HeaderField[] {
  const { attemptTimeoutMs, holdsResponse } = plan;
  if (attemptTimeoutMs === 0) return extras;
  const isPointInTime = holdsResponse && requestEnded;
  if (isPointInTime && !attempt.isLimitTold) return extras;
  if (holdsResponse) attempt.isLimitTold = true;
  const field = isPointInTime ? callDeadlineField(deadlineMs - nowMs) : attemptTimeoutField(attemptTimeoutMs);
  if (extras.length === 0) return [field];
  (extras as HeaderField[]).push(field);
  return extras;
}

/**
 * The request is complete while the headers of its attempt are still to be written, as for small requests, whose frames come
 * together: the headers get the time that is left, in place of the length of the timeout.
 */
export function retimeHeaders(call: OutboundCall, nowMs: number): void {
  const attempt = call.attempt as OutboundAttempt | null;
  if (attempt === null || attempt.isOver || attempt.stream === null) return;
  if (attempt.stream.headers === null || !call.plan.holdsResponse) return;
  const extras = retimed(attempt.stream.headerExtras, call, attempt, nowMs);
  attempt.session!.connection.replaceExtras(attempt.stream, extras);
}

/** The fields that `withLimit` gave, changed in place. An endpoint with a sidecar has a field of `withLimit` at the end. */
function retimed(
  extras: readonly HeaderField[],
  call: Call,
  attempt: OutboundAttempt,
  nowMs: number,
): readonly HeaderField[] {
  const field = timeoutField(timeToldMs(call, attempt, nowMs));
  const own = extras as HeaderField[];
  if (own.length === 0) return [field];
  const { token, name } = own[own.length - 1]!;
  const hasSidecar = token === Token.outriderDeadline || name === MetadataKey.attemptTimeout;
  if (hasSidecar) own.pop();
  if (own.length > 0 && own[0]!.token === Token.grpcTimeout) own[0] = field;
  else own.unshift(field);
  if (hasSidecar && attempt.isLimitTold) own.push(callDeadlineField(call.deadlineMs - nowMs));
  return own;
}

/** When the limit that the endpoint was told has passed, monotonic ms; NEVER: it was told the deadline of the call only. */
export function toldLimitMs(call: Call, attempt: OutboundAttempt): number {
  return attempt.isLimitTold ? endpointWaitStartMs(call, attempt) + call.plan.attemptTimeoutMs : NEVER;
}

function limitOf(call: Call, attempt: OutboundAttempt, nowMs: number): number {
  const { attemptTimeoutMs, holdsResponse } = call.plan;
  if (attemptTimeoutMs === 0 || !holdsResponse || !call.requestEnded) return NEVER;
  return endpointWaitStartMs(call, attempt) + attemptTimeoutMs - nowMs;
}

/**
 * An attempt that its endpoint gave up at the limit it was told ends as one that met the attempt timeout here: which of the
 * two clocks is first is chance. The status and the trailers of the endpoint stay.
 */
export function recordLimit(call: Call, attempt: OutboundAttempt, nowMs: number): void {
  if (!attempt.isLimitTold || call.isCommitted) return;
  const tookMs = nowMs - endpointWaitStartMs(call, attempt);
  if (endsAtLimit(attempt.ended as AttemptEnd, attempt.status, tookMs, call.plan.attemptTimeoutMs))
    attempt.ended = AttemptEnd.attemptTimeout;
}
