/**
 * How long an answer is waited for that comes over the same event loop as a model's work: busy is not sick, and what
 * busy means depends on the model.
 */
import { RecentTimes } from '../stats/histogram.js';

/** An answer is waited for at least and at most this long, where nobody says how long. */
const LEAST_TIMEOUT_MS = 1_000;
const MOST_TIMEOUT_MS = 60_000;
/** It comes after the work that was there first: the run that is on, and what was given to the model with it or next. */
const TIMEOUT_FACTOR = 3;

/**
 * How long to wait for an answer that comes after the work of a model, ms.
 * @param usualMs near the longest of what its calls took lately; 0: not known.
 */
export function answerTimeoutMs(usualMs: number, leastMs = LEAST_TIMEOUT_MS): number {
  return Math.min(MOST_TIMEOUT_MS, Math.max(leastMs, Math.ceil(TIMEOUT_FACTOR * usualMs)));
}

/** The same where checks come every `intervalMs`: those that come faster than once a second would wait no longer. */
export function checkTimeoutMs(usualMs: number, intervalMs: number): number {
  return answerTimeoutMs(usualMs, Math.min(LEAST_TIMEOUT_MS, intervalMs));
}

/** Calls of this and of the previous span of time are known, ms: of a slow model there would be too few in a shorter one. */
const SPAN_MS = 30_000;
/** Four buckets to a doubling: an eighth more or less is nothing beside the factor. */
const STEP_BITS = 2;
const DOUBLINGS = 26;

/** What the unary calls of an upstream took lately. */
export class CallTimes {
  private readonly times = new RecentTimes(SPAN_MS, STEP_BITS, DOUBLINGS);

  /** One that succeeded: what a frozen endpoint takes says nothing about its work. */
  record(elapsedMs: number, nowMs: number): void {
    this.times.record(elapsedMs, nowMs);
  }

  /**
   * The time that 99 % of them stayed below, ms; 0: there are none. Of few it is the longest: a model that takes seconds
   * has no hundred calls, and one that is waited for too long is not convicted of anything.
   */
  p99Ms(nowMs: number): number {
    this.times.forget(nowMs);
    return this.times.count === 0 ? 0 : this.times.quantile(0.99);
  }
}
