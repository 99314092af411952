/** The events of an outbound call that decide nothing about its way: the headers of its attempts, and what is learned from its response. */

import type { Endpoint } from '../cluster/endpoint.js';
import { AttemptEnd, Outcome } from '../core/outcome/outcome.js';
import { NO_PROBE } from '../core/outlier/ejection.js';
import { MAX_ATTEMPTS } from '../core/retry/retry-state.js';
import { headerViewOf } from '../http2/header-view.js';
import type { HeaderField } from '../http2/hpack/field.js';
import type { StableList } from '../http2/hpack/header-list.js';
import { type Call, MessageWatch } from '../relay/call.js';
import { SILENCE_CHECK_MS } from '../relay/call-timeouts.js';
import { setDeadline } from '../relay/call-timer.js';
import { forwardExtras, forwardRequest } from '../relay/header-rewrite.js';
import { timeAllowedMs } from '../relay/route-table.js';
import { engineModelIn } from '../relay/stream/engine-model.js';
import type { SizeReason } from '../telemetry/size-counts.js';
import { timeToldMs, withLimit } from './attempt-timeout.js';
import { OutboundAttempt, type OutboundCall } from './call.js';
import { hasUntried } from './candidates.js';
import { recordPrimaryStream } from './fallback/primary.js';
import * as hedging from './hedging.js';
import { recordFirstMessage, recordOutcome } from './outcome-recorder.js';
import { countAttempts } from './retry.js';
import { watchFirstMessage } from './stream/message-watch.js';
import { beginPace, recordPace } from './stream/pace.js';
import type { UpstreamState } from './upstream-state.js';

const NO_ENDPOINTS: readonly Endpoint[] = [];

/** One more attempt of the call, counted where it goes to. */
export function makeAttempt(
  state: UpstreamState,
  call: OutboundCall,
  endpoint: Endpoint,
  nowMs: number,
): OutboundAttempt {
  const attempt = new OutboundAttempt(call, endpoint, nowMs);
  endpoint.inFlight++;
  endpoint.unansweredInRow++;
  if (call.resumable !== null) attempt.resumedAfter = call.resumable.messages;
  if (call.engineCall !== null) {
    const { prompt } = call.engineCall;
    if (prompt !== null)
      call.cluster.balancer.recordPrompt?.(endpoint, prompt, call.cluster.endpoints.length, nowMs);
    attempt.listenTo(endpoint.ensureSilence(), call.requestBytes);
    if (call.plan.messageTimeoutMs > 0) call.silence = { dueMs: nowMs + SILENCE_CHECK_MS, isLate: false };
  }
  const unknown = call.aborting?.unknown ?? 0;
  if (unknown > 0) endpoint.ensureSilence().givenUp.expectAborts(unknown, nowMs);
  if (attempt.isUnanswered) endpoint.unanswered++;
  endpoint.attempts++;
  state.attempts++;
  return attempt;
}

/** The attempt was given up for another one, or with its call. */
export function onStopped(state: UpstreamState, call: OutboundCall, attempt: OutboundAttempt): void {
  recordOutcome(call, attempt, state.context);
  if (attempt.ended === AttemptEnd.deadline) requestKeepalive(state, attempt);
  if (attempt.ended === AttemptEnd.superseded) hedging.recordHedgeWin(call, attempt, state.context.nowMs);
}

/** The peer gave no answer in time. A sidecar answers a PING while its model works; of a model that is called directly that is not known. */
export function requestKeepalive(state: UpstreamState, { session, startMs, target }: OutboundAttempt): void {
  if (session !== null && state.config.tls === 'mesh') target.pool.recordNoAnswer(session, startMs);
}

export function requestHeaders({ profile, engineProfile }: UpstreamState, call: Call): StableList {
  return forwardRequest(call.block, call.engineCall === null ? profile : engineProfile);
}

export function requestExtras(
  state: UpstreamState,
  call: OutboundCall,
  attempt: OutboundAttempt,
): readonly HeaderField[] {
  const { nowMs } = state.context;
  const leftMs = timeToldMs(call, attempt, nowMs);
  const added = call.resumable === null ? call.marker : call.resumable.field;
  const { tracer } = state.context;
  let extras = forwardExtras(call.block, state.profile, leftMs, added, attempt.number);
  if (tracer !== null) extras = tracer.onward(call, attempt, extras);
  return state.config.tls === 'mesh' ? withLimit(extras, call, attempt, nowMs) : extras;
}

export function onBufferReleased(state: UpstreamState, call: OutboundCall): void {
  call.cluster.sweep?.recordModel(call);
  if (!state.poison.isIdle) state.poison.note(call);
}

export function onStreaming(state: UpstreamState, call: OutboundCall, attempt: OutboundAttempt): void {
  if (attempt.probe !== NO_PROBE) state.probes.answered(call, attempt, state.context.nowMs);
  if (call.fallback !== null) recordPrimaryStream(call);
}

/** What a stream is judged by: how long it lasts is up to its caller. */
export function onFirstMessage(state: UpstreamState, call: OutboundCall, attempt: OutboundAttempt): void {
  recordFirstMessage(call, attempt, state.context);
  if (call.engineCall !== null) attempt.endpoint.engineModel = engineModelIn(attempt.head!);
  beginPace(call, attempt, state.context.nowMs);
  if (call.isCold) state.coldStart?.leave(call);
  if (call.plan.watch !== MessageWatch.none) watchFirstMessage(call, attempt, state.context.nowMs);
  if (call.methodState === null) return;
  const { hedge, fallback } = call.match.plan.config;
  if (hedge !== undefined) hedging.recordSuccess(call, attempt, state.context.nowMs);
  if (fallback !== undefined) recordPrimaryStream(call);
}

export function onRequestNotKept(state: UpstreamState, call: OutboundCall, why: SizeReason): void {
  if (!call.isCopy) state.sizeLimits.note(call.match.plan.config, why);
}

export function onLongResponse(
  state: UpstreamState,
  call: OutboundCall,
  { endpoint, heldResponse }: OutboundAttempt,
): void {
  const { config } = call.match.plan;
  const isTooLarge = (heldResponse?.bytes ?? 0) > call.plan.holdBytes;
  state.sizeLimits.note(config, isTooLarge ? 'responseTooLarge' : 'memory');
  const inspector = call.cluster.sweep?.inspector;
  if (inspector != null) inspector.follow(call, endpoint, config.idempotent);
  if (call.observer !== null) call.observer.onLongResponse(call);
}

/** The method is a stream, whatever was said or seen of it, and so is this call: it has the times of one, and is judged as one. */
export function onNotUnary(state: UpstreamState, call: OutboundCall): void {
  state.kinds.recordStream(headerViewOf(call.original).path);
  const match = state.router.rematch(call);
  if (match === null) return;
  call.match = match;
  call.plan = match.plan;
  const deadlineMs = call.startMs + timeAllowedMs(match.plan.config, call.block);
  if (deadlineMs > call.deadlineMs) setDeadline(call, deadlineMs);
}

export function onCountedMessages(state: UpstreamState, call: OutboundCall, attempt: OutboundAttempt): void {
  if (call.plan.watch === MessageWatch.single) onNotUnary(state, call);
  recordPace(call, attempt, state.context.nowMs);
}

/**
 * Where the route does not say that silence ends a stream, it does so only if it goes on at another endpoint, or the caller has all of it. So it is
 * before the first message: no option says that this takes too long.
 */
export function mayLeaveSilent(
  { poison, context: { nowMs } }: UpstreamState,
  call: OutboundCall,
  attempt: OutboundAttempt,
): boolean {
  const { resumable } = call;
  const isWaiting = attempt.silence !== null && !attempt.isHeard;
  if (call.plan.endsSilent && !isWaiting) return true;
  if (resumable?.isComplete) return true;
  // No other engine can go on with it: it waits until others have shown that this one does not come back.
  if (resumable === null ? call.isCommitted : resumable.isSpent)
    return attempt.silence?.isLost(nowMs) === true;
  if (countAttempts(call, attempt) >= MAX_ATTEMPTS) return false;
  if (attempt.silence?.hasHung(nowMs) === false && poison.hasMovedInVain(call, nowMs)) return false;
  if (resumable === null && !(isWaiting && call.isWhole)) return false;
  // One that got on may go back to those that it was at before.
  const tried = resumable !== null && !resumable.isResuming ? NO_ENDPOINTS : (call.tried as Endpoint[]);
  return hasUntried(call, [...tried, attempt.endpoint]);
}

export function onResumed(state: UpstreamState, call: OutboundCall): void {
  call.giveExtra();
  // What becomes of the endpoint later says nothing against this attempt.
  call.cluster.budget.recordOutcome(Outcome.success, state.context.nowMs);
  state.resumed++;
}
