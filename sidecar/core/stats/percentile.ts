import { RecentTimes } from './histogram.js';

/** Latencies of the present and of the previous span of this length count, ms. */
export const SPAN_MS = 15_000;
/** Time for which a result is reused, ms. */
const REMEMBERED_MS = 100;
/** Eight buckets to a doubling: a result is at most 1/8 too high. */
const STEP_BITS = 3;
const DOUBLINGS = 28;
/** Samples below which there is no result. */
const MIN_SAMPLES = 20;

/** There are too few samples. */
export const UNKNOWN = -1;

/** Percentiles of recent latencies, ms, from a histogram (histogram.ts). A result is reused for 100 ms, as every call asks. */
export class Percentile {
  private readonly times = new RecentTimes(SPAN_MS, STEP_BITS, DOUBLINGS);
  private known = UNKNOWN;
  private knownRatio = 0;
  private knownUntilMs = Number.NEGATIVE_INFINITY;

  /** Samples that count now. */
  get count(): number {
    return this.times.count;
  }

  /** One latency, or a lower bound of it. */
  record(elapsedMs: number, nowMs: number): void {
    this.times.record(elapsedMs, nowMs);
  }

  /**
   * The time that `ratio` (0 to 1) of the recent latencies stayed below, ms; UNKNOWN with fewer than 20 of them, or than it
   * takes for one to lie beyond.
   */
  at(ratio: number, nowMs: number): number {
    if (nowMs < this.knownUntilMs && ratio === this.knownRatio) return this.known;
    this.times.forget(nowMs);
    const { count } = this;
    const isKnown = count >= MIN_SAMPLES && count * (1 - ratio) >= 1 - 1e-9;
    this.known = isKnown ? this.times.quantile(ratio) : UNKNOWN;
    this.knownRatio = ratio;
    this.knownUntilMs = nowMs + REMEMBERED_MS;
    return this.known;
  }
}
