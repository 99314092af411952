/** The deviation is taken to be at least this, ms. */
const MIN_DEVIATION_MS = 300;
/** Silence beyond the mean interval that means nothing yet, ms; as in Akka. */
const PAUSE_MS = 3_000;
/** Intervals that count. */
const WINDOW = 64;

/**
 * The phi accrual failure detector (Hayashibara et al. 2004; Akka, Cassandra): how unlikely a silence is, given the intervals
 * between earlier beats. Phi 1 is wrong once in 10, phi 12 once in 10^12, if intervals are normally distributed. Akka's bound on the
 * deviation and its acceptable pause keep a very regular sender from being suspected at once.
 */
export class PhiAccrual {
  private readonly intervals: number[] = [];
  private next = 0;
  private lastMs = -1;

  /** @param expectedMs interval that is assumed before one has been seen, ms. */
  constructor(private readonly expectedMs: number) {}

  beat(nowMs: number): void {
    if (this.lastMs >= 0) {
      this.intervals[this.next] = nowMs - this.lastMs;
      this.next = (this.next + 1) % WINDOW;
    }
    this.lastMs = nowMs;
  }

  /** The next beat begins a new series. */
  pause(): void {
    this.lastMs = -1;
  }

  /** Suspicion level. @param silenceMs since the last beat. */
  phi(silenceMs: number): number {
    const count = this.intervals.length;
    let mean = this.expectedMs;
    let deviation = MIN_DEVIATION_MS;
    if (count > 0) {
      mean = this.intervals.reduce((sum, each) => sum + each, 0) / count;
      const variance = this.intervals.reduce((sum, each) => sum + (each - mean) ** 2, 0) / count;
      deviation = Math.max(MIN_DEVIATION_MS, Math.sqrt(variance));
    }
    return -Math.log10(tail((silenceMs - mean - PAUSE_MS) / deviation));
  }
}

/** 1 − Φ(z) of the standard normal distribution: Akka's logistic approximation (Bowling et al. 2009), never quite 0. */
function tail(z: number): number {
  const e = Math.exp(-z * (1.5976 + 0.070566 * z * z));
  return Math.max(Number.MIN_VALUE, z > 0 ? e / (1 + e) : 1 - 1 / (1 + e));
}
