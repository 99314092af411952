/** Bounds of the limit, calls. */
export interface AdaptiveSettings {
  readonly min: number;
  readonly max: number;
}

/** A window closes after this many samples and this time, ms, … */
const WINDOW_SAMPLES = 50;
const WINDOW_MS = 100;
/** … or after this time, ms, with at least MIN_SAMPLES. */
const SLOW_WINDOW_MS = 5_000;
const MIN_SAMPLES = 5;
/** Latency over the best up to which the limit does not fall. */
const BUFFER = 1.25;
const MIN_GRADIENT = 0.5;
const MAX_GRADIENT = 2;
/** A cancelled call counts when it ran for this share of the best latency. */
const LONG_ENOUGH = 0.8;
/** Windows for which the best latency is used; fewer for the first one and one after which the limit fell. */
const BEST_AGE = 50;
const DOUBTFUL_AGE = 4;
/** Half of the limit with at most this share of the latency has nearly the same throughput. */
const SAME_THROUGHPUT = 0.65;

/**
 * How many calls the model can usefully run at once, from their latency: Envoy's gradient controller (limit × best latency ÷ present
 * latency + headroom), with the best latency learned from live traffic. Pinning the limit to learn it, as Envoy does, would defeat
 * batching; instead the limit is halved for one window now and then, and stays so where that cost no throughput (Little's law:
 * limit over latency).
 */
export class AdaptiveLimit {
  private limit: number;
  private readonly samples = new Float64Array(WINDOW_SAMPLES);
  private count = 0;
  /** Of these, samples of cancelled calls. */
  private cancelled = 0;
  private openedMs = Number.NEGATIVE_INFINITY;
  /** Samples of calls that began earlier belong to another limit, monotonic ms. */
  private validFromMs = Number.NEGATIVE_INFINITY;
  private sawFull = false;
  /** Best recent latency, ms; 0 = unknown. */
  unloadedMs = 0;
  private bestAge = BEST_AGE - DOUBTFUL_AGE;
  private isMeasuring = false;
  private limitBefore = 0;
  private medianBefore = 0;

  constructor(
    private settings: AdaptiveSettings,
    start: number,
  ) {
    this.limit = clamp(start, settings.min, settings.max);
  }

  /** The limit: a whole number ≥ 1. */
  get concurrency(): number {
    return Math.max(1, Math.floor(this.limit));
  }

  configure(settings: AdaptiveSettings): void {
    this.settings = settings;
    this.limit = clamp(this.limit, settings.min, settings.max);
  }

  /**
   * A call succeeded. Failures are not recorded: they may be quick for other reasons.
   * @param isFull as many calls ran as may: only then its latency depends on the limit.
   * @returns true when the limit may have changed.
   */
  record(startedMs: number, nowMs: number, isFull: boolean): boolean {
    if (startedMs < this.validFromMs) return false;
    return this.add(nowMs - startedMs, nowMs, isFull);
  }

  /**
   * A call was cancelled while it ran. It counts when it had run for about the best latency: where most calls of a full model end
   * so, too many are admitted. Without this, a limit at which no call ends in time would stay.
   */
  recordCancelled(startedMs: number, nowMs: number, isFull: boolean): boolean {
    if (startedMs < this.validFromMs || nowMs - startedMs < this.unloadedMs * LONG_ENOUGH) return false;
    this.cancelled += 1;
    return this.add(nowMs - startedMs, nowMs, isFull);
  }

  private add(tookMs: number, nowMs: number, isFull: boolean): boolean {
    if (this.count === 0) this.openedMs = nowMs;
    // Further samples replace the oldest.
    this.samples[this.count % WINDOW_SAMPLES] = tookMs;
    this.count += 1;
    if (isFull) this.sawFull = true;
    const ageMs = nowMs - this.openedMs;
    const isClosed =
      (this.count >= WINDOW_SAMPLES && ageMs >= WINDOW_MS) ||
      (this.count >= MIN_SAMPLES && ageMs >= SLOW_WINDOW_MS);
    if (!isClosed) return false;
    this.close(nowMs);
    return true;
  }

  private close(nowMs: number): void {
    const medianMs = Math.max(median(this.samples.subarray(0, Math.min(this.count, WINDOW_SAMPLES))), 0.01);
    const wasFull = this.sawFull;
    const mostCancelled = this.cancelled * 2 > this.count;
    this.count = 0;
    this.cancelled = 0;
    this.sawFull = false;
    if (this.isMeasuring) return this.measured(medianMs, mostCancelled, nowMs);
    this.bestAge += 1;
    if (!mostCancelled && (this.unloadedMs === 0 || medianMs <= this.unloadedMs)) {
      this.unloadedMs = medianMs;
      // At a full model it may be the latency of a queue inside.
      if (!wasFull) this.bestAge = 0;
    }
    // A limit that was not reached is neither too low nor too high.
    if (!wasFull) return;
    if (mostCancelled) this.limit = Math.max(this.settings.min, this.limit * MIN_GRADIENT);
    else if (this.bestAge >= BEST_AGE) this.measure(medianMs, nowMs);
    else this.limit = this.next(medianMs);
  }

  private next(medianMs: number): number {
    const gradient = clamp((this.unloadedMs * BUFFER) / medianMs, MIN_GRADIENT, MAX_GRADIENT);
    const scaled = this.limit * gradient;
    // Envoy's headroom is the whole square root: too much for a model that runs one call at a time.
    return clamp(scaled + Math.max(1, Math.sqrt(scaled) / 2), this.settings.min, this.settings.max);
  }

  /** The best latency is old: halves the limit for one window to measure it. */
  private measure(medianMs: number, nowMs: number): void {
    this.isMeasuring = true;
    this.medianBefore = medianMs;
    this.limitBefore = this.limit;
    this.limit = Math.max(this.settings.min, this.limit / 2);
    this.validFromMs = nowMs;
  }

  private measured(medianMs: number, mostCancelled: boolean, nowMs: number): void {
    this.isMeasuring = false;
    this.validFromMs = nowMs;
    this.bestAge = 0;
    // Hardly any call ended in time even so: the halved limit stays for now.
    if (mostCancelled) return;
    this.unloadedMs = medianMs;
    if (medianMs <= this.medianBefore * SAME_THROUGHPUT) this.bestAge = BEST_AGE - DOUBTFUL_AGE;
    else this.limit = clamp(this.limitBefore, this.settings.min, this.settings.max);
  }
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}

function median(values: Float64Array): number {
  const sorted = values.slice().sort();
  return sorted[sorted.length >> 1]!;
}
