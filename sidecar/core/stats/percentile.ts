/**
 * What share of recent latencies lay below which time: counted in buckets, eight to each doubling, over the present
 * span and the one before it. Cheap to feed (one increment), exact in forgetting: what is older than two spans counts
 * for nothing. The answer is remembered for a moment, for it is asked for at every call.
 */
import { RecentTimes } from './histogram.js';

/** Latencies of this and of the previous span of time are known, ms. */
export const SPAN_MS = 15_000;
/** How long an answer is good for, ms. */
const REMEMBERED_MS = 100;
/** Eight buckets to a doubling: an answer is at most 1/8 too high. */
const STEP_BITS = 3;
const DOUBLINGS = 28;
/** Fewer samples say nothing. */
const MIN_SAMPLES = 20;

/** Nobody knows yet. */
export const UNKNOWN = -1;

export class Percentile {
  private readonly times = new RecentTimes(SPAN_MS, STEP_BITS, DOUBLINGS);
  private known = UNKNOWN;
  private knownRatio = 0;
  private knownUntilMs = Number.NEGATIVE_INFINITY;

  /** Samples that count now. */
  get count(): number {
    return this.times.count;
  }

  /** One latency, or the least it would have been. */
  record(elapsedMs: number, nowMs: number): void {
    this.times.record(elapsedMs, nowMs);
  }

  /**
   * The time that `ratio` (0 to 1) of the recent latencies stayed below, ms; UNKNOWN while there are too few of them: 20,
   * or as many as it takes for one to lie beyond.
   */
  at(ratio: number, nowMs: number): number {
    if (nowMs < this.knownUntilMs && ratio === this.knownRatio) return this.known;
    this.times.forget(nowMs);
    this.known = this.find(ratio);
    this.knownRatio = ratio;
    this.knownUntilMs = nowMs + REMEMBERED_MS;
    return this.known;
  }

  private find(ratio: number): number {
    const { count } = this;
    if (count < MIN_SAMPLES || count * (1 - ratio) < 1 - 1e-9) return UNKNOWN;
    return this.times.quantile(ratio);
  }
}
