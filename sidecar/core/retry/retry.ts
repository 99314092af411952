/**
 * May a call be tried again, and when? The only place that decides it. Three kinds of end are told apart: those
 * after which the call was certainly never processed (always safe), refusals that say so themselves, and the
 * rest, which need a route that is idempotent and asks for retries.
 */

import { AttemptEnd, isNeverProcessed } from '../outcome/outcome.js';
import { Status } from '../outcome/status.js';
import { fullJitterMs } from './backoff.js';
import type { CircuitBreakerLimits } from './circuit-breaker.js';
import type { RetryBudget } from './retry-budget.js';

/** Attempts of one call in all, whatever their kind. */
export const MAX_ATTEMPTS = 8;
/** Wait before a never-processed call goes back to the only endpoint there is: time to make a new connection. */
const SAME_ENDPOINT_BASE_MS = 25;
const SAME_ENDPOINT_MAX_MS = 250;
/** A call without a deadline is not kept waiting for longer than this because a server asks for it: it holds its place, and its caller's patience, all the while. */
export const LONGEST_PUSHBACK_MS = 60_000;

/** No `grpc-retry-pushback-ms` came with the answer. */
export const NO_PUSHBACK = Number.POSITIVE_INFINITY;

/** Why there is no further attempt. Negative, so that `decide` can answer with one number. */
export const NoRetry = {
  /** The end is not one that another attempt could better, or the route does not allow it. */
  notRetryable: -1,
  /** Bytes of the response have reached the caller. */
  committed: -2,
  /** The request is no longer held in full. */
  notHeld: -3,
  /** As many attempts as are allowed were made. */
  exhausted: -4,
  /** The budget of the upstream is spent. */
  overBudget: -5,
  /** The wait would pass the deadline. */
  noTime: -6,
  /** The server asked not to be tried again, or not before a call without a deadline may wait. */
  pushback: -7,
  /** The breaker lets no more extra attempts through. */
  overBreaker: -8,
} as const;
export type NoRetry = (typeof NoRetry)[keyof typeof NoRetry];

/** The route's part in it. Without `retry` only never-processed calls and marked refusals are tried again. */
export interface RetryRoute {
  readonly idempotent: boolean;
  readonly retry?: {
    /** Attempts in all, the first included. */
    readonly attempts: number;
    readonly on: readonly number[];
    readonly backoff: { readonly baseMs: number; readonly maxMs: number };
  };
}

/** What is true of the call and the attempt that just ended. The relay's own objects may carry it: nothing here is kept. */
export interface RetryFacts {
  readonly ended: AttemptEnd;
  /** Final status of the attempt; for resets the one its code maps to. */
  readonly status: number;
  /** `parsePushback` of the trailer, NO_PUSHBACK without one. */
  readonly pushbackMs: number;
  /** The answer carried `outrider-unprocessed`: it was refused before any work. */
  readonly isMarkedUnprocessed: boolean;
  /** Bytes of the response (or its headers) have been given to the caller. */
  readonly isCommitted: boolean;
  /** The whole request so far can be sent again. */
  readonly isRequestHeld: boolean;
  /** An eligible endpoint is left that this call has not tried. */
  readonly isOtherAvailable: boolean;
  /** Until the call's deadline; Infinity without one. */
  readonly timeLeftMs: number;
  /** Bounds extra attempts; asked last, so that it counts only what it prevents. Null or absent: no bound. */
  readonly breaker?: CircuitBreakerLimits | null;
}

/** What a call remembers of its attempts. One per call; may be reused after `reset`. */
export class RetryState {
  /** Attempts begun, the first included. */
  attempts = 0;
  /** Attempts that may have been processed. Only these count against the route's limit. */
  processed = 0;
  /** Marked refusals followed by another attempt. */
  refusals = 0;
  /** Returns to the same, only endpoint after never-processed ends. */
  returns = 0;
  /** A copy that failed while another was under way forbade further ones. */
  isForbidden = false;

  reset(): void {
    this.attempts = 0;
    this.processed = 0;
    this.refusals = 0;
    this.returns = 0;
    this.isForbidden = false;
  }
}

/** One of two copies failed, and the other is still under way: nothing is decided, but it counts. */
export function noteFailure(state: RetryState, { ended, pushbackMs }: RetryFacts): void {
  if (isNeverProcessed(ended)) return;
  state.processed += 1;
  if (!(pushbackMs >= 0)) state.isForbidden = true;
}

/** Milliseconds in a `grpc-retry-pushback-ms` trailer; NaN when malformed or negative, which both mean never (gRFC A6). */
export function parsePushback(value: string): number {
  return /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
}

/**
 * The wait in ms (0 = at once) before the next attempt, or a `NoRetry` below zero. Takes from the budget when it
 * grants an attempt that needs it, so ask once, and only when the attempt would be made.
 * `state.attempts` must include the attempt that just ended.
 */
export function decideRetry(
  state: RetryState,
  facts: RetryFacts,
  route: RetryRoute,
  budget: RetryBudget,
  random: () => number,
  nowMs: number,
): number {
  if (facts.isCommitted) return NoRetry.committed;
  if (isNeverProcessed(facts.ended)) return afterNeverProcessed(state, facts, random);
  state.processed += 1;
  if (facts.ended === AttemptEnd.trailers && facts.status === Status.OK) return NoRetry.notRetryable;
  if (facts.ended === AttemptEnd.cancelled || facts.ended === AttemptEnd.deadline)
    return NoRetry.notRetryable;
  if (state.isForbidden || !(facts.pushbackMs >= 0)) return NoRetry.pushback;
  if (
    facts.isMarkedUnprocessed &&
    (facts.ended === AttemptEnd.trailers || facts.ended === AttemptEnd.attemptTimeout) &&
    facts.isOtherAvailable &&
    state.refusals === 0
  ) {
    return afterMarkedRefusal(state, facts, budget, nowMs);
  }
  return afterFailure(state, facts, route, budget, random, nowMs);
}

/** Nothing was done anywhere, so neither the route nor the budget is asked: once at every other endpoint, once more at the only one. */
function afterNeverProcessed(state: RetryState, facts: RetryFacts, random: () => number): number {
  if (!facts.isRequestHeld) return NoRetry.notHeld;
  if (state.attempts >= MAX_ATTEMPTS) return NoRetry.exhausted;
  if (facts.isOtherAvailable) {
    if (!(facts.timeLeftMs > 0)) return NoRetry.noTime;
    return isHeldBack(facts) ? NoRetry.overBreaker : 0;
  }
  if (state.returns > 0) return NoRetry.exhausted;
  const delayMs = fullJitterMs(state.attempts, SAME_ENDPOINT_BASE_MS, SAME_ENDPOINT_MAX_MS, random);
  if (delayMs >= facts.timeLeftMs) return NoRetry.noTime;
  if (isHeldBack(facts)) return NoRetry.overBreaker;
  state.returns += 1;
  return delayMs;
}

/** The endpoint is full or not ready and says that it did nothing. Its pushback binds itself, not the others. */
function afterMarkedRefusal(
  state: RetryState,
  facts: RetryFacts,
  budget: RetryBudget,
  nowMs: number,
): number {
  if (!facts.isRequestHeld) return NoRetry.notHeld;
  if (state.attempts >= MAX_ATTEMPTS) return NoRetry.exhausted;
  if (!(facts.timeLeftMs > 0)) return NoRetry.noTime;
  if (isHeldBack(facts)) return NoRetry.overBreaker;
  if (!budget.withdraw(nowMs)) return NoRetry.overBudget;
  state.refusals += 1;
  state.processed -= 1;
  return 0;
}

function afterFailure(
  state: RetryState,
  facts: RetryFacts,
  route: RetryRoute,
  budget: RetryBudget,
  random: () => number,
  nowMs: number,
): number {
  const { retry } = route;
  if (retry === undefined || !route.idempotent) return NoRetry.notRetryable;
  if (facts.ended === AttemptEnd.trailers && !retry.on.includes(facts.status)) return NoRetry.notRetryable;
  if (!facts.isRequestHeld) return NoRetry.notHeld;
  if (state.processed >= retry.attempts || state.attempts >= MAX_ATTEMPTS) return NoRetry.exhausted;
  const backoffMs = fullJitterMs(state.processed, retry.backoff.baseMs, retry.backoff.maxMs, random);
  const isBound = facts.pushbackMs !== NO_PUSHBACK && !facts.isOtherAvailable;
  const delayMs = isBound ? facts.pushbackMs : backoffMs;
  if (delayMs >= facts.timeLeftMs) return NoRetry.noTime;
  if (isBound && facts.timeLeftMs === Number.POSITIVE_INFINITY && delayMs > LONGEST_PUSHBACK_MS)
    return NoRetry.pushback;
  if (isHeldBack(facts)) return NoRetry.overBreaker;
  if (!budget.withdraw(nowMs)) return NoRetry.overBudget;
  return delayMs;
}

function isHeldBack({ breaker }: RetryFacts): boolean {
  return breaker?.mayRetry() === false;
}
