/** Buckets of a window. */
export const BUCKETS = 10;
const KINDS = 4;
const SUCCESS = 0;
const FAULT = 1;
const OVERLOAD = 2;
const FULL = 3;

/**
 * Outcomes of the last ten buckets of time, counted exactly in a ring: older ones do not count, and a pause longer than
 * the window leaves nothing. A moving average would give a short burst of faults almost no weight (linkerd2-proxy uses
 * the same ring for that reason). Moved on when it is written or read, so an idle endpoint costs nothing; no allocation.
 */
export class OutcomeWindow {
  /** Counts in the window as of the last `moveTo` or count. */
  successes = 0;
  faults = 0;
  /** Calls rejected because the endpoint was full, or takes none for a while: neither a fault nor a success. */
  overloads = 0;
  /** Those of them for which it had no place. */
  full = 0;
  private readonly counts = new Uint32Array(BUCKETS * KINDS);
  /** Number of the present bucket of time, and its offset in `counts`. */
  private bucket = Number.NEGATIVE_INFINITY;
  private at = 0;

  /** @param bucketMs length of a bucket, ms; the window covers nine to ten of them. */
  constructor(private readonly bucketMs = 1_000) {}

  /** Successes and faults. */
  get calls(): number {
    return this.successes + this.faults;
  }

  /** Share of successes among them, 0 to 1; 1 while there is no call. */
  get successRatio(): number {
    return this.calls === 0 ? 1 : this.successes / this.calls;
  }

  /** The present sums with so many faults less; not to be moved on. */
  without(faults: number): OutcomeWindow {
    const rest = new OutcomeWindow(this.bucketMs);
    rest.successes = this.successes;
    rest.faults = Math.max(0, this.faults - faults);
    rest.overloads = this.overloads;
    rest.full = this.full;
    return rest;
  }

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

  /** @param why `closed`: it takes no calls now, and does not say that it has no place. */
  overload(nowMs: number, why: 'full' | 'closed' = 'full'): void {
    this.moveTo(nowMs);
    this.overloads += 1;
    this.counts[this.at + OVERLOAD]! += 1;
    if (why === 'closed') return;
    this.full += 1;
    this.counts[this.at + FULL]! += 1;
  }

  /** Drops what is too old at `nowMs`. */
  moveTo(nowMs: number): void {
    const bucket = Math.floor(nowMs / this.bucketMs);
    if (bucket > this.bucket) this.rotate(bucket);
  }

  /** Counts those of another window, too; both have buckets of one length. */
  add(other: OutcomeWindow, nowMs: number): void {
    this.moveTo(nowMs);
    other.moveTo(nowMs);
    const { length } = this.counts;
    for (let i = 0; i < length; i += 1)
      this.counts[(this.at + i) % length]! += other.counts[(other.at + i) % length]!;
    this.successes += other.successes;
    this.faults += other.faults;
    this.overloads += other.overloads;
    this.full += other.full;
  }

  clear(): void {
    this.counts.fill(0);
    this.successes = 0;
    this.faults = 0;
    this.overloads = 0;
    this.full = 0;
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
      this.full -= counts[this.at + FULL]!;
      counts.fill(0, this.at, this.at + KINDS);
    }
  }
}

/** A ratio with the calls it was taken from, for the sentence that says why an endpoint was ejected. */
export function ratioInWords(ratio: number, { calls }: OutcomeWindow): string {
  return `${ratio.toFixed(2)} over ${calls} calls in 10 s`;
}
