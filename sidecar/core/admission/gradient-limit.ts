/**
 * How many calls the model can usefully hold at once, found from its latency: Envoy's gradient controller, with the
 * unloaded latency learned from live traffic. Limit × gradient + headroom, where the gradient is the best latency over the
 * present one. Pinning the limit to learn it, as Envoy does, would defeat batching; instead the limit is halved for one
 * window now and then, and stays so where that took nothing from the throughput (Little's law: limit over latency).
 */

export interface AdaptiveSettings {
  readonly min: number;
  readonly max: number;
}

/** A window closes after this many samples and this much time, both. */
const WINDOW_SAMPLES = 50;
const WINDOW_MS = 100;
/** … or after this time, if it has at least a few. */
const SLOW_WINDOW_MS = 5_000;
const FEW = 5;
/** Latency may be this much above the best before the limit falls. */
const BUFFER = 1.25;
const MIN_GRADIENT = 0.5;
const MAX_GRADIENT = 2;
/** A call that is given up counts when it had this share of the best latency. */
const LONG_ENOUGH = 0.8;
/** The best latency is believed for this many windows; the first one, and one after which the limit fell, for fewer. */
const BEST_AGE = 50;
const DOUBTFUL_AGE = 4;
/** Half the limit with this share of the latency, or less, is nearly all of the throughput. */
const SAME_THROUGHPUT = 0.65;

export class AdaptiveLimit {
  private limit: number;
  private readonly samples = new Float64Array(WINDOW_SAMPLES);
  private count = 0;
  /** How many of them are of calls that were given up. */
  private givenUp = 0;
  private openedMs = Number.NEGATIVE_INFINITY;
  /** Samples of calls that began before this are of another limit. */
  private validFromMs = Number.NEGATIVE_INFINITY;
  private sawFull = false;
  private bestMs = 0;
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

  /** Calls to let through at once; a whole number ≥ 1. */
  get concurrency(): number {
    return Math.max(1, Math.floor(this.limit));
  }

  /** Best latency of late, ms; 0 = unknown. */
  get unloadedMs(): number {
    return this.bestMs;
  }

  configure(settings: AdaptiveSettings): void {
    this.settings = settings;
    this.limit = clamp(this.limit, settings.min, settings.max);
  }

  /**
   * A call finished, and how long it held its place. Failures are not told: they may be quick for reasons of their own.
   * @param isFull every place was taken: only then does its latency speak about the limit.
   * @returns true when the limit may have changed.
   */
  record(startedMs: number, nowMs: number, isFull: boolean): boolean {
    if (startedMs < this.validFromMs) return false;
    return this.add(nowMs - startedMs, nowMs, isFull);
  }

  /**
   * A call was given up while it ran. That says nothing, unless it had taken about the best latency by then: where most
   * calls of a full model end so, too many are let in. Without this, a limit at which none ends in time would stay.
   */
  recordGivenUp(startedMs: number, nowMs: number, isFull: boolean): boolean {
    if (startedMs < this.validFromMs || nowMs - startedMs < this.bestMs * LONG_ENOUGH) return false;
    this.givenUp += 1;
    return this.add(nowMs - startedMs, nowMs, isFull);
  }

  private add(tookMs: number, nowMs: number, isFull: boolean): boolean {
    if (this.count === 0) this.openedMs = nowMs;
    // Samples beyond the window's number replace the oldest: the window is the recent past.
    this.samples[this.count % WINDOW_SAMPLES] = tookMs;
    this.count += 1;
    if (isFull) this.sawFull = true;
    const ageMs = nowMs - this.openedMs;
    const isClosed =
      (this.count >= WINDOW_SAMPLES && ageMs >= WINDOW_MS) || (this.count >= FEW && ageMs >= SLOW_WINDOW_MS);
    if (!isClosed) return false;
    this.close(nowMs);
    return true;
  }

  private close(nowMs: number): void {
    const medianMs = Math.max(median(this.samples.subarray(0, Math.min(this.count, WINDOW_SAMPLES))), 0.01);
    const wasFull = this.sawFull;
    const isHopeless = this.givenUp * 2 > this.count;
    this.count = 0;
    this.givenUp = 0;
    this.sawFull = false;
    if (this.isMeasuring) return this.measured(medianMs, isHopeless, nowMs);
    this.bestAge += 1;
    if (!isHopeless && (this.bestMs === 0 || medianMs <= this.bestMs)) {
      this.bestMs = medianMs;
      // Of a full model it may still be the latency of a line inside.
      if (!wasFull) this.bestAge = 0;
    }
    // A limit that was never reached is neither too low nor too high.
    if (!wasFull) return;
    if (isHopeless) this.limit = Math.max(this.settings.min, this.limit * MIN_GRADIENT);
    else if (this.bestAge >= BEST_AGE) this.measure(medianMs, nowMs);
    else this.limit = this.next(medianMs);
  }

  private next(medianMs: number): number {
    const gradient = clamp((this.bestMs * BUFFER) / medianMs, MIN_GRADIENT, MAX_GRADIENT);
    const scaled = this.limit * gradient;
    // Envoy's headroom is the whole root: too much for a model that does one thing at a time.
    return clamp(scaled + Math.max(1, Math.sqrt(scaled) / 2), this.settings.min, this.settings.max);
  }

  /** The best latency is old: with half as many calls at once it shows what it is now. */
  private measure(medianMs: number, nowMs: number): void {
    this.isMeasuring = true;
    this.medianBefore = medianMs;
    this.limitBefore = this.limit;
    this.limit = Math.max(this.settings.min, this.limit / 2);
    this.validFromMs = nowMs;
  }

  private measured(medianMs: number, isHopeless: boolean, nowMs: number): void {
    this.isMeasuring = false;
    this.validFromMs = nowMs;
    this.bestAge = 0;
    // Hardly any call ended even so: then half as many are right for now.
    if (isHopeless) return;
    this.bestMs = medianMs;
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
