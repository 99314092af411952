import { RecentTimes } from '../stats/histogram.js';

/** Bounds of the timeout where none is configured, ms. */
const LEAST_TIMEOUT_MS = 1_000;
const MOST_TIMEOUT_MS = 60_000;
/** Factor on the usual latency: a health response waits for the present run, and for what the model got with it or next. */
const TIMEOUT_FACTOR = 3;

/**
 * Timeout of a health check whose response waits behind the work of a model, ms: busy is not unhealthy.
 * @param usualMs about the longest latency of recent calls, ms; 0: not known.
 */
export function answerTimeoutMs(usualMs: number, leastMs = LEAST_TIMEOUT_MS): number {
  return Math.min(MOST_TIMEOUT_MS, Math.max(leastMs, Math.ceil(TIMEOUT_FACTOR * usualMs)));
}

/** The same for checks every `intervalMs`: below a second that is the least timeout. */
export function checkTimeoutMs(usualMs: number, intervalMs: number): number {
  return answerTimeoutMs(usualMs, Math.min(LEAST_TIMEOUT_MS, intervalMs));
}

/** Calls of the present and the previous span of this length count, ms: a slow model has too few calls in a shorter one. */
const SPAN_MS = 30_000;
/** Four buckets to a doubling: exact to an eighth, which is little beside TIMEOUT_FACTOR. */
const STEP_BITS = 2;
const DOUBLINGS = 26;

/** Recent latencies of the calls of an upstream; of streams, the times to their first message. */
export class CallTimes {
  private readonly times = new RecentTimes(SPAN_MS, STEP_BITS, DOUBLINGS);

  /** A call that succeeded; failed ones say nothing about the work. */
  record(elapsedMs: number, nowMs: number): void {
    this.times.record(elapsedMs, nowMs);
  }

  /**
   * 99th percentile, ms; 0: no calls. Of few calls it is the longest: a model that takes seconds has no hundred calls, and too
   * long a timeout is harmless.
   */
  p99Ms(nowMs: number): number {
    this.times.forget(nowMs);
    return this.times.count === 0 ? 0 : this.times.quantile(0.99);
  }
}
