import { type AttemptEnd, isNeverProcessed } from '../outcome/outcome.js';
import type { CircuitBreakerLimits } from './breaker-limits.js';
import type { RetryBudget } from './retry-budget.js';
import type { ShortDeadlines } from './short-deadlines.js';

/** Attempts of one call in all, whatever their kind; of a stream, since it last got far at an endpoint. */
export const MAX_ATTEMPTS = 8;
/** A stream has got far at an endpoint that brought so many messages: the end of that endpoint says nothing of it. */
export const MESSAGES_FAR = 16;
/** Engines that may die under an answer, since it last got far: what ends such an answer sooner is what their deaths say of it. */
export const MOST_LOST = 32;
/**
 * Longest wait, ms, that a server may ask for by pushback of a call without a deadline, which holds its place among the
 * calls in flight meanwhile.
 */
export const LONGEST_PUSHBACK_MS = 60_000;

/** No `grpc-retry-pushback-ms` came with the answer. */
export const NO_PUSHBACK = Number.POSITIVE_INFINITY;

/** Why there is no further attempt. Negative, so that a decision is one number. */
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
  /** Until one of the endpoints that are left has had the pause that it asked the call for, ms. Absent or 0: one has, or asked for none. */
  readonly pauseMs?: number;
  /** The answer carried `outrider-unprocessed`: it was refused before any work. */
  readonly isMarkedUnprocessed: boolean;
  /** It was so refused because its caller is over its rate there. Absent: it was not. */
  readonly isOverRate?: boolean;
  /** The trial of an endpoint that is ejected for invalid answers, with another one of these under the status OK. Absent: it is not. */
  readonly isRefutedTrial?: boolean;
  /** The connection was lost before the message of a unary call had been sent whole. Absent: it was not. */
  readonly isRequestIncomplete?: boolean;
  /** Bytes of the response (or its headers) have been given to the caller. */
  readonly isCommitted: boolean;
  /** For how long the endpoint had a stream that it has got on with, and which another may resume, ms. Absent or 0: it is no such stream. */
  readonly streamMs?: number;
  /** Its endpoint has died under the call, which has made no other attempt since it got on. Absent: it has not. */
  readonly isMoved?: boolean;
  /** The language-model engine of such a stream has died. Its attempt does not count: engine-deaths.ts says when the request is at fault. */
  readonly isEngineLost?: boolean;
  /** Engines fell silent under it as often as they may without evidence whether they hang. Absent: they have not. */
  readonly isLastMove?: boolean;
  /** The whole request so far can be sent again. */
  readonly isRequestHeld: boolean;
  /** An eligible endpoint is left that this call has not tried. */
  readonly isOtherAvailable: boolean;
  /** One of these reports that it has room for the call, and the one before had none. Absent: none says so. */
  readonly isOtherFree?: boolean;
  /** Until the call's deadline; Infinity without one. */
  readonly timeLeftMs: number;
  /** Bounds extra attempts; asked last, so that it counts only what it prevents. Null or absent: no bound. */
  readonly breaker?: CircuitBreakerLimits | null;
  readonly method?: string;
  /** Of the cluster: whether calls of the method are answered in so little time. Absent: nothing is known. */
  readonly shortDeadlines?: ShortDeadlines;
}

/** What an endpoint asked a call for by its pushback: none of its attempts until then. */
export interface Pause {
  readonly endpoint: object;
  readonly untilMs: number;
}

/** What a call remembers of its attempts. One per call; may be reused after `reset`. */
export class RetryState {
  /** Attempts begun, the first included, without those before. */
  attempts = 0;
  /** Attempts that a stream had before the last one at which it got far: they no longer count. */
  before = 0;
  /** Attempts that may have been processed. Only these count against the route's limit. */
  processed = 0;
  /** Engines that have died under it, of these attempts. */
  lost = 0;
  /** Marked refusals followed by another attempt. */
  refusals = 0;
  /** The same of those because its caller is over its rate. */
  overRate = 0;
  /** Returns to the same, only endpoint after never-processed ends. */
  returns = 0;
  /** A hedged attempt that failed while the other ran asked not to be tried again (`grpc-retry-pushback-ms`). */
  isForbidden = false;
  /** The pauses that endpoints asked the call for; null: none did. */
  pauses: Pause[] | null = null;
  /** What was decided last: the wait in ms, or a `NoRetry`. */
  decision = 0;
}

/** One of two hedged attempts failed while the other runs: nothing is decided, but the failure counts. */
export function recordFailure(state: RetryState, { ended, pushbackMs }: RetryFacts): void {
  if (isNeverProcessed(ended)) return;
  state.processed += 1;
  if (!(pushbackMs >= 0)) state.isForbidden = true;
}

/** Notes the pause that an endpoint asked for, in place of one from before. @param pushbackMs of `RetryFacts`. */
export function notePause(state: RetryState, endpoint: object, pushbackMs: number, nowMs: number): void {
  if (!(pushbackMs > 0) || pushbackMs === NO_PUSHBACK) return;
  const others = (state.pauses ?? []).filter((pause) => pause.endpoint !== endpoint);
  state.pauses = [...others, { endpoint, untilMs: nowMs + pushbackMs }];
}

/** Until the endpoint has had its pause, ms; 0: it asked for none, or has had it. */
export function pauseLeftMs({ pauses }: RetryState, endpoint: object, nowMs: number): number {
  const pause = pauses?.find((each) => each.endpoint === endpoint);
  return pause === undefined ? 0 : Math.max(0, pause.untilMs - nowMs);
}

/** Milliseconds in a `grpc-retry-pushback-ms` trailer; NaN when malformed or negative, which both mean never (gRFC A6). */
export function parsePushback(value: string): number {
  return /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
}

/** What a rule decides by: the attempt that just ended, and what is left of budgets and time. */
export interface RetryQuestion {
  /** Of the call; `attempts` includes the attempt that just ended. */
  readonly state: RetryState;
  readonly facts: RetryFacts;
  readonly route: RetryRoute;
  /** Of the cluster. A rule withdraws from it when it grants an attempt that needs it. */
  readonly budget: RetryBudget;
  readonly random: () => number;
  readonly nowMs: number;
}

/** The rule has nothing to say of this end: the next one in the table decides. */
export const PASS = Number.NEGATIVE_INFINITY;

/** One rule of the table in decide-retry.ts: a wait in ms (0 = at once), a `NoRetry` below zero, or `PASS`. */
export type RetryRule = (question: RetryQuestion) => number;

/** Whether a call has had as many attempts as one may have, whatever their kind. */
export function isWornOut({ attempts, lost }: RetryState): boolean {
  return attempts - lost >= MAX_ATTEMPTS || lost >= MOST_LOST;
}

/** Whether another attempt would only end by the deadline of the call. It costs others the budget, so ask where that is asked. */
export function isHopeless(
  { shortDeadlines, method = '', timeLeftMs }: RetryFacts,
  delayMs: number,
  nowMs: number,
): boolean {
  return shortDeadlines?.mayTry(method, timeLeftMs - delayMs, nowMs) === false;
}

/** Whether the circuit breaker lets no more extra attempts through; counts what it prevents, so ask last. */
export function isOverBreaker({ breaker }: RetryFacts): boolean {
  return breaker?.mayRetry() === false;
}
