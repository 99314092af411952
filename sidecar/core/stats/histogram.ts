/** Units of the finest bucket in a millisecond. */
export const PER_MS = 16;

/**
 * A histogram of durations in the present span of time and the one before it, in buckets of growing width: one increment to
 * record, and older ones are forgotten exactly.
 */
export class RecentTimes {
  private present: Uint32Array;
  private previous: Uint32Array;
  private presentCount = 0;
  private previousCount = 0;
  private span = Number.NEGATIVE_INFINITY;
  private readonly steps: number;

  /**
   * @param spanMs length of a span.
   * @param stepBits 2 to this power buckets to a doubling.
   * @param doublings of the finest bucket that are distinguished.
   */
  constructor(
    private readonly spanMs: number,
    private readonly stepBits: number,
    doublings: number,
  ) {
    this.steps = 1 << stepBits;
    this.present = new Uint32Array(doublings * this.steps);
    this.previous = new Uint32Array(doublings * this.steps);
  }

  /** Durations that count. */
  get count(): number {
    return this.presentCount + this.previousCount;
  }

  record(elapsedMs: number, nowMs: number): void {
    this.forget(nowMs);
    this.present[this.bucketOf(elapsedMs)]! += 1;
    this.presentCount += 1;
  }

  /** The time that `ratio` (0 to 1) of them stayed below, ms. Undefined while `count` is 0. */
  quantile(ratio: number): number {
    const buckets = this.present.length;
    let left = ratio * this.count;
    for (let i = 0; i < buckets; i += 1) {
      const here = this.present[i]! + this.previous[i]!;
      if (here > 0 && here >= left) {
        const floor = this.floorOf(i);
        return floor + (this.floorOf(i + 1) - floor) * (left / here);
      }
      left -= here;
    }
    return this.floorOf(buckets);
  }

  /** Drops what is too old at `nowMs`. */
  forget(nowMs: number): void {
    const span = Math.floor(nowMs / this.spanMs);
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

  private bucketOf(elapsedMs: number): number {
    const units = Math.min(elapsedMs * PER_MS, 0x7fff_ffff) | 0;
    if (units < this.steps) return Math.max(units, 0);
    const doublings = 31 - Math.clz32(units) - this.stepBits;
    return Math.min(doublings * this.steps + (units >>> doublings), this.present.length - 1);
  }

  /** Lower bound of a bucket, ms. */
  private floorOf(bucket: number): number {
    const { steps } = this;
    if (bucket < steps) return bucket / PER_MS;
    const doublings = Math.floor(bucket / steps) - 1;
    return ((bucket - doublings * steps) * 2 ** doublings) / PER_MS;
  }
}
