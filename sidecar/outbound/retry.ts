import type { Endpoint } from '../cluster/endpoint.js';
import { AttemptTrait } from '../core/outcome/classify-attempt.js';
import { AttemptEnd } from '../core/outcome/outcome.js';
import { decideRetry } from '../core/retry/decide-retry.js';
import {
  MESSAGES_FAR,
  NO_PUSHBACK,
  notePause,
  parsePushback,
  pauseLeftMs,
  type RetryFacts,
  RetryState,
} from '../core/retry/retry-state.js';
import { fieldValue, headerViewOf } from '../http2/header-view.js';
import { Token } from '../http2/hpack/tokens.js';
import type { DataPlaneContext } from '../transport/context.js';
import { modelIn } from './attempt-facts.js';
import type { OutboundAttempt, OutboundCall } from './call.js';
import { hasRoom, hasUntried, unconnected } from './candidates.js';
import { pauseMsOf } from './pauses.js';
import { isIncomplete, staysAtHome } from './sequence-home.js';

/**
 * The wait in ms (0 = at once) before the next attempt of a call, or a `NoRetry` below zero. Takes from the retry budget of
 * the cluster when it grants one. The rules are those of core/retry/decide-retry.ts.
 */
export function retryWaitMs(call: OutboundCall, attempt: OutboundAttempt, context: DataPlaneContext): number {
  const { nowMs, random } = context;
  call.retry ??= new RetryState();
  call.retry.attempts = call.attemptsHere - call.retry.before;
  noteFailure(call.retry, attempt, nowMs);
  call.retry.decision = decideRetry({
    state: call.retry,
    facts: retryFacts(call, attempt, nowMs),
    route: call.match.plan.config,
    budget: call.cluster.budget,
    random,
    nowMs,
  });
  return call.retry.decision;
}

/** Messages of a stream that this attempt, its last one, has passed on; 0 where nothing counts them. */
export function messagesBy({ resumable }: OutboundCall, { resumedAfter }: OutboundAttempt): number {
  return resumable === null ? 0 : resumable.messages - Math.max(0, resumedAfter);
}

/** A stream that has got far at this endpoint, its last one, begins its count of attempts anew there. */
export function hasGotFar(call: OutboundCall, attempt: OutboundAttempt): boolean {
  return messagesBy(call, attempt) >= MESSAGES_FAR;
}

/** Attempts that count against the most that there may be, the present one included. */
export function countAttempts(call: OutboundCall, attempt: OutboundAttempt): number {
  if (hasGotFar(call, attempt)) return 1;
  return call.attemptsHere - (call.retry?.before ?? 0) - (call.retry?.lost ?? 0);
}

/** What is true of a call and of the attempt that just ended, for the decision whether another follows. */
export function retryFacts(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): RetryFacts {
  const { resumable } = call;
  const isMarkedUnprocessed = (attempt.traits & AttemptTrait.unprocessed) !== 0;
  const isOverRate = isMarkedUnprocessed && (attempt.traits & AttemptTrait.overRate) !== 0;
  const stays = staysAtHome(call, attempt);
  return {
    ended: attempt.ended as AttemptEnd,
    status: attempt.status,
    pushbackMs: pushbackOf(attempt),
    pauseMs: stays ? pauseLeftMs(call.retry!, attempt.endpoint, nowMs) : pauseMsOf(call, attempt, nowMs),
    isMarkedUnprocessed,
    isOverRate,
    isRefutedTrial: attempt.isRefutedTrial,
    isRequestIncomplete: isIncomplete(call, attempt),
    isCommitted: call.isCommitted && resumable === null,
    streamMs: resumable === null || resumable.isResuming ? 0 : nowMs - attempt.startMs,
    isEngineLost: attempt.isEngineLost && resumable !== null,
    isMoved: hasMoved(call, attempt),
    isLastMove: attempt.isLastMove,
    isRequestHeld: call.hasRequest,
    isOtherAvailable: !stays && hasOther(call, attempt),
    isOtherFree: !stays && isMarkedUnprocessed && !isOverRate && hasRoom(call, nowMs),
    timeLeftMs: call.deadlineMs - nowMs,
    breaker: call.breaker === null ? null : call.breaker.limits,
    method: headerViewOf(call.block).path,
    shortDeadlines: call.cluster.shortDeadlines,
  };
}

function pushbackOf({ trailers }: OutboundAttempt): number {
  const text = trailers === null ? undefined : fieldValue(trailers, Token.grpcRetryPushbackMs);
  return text === undefined ? NO_PUSHBACK : parsePushback(text);
}

/** An attempt has failed: its endpoint may have asked for a pause. */
export function noteFailure(state: RetryState, attempt: OutboundAttempt, nowMs: number): void {
  notePause(state, attempt.endpoint, pushbackOf(attempt), nowMs);
}

/**
 * Whether a language-model engine has died under the call, or stops, for the first time since it got on: load that an engine had goes to the others
 * once.
 */
function hasMoved(call: OutboundCall, attempt: OutboundAttempt): boolean {
  if (call.engineCall === null) return false;
  const isLost =
    attempt.isEngineLost || attempt.isEngineStopping || attempt.ended === AttemptEnd.connectionLost;
  return isLost && (attempt.number === 0 || messagesBy(call, attempt) > 0);
}

/** Whether another endpoint can take the call. One that is not connected yet can, where discovery has taken the present one away. */
function hasOther(call: OutboundCall, { endpoint }: OutboundAttempt): boolean {
  const { cluster, tried } = call;
  if (hasUntried(call)) return true;
  // It has left, or its cluster has gone and the call has another.
  const hasLeft = !cluster.endpoints.includes(endpoint);
  return hasLeft && unconnected(call, tried as Endpoint[]) !== undefined;
}

/** Whether no endpoint of the call's cluster serves the model it names, as each has said within the last 2 s. */
export function isServedNowhere(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): boolean {
  if ((attempt.traits & AttemptTrait.modelNotServed) === 0) return false;
  const { unservedModels, endpoints } = call.cluster;
  const model = modelIn(attempt.trailers!)!;
  return unservedModels.isServedNowhere(model, attempt.endpoint, endpoints, nowMs);
}

/** Whether the attempt was never begun for want of an identity of our own, of which there has been none yet. */
export function lacksIdentity(call: OutboundCall, { ended }: OutboundAttempt): boolean {
  return ended === AttemptEnd.unconnected && !call.cluster.hasIdentity;
}
