/**
 * Outcomes of the last ten buckets of time, counted exactly: what is older counts for nothing, and a silence longer than
 * the window leaves nothing. A moving average would give a tight burst of faults almost no weight (linkerd's reason for
 * the same ring). Rotated when it is fed or read, so that idle endpoints cost nothing; feeding it allocates nothing.
 */

export const BUCKETS = 10;
const KINDS = 3;
const SUCCESS = 0;
const FAULT = 1;
const OVERLOAD = 2;

export class RingWindow {
  /** In the window as of the last `moveTo` or count. */
  successes = 0;
  faults = 0;
  /** The endpoint was full: no fault, and no success either. */
  overloads = 0;
  private readonly counts = new Uint32Array(BUCKETS * KINDS);
  /** Number of the bucket of time that is filled now, and where it lies in `counts`. */
  private bucket = Number.NEGATIVE_INFINITY;
  private at = 0;

  /** @param bucketMs length of a bucket; the window is nine to ten of them. */
  constructor(private readonly bucketMs = 1_000) {}

  success(nowMs: number): void {
    this.moveTo(nowMs);
    this.successes += 1;
    this.counts[this.at + SUCCESS]! += 1;
  }

  fault(nowMs: number): void {
    this.moveTo(nowMs);
    this.faults += 1;
    this.counts[this.at + FAULT]! += 1;
  }

  overload(nowMs: number): void {
    this.moveTo(nowMs);
    this.overloads += 1;
    this.counts[this.at + OVERLOAD]! += 1;
  }

  /** Forgets what has become too old by `nowMs`. */
  moveTo(nowMs: number): void {
    const bucket = Math.floor(nowMs / this.bucketMs);
    if (bucket > this.bucket) this.rotate(bucket);
  }

  clear(): void {
    this.counts.fill(0);
    this.successes = 0;
    this.faults = 0;
    this.overloads = 0;
  }

  private rotate(bucket: number): void {
    const passed = bucket - this.bucket;
    this.bucket = bucket;
    if (passed >= BUCKETS) {
      this.clear();
      this.at = 0;
      return;
    }
    const { counts } = this;
    for (let i = 0; i < passed; i += 1) {
      this.at = (this.at + KINDS) % counts.length;
      this.successes -= counts[this.at + SUCCESS]!;
      this.faults -= counts[this.at + FAULT]!;
      this.overloads -= counts[this.at + OVERLOAD]!;
      counts[this.at + SUCCESS] = 0;
      counts[this.at + FAULT] = 0;
      counts[this.at + OVERLOAD] = 0;
    }
  }
}
