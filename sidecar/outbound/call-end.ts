/**
 * The way of an outbound call from the end of an attempt to its last byte, in the order in which it is gone.
 *
 * `endAttempt` classifies the end, once. After a success the caller gets the response of the endpoint (`succeed`). After a
 * failure the call goes on with its other attempt where it is hedged, with another one (`retry`), or with a step of its fallback
 * chain (`fail`); else the caller gets the failure (`sendFailure`). A call that can have no attempt comes in at `refuse`, one whose
 * time is over at `expire`. All of it ends in relay/response.ts: `finishWith` writes the response of the endpoint, `sendLocalReply`
 * one of our own, and `closeCall` then calls `finish`.
 */

import type { EngineCodec } from '../codec/engines/engine-codec.js';
import { AttemptTrait } from '../core/outcome/classify-attempt.js';
import { AttemptEnd, Outcome } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { MAX_ATTEMPTS, RetryState } from '../core/retry/retry-state.js';
import { GIVING_UP_MS } from '../core/stats/given-up-answers.js';
import { Readiness } from '../http2/constants.js';
import { fieldValue, headerViewOf } from '../http2/header-view.js';
import { Token } from '../http2/hpack/tokens.js';
import { MessageWatch, NEVER } from '../relay/call.js';
import { settleOn, stopAttempts } from '../relay/call-attempts.js';
import { resumeAt } from '../relay/call-timer.js';
import { idleReply, type LocalReply } from '../relay/local-reply.js';
import { Next } from '../relay/next.js';
import { expireCall, finishComplete, finishWith, sendLocalReply } from '../relay/response.js';
import { timeAllowedMs } from '../relay/route-table.js';
import { engineModelIn, OTHER_MODEL } from '../relay/stream/engine-model.js';
import { sendShared } from '../relay/stream/resumed-call.js';
import { OTHER_TOKENS } from '../relay/stream/token-stream.js';
import { recordLimit } from './attempt-timeout.js';
import {
  Entry,
  type Failure,
  type OutboundAttempt,
  type OutboundCall,
  type UpstreamHandler,
} from './call.js';
import { onResumed } from './call-events.js';
import { hasUntried, onlyOther } from './candidates.js';
import { leaveEngineCalls } from './engine-calls.js';
import { recordFailure } from './failure-note.js';
import { onFallbackFinish, runFallback } from './fallback/chain.js';
import { mayGoOn } from './fallback/other-upstream.js';
import { fallBack, recordPrimaryDeadline, recordPrimaryResponse } from './fallback/primary.js';
import { finalFields } from './final-failure.js';
import * as hedging from './hedging.js';
import { recordOutcome } from './outcome-recorder.js';
import { abortedReply, deadlineReply, failureOf, notResumedReply } from './replies.js';
import { countAttempts, hasGotFar, isServedNowhere, lacksIdentity, retryWaitMs } from './retry.js';
import { staysAtHome } from './sequence-home.js';
import { recordAnswer } from './stream/message-watch.js';
import type { UpstreamState } from './upstream-state.js';

/** Where a call goes on that is not over yet; `Outbound` is it. */
export interface CallWay extends UpstreamHandler {
  readonly state: UpstreamState;
  /** Admits the call as one more for the endpoints. */
  begin(call: OutboundCall): void;
  /** Begins an attempt at the best endpoint there is, or refuses the call. */
  attempt(call: OutboundCall): void;
}

/** Between two looks at an engine that has given an answer up, ms. */
const END_CHECK_MS = 50;

const LOST_PROCESS = AttemptTrait.modelCrashed | AttemptTrait.modelLost;

// ---- an attempt has ended ----

/** Its end decides what becomes of the call. */
export function endAttempt(way: CallWay, call: OutboundCall, attempt: OutboundAttempt): void {
  const { state } = way;
  const now = state.context.nowMs;
  if (attempt.isLimitTold) recordLimit(call, attempt, now);
  const outcome = recordOutcome(call, attempt, state.context);
  if (call.observer !== null) call.observer.onAttemptEnd(call, attempt);
  if (outcome === Outcome.success) {
    if (attempt.isRefutedTrial && askAnother(way, call, attempt) === Next.handled) return;
    if (call.engineCall?.isHolding) return judgeEnd(way, call, attempt);
    return succeed(state, call, attempt);
  }
  if (call.resumable?.complete(call)) return finishComplete(call);
  if (call.engineCall !== null) {
    attempt.isEngineLost = hasLostEngine(state, call.engineCall.codec, attempt);
    if (attempt.isEngineLost) state.poison.onEngineLost(call, attempt, now);
    else if (hasStalledEngine(call, attempt)) state.poison.onEngineStalled(call, attempt, now);
  } else if ((attempt.traits & LOST_PROCESS) !== 0) state.poison.onProcessLost(call, attempt, now);
  if (call.hedge !== null) {
    if (hedging.deferToOtherAttempt(call, attempt, outcome, now) === Next.handled) return;
    settleOn(call, attempt);
  } else {
    if (lacksIdentity(call, attempt) && state.breaker.wait(call)) return;
    if (retry(way, call, attempt) === Next.handled) return;
    if (state.coldStart?.holdFailed(call, attempt)) return;
  }
  fail(way, call, failureOf(call, attempt), outcome);
}

/** A trial has brought an invalid answer, which is held: it is dropped where another endpoint may be asked. */
function askAnother(way: CallWay, call: OutboundCall, attempt: OutboundAttempt): Next {
  if (call.hedge !== null || retry(way, call, attempt) !== Next.handled) return Next.continue;
  attempt.takeBufferedResponse();
  return Next.handled;
}

/**
 * The engine has given the answer up, and nobody here asked for that. It has failed if it stops: if it gives up others as well, says GOAWAY or NOT_SERVING, or
 * breaks the connection. If it does none of that for a second, an Abort came to it another way, and the end is passed on as it is.
 */
export function judgeEnd(way: CallWay, call: OutboundCall, attempt: OutboundAttempt): void {
  const { nowMs } = way.state.context;
  const engineCall = call.engineCall!;
  const { heldSinceMs, isAborted } = engineCall;
  if (!isAborted && isStopping(attempt, nowMs)) {
    engineCall.takeHeld();
    attempt.ended = AttemptEnd.reset;
    attempt.isEngineStopping = true;
    attempt.status = Status.UNAVAILABLE;
    attempt.reason = engineCall.heldWhy;
    if (retry(way, call, attempt) !== Next.handled) fail(way, call, failureOf(call, attempt), Outcome.fault);
    return;
  }
  if (!isAborted && nowMs < heldSinceMs + GIVING_UP_MS) return resumeAt(call, nowMs + END_CHECK_MS);
  for (const bytes of engineCall.takeHeld()) sendShared(call, bytes, 0, bytes.length);
  succeed(way.state, call, attempt);
}

function isStopping({ endpoint, session, silence }: OutboundAttempt, nowMs: number): boolean {
  if (silence?.givenUp.areSeveral(nowMs) || endpoint.unhealthy !== '') return true;
  if (endpoint.readiness !== Readiness.serving && endpoint.readiness !== Readiness.probation) return true;
  return session !== null && (session.isDown || session.connection.state.goawayReceived);
}

// ---- success ----

/** The caller gets the response of the endpoint, or the rest of it. */
function succeed(state: UpstreamState, call: OutboundCall, attempt: OutboundAttempt): void {
  const { resumable } = call;
  if (resumable !== null && !resumable.mayEnd(attempt))
    return sendLocalReply(call, notResumedReply(call, `${attempt.endpoint.label} ended it sooner`));
  if (resumable?.isResuming) onResumed(state, call);
  if (!state.poison.isIdle) state.poison.answered(call, attempt);
  if (call.plan.watch >= MessageWatch.counted) recordAnswer(state.kinds, call, attempt);
  if (call.methodState !== null) {
    const { hedge, fallback } = call.match.plan.config;
    if (hedge !== undefined && call.plan.holdsResponse)
      hedging.recordSuccess(call, attempt, state.context.nowMs);
    if (fallback !== undefined) recordPrimaryResponse(call, attempt);
  }
  finishWith(call, attempt);
}

// ---- another attempt ----

/** `handled`: another attempt follows, or the call has been refused as its cluster is gone. */
function retry(way: CallWay, call: OutboundCall, attempt: OutboundAttempt): Next {
  if (call.hasCrashed) return Next.continue;
  const { state } = way;
  const now = state.context.nowMs;
  if (!staysAtHome(call, attempt)) call.tried = [...call.tried, attempt.endpoint];
  if (isServedNowhere(call, attempt, now)) return Next.continue;
  const { resumable } = call;
  if (resumable?.isSpent || call.engineCall?.isAborted) return Next.continue;
  const refusal = call.isCommitted && resumable === null ? null : state.router.leaveOutdated(call);
  if (refusal !== null) {
    refuse(way, call, refusal);
    return Next.handled;
  }
  if (resumable !== null && !resumable.isResuming) renewAttempts(call, attempt);
  const other = onlyOther(call);
  if (other !== undefined) {
    sendLocalReply(call, notResumedReply(call, `${other.label} ${OTHER_MODEL}`));
    return Next.handled;
  }
  const waitMs = retryWaitMs(call, attempt, state.context);
  if (waitMs < 0) return Next.continue;
  resumable?.restart(call);
  call.takeExtra();
  state.retries++;
  call.stats!.retries++;
  if (waitMs === 0) way.attempt(call);
  else resumeAt(call, now + waitMs);
  return Next.handled;
}

/**
 * A stream that got on has the attempts of its route anew, at every endpoint but the one that it was at last. All of its attempts still
 * count, unless it got far there: what ends each endpoint after a few messages ends no more of them.
 */
function renewAttempts(call: OutboundCall, attempt: OutboundAttempt): void {
  const { before = 0, lost = 0, pauses = null } = call.retry ?? {};
  const isFar = hasGotFar(call, attempt);
  call.retry = new RetryState();
  call.retry.before = isFar ? call.attemptsHere - 1 : before;
  call.retry.lost = isFar ? 0 : lost;
  call.retry.pauses = pauses;
  call.tried = [attempt.endpoint];
}

// ---- failure ----

/** The call can go nowhere. */
export function refuse(way: CallWay, call: OutboundCall, reply: LocalReply): void {
  if (call.methodState !== null && call.deadlineMs === NEVER)
    call.deadlineMs = call.startMs + timeAllowedMs(call.match.plan.config, call.block);
  fail(way, call, { reply, attempt: null }, Outcome.fault);
}

/** No attempt follows: a fallback step has the call, or the caller gets the failure. */
function fail(way: CallWay, call: OutboundCall, failure: Failure, outcome: Outcome): void {
  if (!call.isCommitted) {
    if (call.fallback?.isAway) {
      // A request that crashed a model goes to no other endpoint, and one that is not held in full can go to none.
      if (call.hasCrashed || !call.isWhole) call.fallback.failure ??= failure;
      if (!mayGoOn(call, call.fallback)) call.fallback.failure ??= failure;
      if (call.isCold) way.state.coldStart?.leave(call);
      return call.fallback.home.nextStep(call);
    }
    if (call.methodState !== null && fallBack(call, failure, outcome, way) === Next.handled) return;
  }
  sendFailure(way.state, call, failure);
}

/** The next step of the fallback chain; where none is left, a call that was diverted is tried at its primary after all. */
export function nextStep(way: CallWay, call: OutboundCall): void {
  if (runFallback(call) === Next.handled) return;
  const { failure } = call.fallback!;
  if (failure === null) way.begin(call);
  else sendFailure(way.state, call, failure);
}

/** The caller gets the failure of its call: the answer of the attempt, or a reply. */
function sendFailure({ failures, name, poison }: UpstreamState, call: OutboundCall, failure: Failure): void {
  const { reply, attempt } = failure;
  if (failures !== null) recordFailure(failures, name, call, failure);
  if (call.engineCall?.isAborted) return sendLocalReply(call, abortedReply());
  if (call.engineCall !== null && call.hasCrashed) return sendLocalReply(call, poison.reply());
  if (call.resumable?.isResuming)
    return sendLocalReply(call, notResumedReply(call, whyCutOff(call, failure)));
  if (isCutOff(call, attempt)) return sendLocalReply(call, notResumedReply(call, whyCutOff(call, failure)));
  const added = finalFields(call, failure);
  if (reply === null) finishWith(call, attempt!, added);
  else sendLocalReply(call, added.length === 0 ? reply : { ...reply, metadata: added[0]! });
}

/**
 * Whether an engine died with this request inside: its sidecar says so; where it has none, its connection broke; or its front says that the
 * engine behind it has died, and the request was there then: one that came later did not end it. INTERNAL in other words is an error of the request.
 */
function hasLostEngine(
  { config, context }: UpstreamState,
  { deathWords }: EngineCodec,
  attempt: OutboundAttempt,
): boolean {
  const { ended, status, silence, startMs, traits, trailers } = attempt;
  if ((traits & LOST_PROCESS) !== 0) return true;
  if (ended === AttemptEnd.connectionLost) return config.tls !== 'mesh';
  if (ended !== AttemptEnd.trailers || status !== Status.INTERNAL || deathWords === '') return false;
  const words = trailers === null ? undefined : fieldValue(trailers, Token.grpcMessage);
  if (words?.startsWith(deathWords) !== true) return false;
  return silence === null || silence.die(startMs, context.nowMs);
}

/** Whether the attempt was left as its engine sent nothing to anybody, and had not begun to before this request came. */
function hasStalledEngine({ lastResponseMs, context }: OutboundCall, attempt: OutboundAttempt): boolean {
  const { isSilent, isHeard, silence, startMs } = attempt;
  if (!isSilent || silence === null) return false;
  return silence.hasStalled(startMs, isHeard ? lastResponseMs : NEVER, context.nowMs);
}

/** Whether the engine broke in the middle of an answer that no other one could, or may, go on with. */
function isCutOff(call: OutboundCall, attempt: OutboundAttempt | null): boolean {
  const { engineCall, resumable, match } = call;
  if (engineCall === null || attempt === null || !call.isCommitted) return false;
  // What its route says of silence is the better reason.
  if (engineCall.obstacle === '' && (resumable === null || attempt.isSilent)) return false;
  return (
    attempt.ended !== AttemptEnd.trailers || match.plan.config.retry?.on.includes(attempt.status) === true
  );
}

function whyCutOff({ engineCall, resumable }: OutboundCall, { reply, attempt }: Failure): string {
  const obstacle = resumable === null || resumable.isSpent ? engineCall!.obstacle : '';
  return obstacle || (reply?.message ?? `status ${attempt!.status}`);
}

/** The endpoint that was to go on with a stream does not. @param why in words that follow its name. */
export function breakOff(way: CallWay, call: OutboundCall, attempt: OutboundAttempt, why: string): void {
  attempt.reason = why;
  stopAttempts(call, AttemptEnd.cancelled);
  if (why === OTHER_MODEL) attempt.endpoint.engineModel = engineModelIn(attempt.head!);
  if (why === OTHER_MODEL && askNext(way, call, attempt) === Next.handled) return;
  if (why === OTHER_TOKENS && resumeApart(way, call, attempt) === Next.handled) return;
  sendLocalReply(call, notResumedReply(call, `${attempt.endpoint.label} ${why}`));
}

/** The engine has done nothing wrong, and runs another model: one of those that the call has not tried may run the same. */
function askNext(way: CallWay, call: OutboundCall, attempt: OutboundAttempt): Next {
  call.tried = [...call.tried, attempt.endpoint];
  if (countAttempts(call, attempt) >= MAX_ATTEMPTS || !hasUntried(call)) return Next.continue;
  return askOnce(way, call);
}

/**
 * The engine makes another token than the one before, as batching may do in bfloat16. Where the route lets an answer go on so, any engine goes on behind the
 * tokens that the caller has; this one has just read them.
 */
function resumeApart(way: CallWay, call: OutboundCall, attempt: OutboundAttempt): Next {
  if (call.engineCall!.ends === null || countAttempts(call, attempt) >= MAX_ATTEMPTS) return Next.continue;
  if (!call.resumable!.complete(call)) return askOnce(way, call);
  finishComplete(call);
  return Next.handled;
}

function askOnce(way: CallWay, call: OutboundCall): Next {
  call.resumable!.restart(call);
  call.takeExtra();
  way.state.retries++;
  call.stats!.retries++;
  way.attempt(call);
  return Next.handled;
}

/** The deadline of the call has passed. */
export function expire({ breaker }: UpstreamState, call: OutboundCall): void {
  recordPrimaryDeadline(call);
  call.degraded = '';
  const missing = breaker.leave(call) ? breaker.missingFor(call) : '';
  expireCall(call, deadlineReply(call, missing));
}

/** Nothing has moved for the idle timeout. */
export function expireIdle(call: OutboundCall): void {
  stopAttempts(call, AttemptEnd.deadline);
  call.degraded = '';
  expireCall(call, idleReply(call));
}

// ---- the call is over ----

/** However it ended: by its caller, a drain or a shortage of memory as well. */
export function finish(state: UpstreamState, call: OutboundCall, status: number): void {
  if (state.breaker.waitingCalls > 0) state.breaker.leave(call);
  if (call.wait !== null && call.wait.entry === Entry.own) countUnread(state, call);
  call.stats?.finish(status, state.context.nowMs - call.startMs);
  if (call.breaker !== null) call.leaveBreaker();
  if (call.engineCall !== null) leaveEngineCalls(call);
  if (call.isCold) state.coldStart?.leave(call);
  if (call.fallback !== null) onFallbackFinish(call, call.fallback, status);
  if (call.observer !== null) call.observer.onFinish(call, status);
}

/** The call ended before its model could be read: it counts under its method. */
function countUnread({ router }: UpstreamState, call: OutboundCall): void {
  call.stats = router.routes.match(headerViewOf(call.block).path)?.stats ?? null;
  call.stats?.begin();
  if (call.reason !== '') call.stats?.countReason(call.reason);
}
