/**
 * What an endpoint's calls cost lately: a peak-sensitive moving average of latency (it jumps up at once, comes
 * down over ten seconds, after Finagle and linkerd, or sooner over some hundred calls), and a plain one that says what the endpoint usually needs.
 * Failures are recorded as slow: an endpoint that fails fast must not look like the best one. A call turned away because
 * the endpoint is full says nothing about how long one takes: what it costs grows by the share turned away instead.
 */

/** Time in which the weight of what is known falls to 1/e. */
export const DECAY_MS = 10_000;
/**
 * What a peak keeps, at most, after a call that took less. By time alone a moment's crowding would move traffic to others
 * for ten seconds and more, though hundreds of calls have shown since that it is over.
 */
const KEPT_PER_CALL = 1 - 1 / 64;
/** Without a sample for this long, nothing that was seen speaks for or against an endpoint any more. */
export const STALE_MS = 10_000;
/** A failure counts as this many times the present estimate, so that one halves the traffic and several end it. */
export const FAULT_FACTOR = 3;
/** Below this, three times as slow would be lost in the noise. */
const MIN_ESTIMATE_MS = 1;
/** A failure is not counted as slower than this unless it was. */
export const MAX_PENALTY_MS = 5_000;

const STEPS = 200;
/** e^(−i ÷ STEPS), for ages up to STALE_MS. */
const FADED = Float64Array.from({ length: (STEPS * STALE_MS) / DECAY_MS + 1 }, (_, i) =>
  Math.exp(-i / STEPS),
);

/** What one call more, turned away or not, weighs in the share of those turned away: about the last eight tell. */
const REFUSAL_WEIGHT = 1 / 8;
/** Below this the share is as good as nothing. */
const MIN_REFUSED = 0.01;
/** However much is turned away, it costs no more than 50 times its latency: some call has to find out when it has room. */
const MAX_REFUSED = 0.98;

export class PeakEwma {
  /** Peak-sensitive estimate at `updatedMs`; 0 while there is no sample. */
  peakMs = 0;
  /** Plain average of successes; 0 while there is none. */
  meanMs = 0;
  /** Monotonic ms of the last sample. */
  updatedMs = 0;
  samples = 0;
  /** Share of its calls that it lately turned away for being full, 0 to 1, at `refusedMs`. */
  private refused = 0;
  private refusedMs = 0;

  /** A call that succeeded after `elapsedMs`. */
  record(elapsedMs: number, nowMs: number): void {
    const kept = this.keptAt(nowMs);
    this.meanMs = this.meanMs === 0 ? elapsedMs : this.meanMs * kept + elapsedMs * (1 - kept);
    this.observe(elapsedMs, kept, nowMs);
  }

  /** A call was turned away because the endpoint is full. How long that took, and how long its calls take, stays untold. */
  recordRefusal(nowMs: number): void {
    this.refused = Math.min(this.refusedAt(nowMs) * (1 - REFUSAL_WEIGHT) + REFUSAL_WEIGHT, MAX_REFUSED);
    this.refusedMs = nowMs;
  }

  /** A call was not turned away, however it ended. */
  recordAccepted(nowMs: number): void {
    if (this.refused === 0) return;
    const refused = this.refusedAt(nowMs) * (1 - REFUSAL_WEIGHT);
    this.refused = refused < MIN_REFUSED ? 0 : refused;
    this.refusedMs = nowMs;
  }

  /**
   * A call that failed after `elapsedMs`; 0 where that says nothing of how slow the endpoint is.
   * @param neutralMs what the endpoint or a peer usually costs (`EndpointLoad.usualMs`): the estimate fades into it.
   */
  recordFault(elapsedMs: number, neutralMs: number, nowMs: number): void {
    const estimateMs = Math.max(this.estimate(neutralMs, nowMs), MIN_ESTIMATE_MS);
    const slowMs = Math.max(elapsedMs, Math.min(estimateMs * FAULT_FACTOR, MAX_PENALTY_MS));
    this.observe(slowMs, this.keptAt(nowMs), nowMs);
  }

  /** A call given up after `elapsedMs`: it would have taken at least that long. */
  recordAtLeast(elapsedMs: number, nowMs: number): void {
    const knownMs = this.isStale(nowMs) ? this.meanMs : this.peakMs;
    if (elapsedMs > knownMs) this.observe(elapsedMs, 0, nowMs);
  }

  /** What was seen is history: whoever comes back costs what its peers do until its own calls say otherwise. What it usually needs stays known. */
  forgetPeak(): void {
    this.peakMs = 0;
    this.samples = 0;
    this.refused = 0;
  }

  /**
   * What one call costs at `nowMs`: its latency, over the share of calls that get it. Where all turn away as many, all
   * cost more by the same factor, and nothing changes among them.
   */
  cost(neutralMs: number, nowMs: number): number {
    const latencyMs = this.estimate(neutralMs, nowMs);
    return this.refused === 0 ? latencyMs : latencyMs / (1 - this.refusedAt(nowMs));
  }

  /**
   * The estimate at `nowMs`. What is known fades into `neutralMs`, what a peer costs: an endpoint no call has
   * gone to for long is neither shunned for an old peak nor taken for idle.
   */
  estimate(neutralMs: number, nowMs: number): number {
    if (this.samples === 0) return neutralMs;
    const ageMs = nowMs - this.updatedMs;
    if (ageMs <= 0) return this.peakMs;
    // A long shadow: three faults of a frozen endpoint would keep calls from it for more than a minute after it is back.
    if (ageMs >= STALE_MS) return neutralMs;
    return neutralMs + (this.peakMs - neutralMs) * fadedAt(ageMs);
  }

  private observe(sampleMs: number, kept: number, nowMs: number): void {
    // What had become stale must not come back with the first call that shows otherwise.
    if (this.isStale(nowMs) || sampleMs > this.peakMs) this.peakMs = sampleMs;
    else this.peakMs = sampleMs + (this.peakMs - sampleMs) * Math.min(kept, KEPT_PER_CALL);
    this.updatedMs = nowMs;
    this.samples += 1;
  }

  /** It fades with time: who is asked no more cannot show that it has room again. */
  private refusedAt(nowMs: number): number {
    return this.refused * Math.exp(-Math.max(0, nowMs - this.refusedMs) / DECAY_MS);
  }

  private isStale(nowMs: number): boolean {
    return nowMs - this.updatedMs >= STALE_MS;
  }

  /** Share of the old value that survives a sample at `nowMs`: it depends on the time since the last one, not on their number. */
  private keptAt(nowMs: number): number {
    const ageMs = nowMs - this.updatedMs;
    return ageMs > 0 ? Math.exp(-ageMs / DECAY_MS) : 1;
  }
}

/**
 * e^(−age ÷ DECAY_MS) for an age from 0 to STALE_MS: from the nearest step by the first terms of the series, right to
 * 3 × 10⁻⁹. Every pick asks for two, and `Math.exp` would be the dearest part of it.
 */
function fadedAt(ageMs: number): number {
  const age = ageMs * (1 / DECAY_MS);
  const step = (age * STEPS + 0.5) | 0;
  const rest = step * (1 / STEPS) - age;
  return FADED[step]! * (1 + rest + rest * rest * 0.5);
}
