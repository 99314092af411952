/**
 * What share of recent latencies lay below which time: counted in buckets, eight to each doubling, over the present
 * span and the one before it. Cheap to feed (one increment), exact in forgetting: what is older than two spans counts
 * for nothing. The answer is remembered for a moment, for it is asked for at every call.
 */

/** Latencies of this and of the previous span of time are known, ms. */
export const SPAN_MS = 15_000;
/** How long an answer is good for, ms. */
const REMEMBERED_MS = 100;
/** Buckets begin at 1/16 ms; eight of them to a doubling: an answer is at most 1/8 too high. */
const PER_MS = 16;
const STEPS = 8;
const BUCKETS = 28 * STEPS;
/** Fewer samples say nothing. */
const MIN_SAMPLES = 20;

/** Nobody knows yet. */
export const UNKNOWN = -1;

export class Percentile {
  private present = new Uint32Array(BUCKETS);
  private previous = new Uint32Array(BUCKETS);
  private presentCount = 0;
  private previousCount = 0;
  private span = Number.NEGATIVE_INFINITY;
  private known = UNKNOWN;
  private knownRatio = 0;
  private knownUntilMs = Number.NEGATIVE_INFINITY;

  /** Samples that count now. */
  get count(): number {
    return this.presentCount + this.previousCount;
  }

  /** One latency, or the least it would have been. */
  record(elapsedMs: number, nowMs: number): void {
    this.forget(nowMs);
    this.present[bucketOf(elapsedMs)]!++;
    this.presentCount++;
  }

  /**
   * The time that `ratio` (0 to 1) of the recent latencies stayed below, ms; UNKNOWN while there are too few of them: 20,
   * or as many as it takes for one to lie beyond.
   */
  at(ratio: number, nowMs: number): number {
    if (nowMs < this.knownUntilMs && ratio === this.knownRatio) return this.known;
    this.forget(nowMs);
    this.known = this.find(ratio);
    this.knownRatio = ratio;
    this.knownUntilMs = nowMs + REMEMBERED_MS;
    return this.known;
  }

  private find(ratio: number): number {
    const { count } = this;
    if (count < MIN_SAMPLES || count * (1 - ratio) < 1 - 1e-9) return UNKNOWN;
    let left = ratio * count;
    for (let i = 0; i < BUCKETS; i++) {
      const here = this.present[i]! + this.previous[i]!;
      if (here >= left && here > 0) return floorOf(i) + (floorOf(i + 1) - floorOf(i)) * (left / here);
      left -= here;
    }
    return floorOf(BUCKETS);
  }

  private forget(nowMs: number): void {
    const span = Math.floor(nowMs / SPAN_MS);
    if (span <= this.span) return;
    const spare = this.previous;
    spare.fill(0);
    if (span === this.span + 1) {
      this.previous = this.present;
      this.previousCount = this.presentCount;
      this.present = spare;
    } else {
      this.present.fill(0);
      this.previousCount = 0;
    }
    this.presentCount = 0;
    this.span = span;
  }
}

function bucketOf(elapsedMs: number): number {
  const units = Math.min(elapsedMs * PER_MS, 0x7fff_ffff) | 0;
  if (units < STEPS) return Math.max(units, 0);
  const doublings = 31 - Math.clz32(units) - 3;
  return Math.min(doublings * STEPS + (units >>> doublings), BUCKETS - 1);
}

/** The least latency of a bucket, ms. */
function floorOf(bucket: number): number {
  if (bucket < STEPS) return bucket / PER_MS;
  const doublings = Math.floor(bucket / STEPS) - 1;
  return ((bucket - doublings * STEPS) * 2 ** doublings) / PER_MS;
}
