/** Time in which the weight of old samples falls to 1/e, ms. */
export const DECAY_MS = 10_000;
/**
 * Share of a peak that remains, at most, after a call that took less. By time alone a short burst would keep traffic away for
 * ten seconds and more, though hundreds of calls have shown since that it is over.
 */
const KEPT_PER_CALL = 1 - 1 / 64;
/** A peak does not count when no call has been near it for this time, ms: a few calls a minute take too little of it. */
export const STALE_MS = 10_000;
/** Calls beside which one is looked at. */
const RECENT = 16;
/**
 * A call counts as at most this multiple of the longest other one of the last sixteen: one that takes long may be meant to, and only when another does is it
 * the endpoint. Less than what balancers take for clearly slow.
 */
const MOST_SUDDEN = 1.4;
/** A failure counts as this multiple of the present estimate: one halves the traffic and several end it. */
const FAULT_FACTOR = 3;
/** Base of a failure's latency, ms: below, three times as slow would be lost in the noise. */
const MIN_ESTIMATE_MS = 1;
/** A failure does not count as slower than this unless it was, ms. */
export const MAX_PENALTY_MS = 5_000;

const STEPS = 200;
/** e^(−i ÷ STEPS), for ages up to STALE_MS. */
const FADED = Float64Array.from({ length: (STEPS * STALE_MS) / DECAY_MS + 1 }, (_, i) =>
  Math.exp(-i / STEPS),
);

/** A sample is near the peak that is no more than so many times as long. */
const NEAR_PEAK = 2;
/** Weight of one call in the share of rejected ones: about the last eight count. */
const REFUSAL_WEIGHT = 1 / 8;
/** A smaller share counts as 0. */
const MIN_REFUSED = 0.01;
/** The share counts up to this: a cost of at most 50 times the latency, so that some call finds out when there is room. */
const MAX_REFUSED = 0.98;

/**
 * Recent cost of an endpoint's calls: a peak-sensitive moving average of latency, which rises once two of sixteen calls are slow and falls over ten
 * seconds (Finagle, linkerd2-proxy, where it rises at once) or some hundred calls, and a plain mean that says what the endpoint usually needs. Failures count as
 * slow, so that an endpoint that fails fast does not look like the best one. A call rejected because the endpoint is full says
 * nothing about latency: the cost grows by the share of rejected calls instead.
 */
export class PeakEwma {
  /** Peak-sensitive estimate at `updatedMs`; 0 while there is no sample. */
  peakMs = 0;
  /** Plain average of successes; 0 while there is none. */
  meanMs = 0;
  /** Monotonic ms of the last sample. */
  updatedMs = 0;
  /** Monotonic ms of the last success; 0: there was none. */
  answeredMs = 0;
  samples = 0;
  /** When a sample was last near the peak, monotonic ms. */
  private confirmedMs = 0;
  /** Share of recent calls rejected because the endpoint was full, 0 to 1, at `refusedMs`. */
  private refused = 0;
  private refusedMs = 0;
  /** The last calls, and how many there have been. */
  private readonly recent = new Float64Array(RECENT);
  private recorded = 0;

  /** A call that succeeded after `elapsedMs`. @param ranMs of these, without a wait that counts elsewhere; absent: all. */
  record(elapsedMs: number, nowMs: number, ranMs = elapsedMs): void {
    const kept = this.keptAt(nowMs);
    this.answeredMs = nowMs;
    this.meanMs = this.meanMs === 0 ? elapsedMs : this.meanMs * kept + elapsedMs * (1 - kept);
    this.observe(this.credible(ranMs), kept, nowMs);
  }

  /** A call was rejected because the endpoint is full, or its caller has used up what it may there. */
  recordRefusal(nowMs: number): void {
    this.refused = Math.min(this.refusedAt(nowMs) * (1 - REFUSAL_WEIGHT) + REFUSAL_WEIGHT, MAX_REFUSED);
    this.refusedMs = nowMs;
  }

  /** A call was not rejected, however it ended. */
  recordAccepted(nowMs: number): void {
    if (this.refused === 0) return;
    const refused = this.refusedAt(nowMs) * (1 - REFUSAL_WEIGHT);
    this.refused = refused < MIN_REFUSED ? 0 : refused;
    this.refusedMs = nowMs;
  }

  /**
   * A call that failed after `elapsedMs`; 0 where that says nothing about latency.
   * @param neutralMs usual latency of the endpoint or a peer (`EndpointLoad.usualMs`), to which the estimate decays.
   */
  recordFault(elapsedMs: number, neutralMs: number, nowMs: number): void {
    const estimateMs = Math.max(this.estimate(neutralMs, nowMs), MIN_ESTIMATE_MS);
    const slowMs = Math.max(elapsedMs, Math.min(estimateMs * FAULT_FACTOR, MAX_PENALTY_MS));
    this.observe(slowMs, this.keptAt(nowMs), nowMs);
  }

  /** A call cancelled after `elapsedMs`: it would have taken at least that long. */
  recordAtLeast(elapsedMs: number, nowMs: number): void {
    if (elapsedMs > this.knownMs(nowMs)) this.recordSlower(this.credible(elapsedMs), nowMs);
  }

  /** A call that took at least `elapsedMs`, when another endpoint had answered the same one by then. */
  recordSlower(elapsedMs: number, nowMs: number): void {
    if (elapsedMs > this.knownMs(nowMs)) this.observe(elapsedMs, 0, nowMs);
  }

  private knownMs(nowMs: number): number {
    return this.isStale(nowMs) ? this.meanMs : this.peakMs;
  }

  /** The endpoint is back after an absence: it costs what its peers do until its own calls show otherwise. The mean is kept. */
  forgetPeak(): void {
    this.peakMs = 0;
    this.samples = 0;
    this.recorded = 0;
    this.refused = 0;
  }

  /**
   * Cost of one call at `nowMs`, ms: latency over the share of calls that are not rejected. Where all endpoints reject the same
   * share, their order stays the same.
   */
  cost(neutralMs: number, nowMs: number): number {
    const latencyMs = this.estimate(neutralMs, nowMs);
    return this.refused === 0 ? latencyMs : latencyMs / (1 - this.refusedAt(nowMs));
  }

  /**
   * Estimated latency at `nowMs`, ms. Decays towards `neutralMs`, that of a peer: an endpoint without calls is neither avoided for
   * an old peak nor taken for fast.
   */
  estimate(neutralMs: number, nowMs: number): number {
    if (this.samples === 0) return neutralMs;
    const ageMs = nowMs - this.updatedMs;
    if (ageMs <= 0) return this.peakMs;
    // Else three faults of a frozen endpoint would keep calls from it for more than a minute after it is back.
    if (this.isStale(nowMs)) return neutralMs;
    return neutralMs + (this.peakMs - neutralMs) * fadedAt(ageMs);
  }

  /** What a call that took `sampleMs` says of the endpoint, ms. */
  private credible(sampleMs: number): number {
    this.recent[this.recorded % RECENT] = sampleMs;
    this.recorded += 1;
    return sampleMs <= this.peakMs ? sampleMs : Math.min(sampleMs, MOST_SUDDEN * this.secondMs());
  }

  /** The longest of the last calls but one; where there is one, that. */
  private secondMs(): number {
    const count = Math.min(this.recorded, RECENT);
    let first = 0;
    let second = 0;
    for (let i = 0; i < count; i += 1) {
      const value = this.recent[i]!;
      if (value > first) {
        second = first;
        first = value;
      } else if (value > second) second = value;
    }
    return count === 1 ? first : second;
  }

  private observe(sampleMs: number, kept: number, nowMs: number): void {
    // A stale peak must not return with the first new sample.
    const isPeak = this.isStale(nowMs) || sampleMs > this.peakMs;
    if (isPeak) this.peakMs = sampleMs;
    else this.peakMs = sampleMs + (this.peakMs - sampleMs) * Math.min(kept, KEPT_PER_CALL);
    this.updatedMs = nowMs;
    if (isPeak || sampleMs * NEAR_PEAK >= this.peakMs) this.confirmedMs = nowMs;
    this.samples += 1;
  }

  /** Share of recent calls rejected because the endpoint was full. Decays with time: one without calls cannot show that it has room again. */
  refusedAt(nowMs: number): number {
    return this.refused * Math.exp(-Math.max(0, nowMs - this.refusedMs) / DECAY_MS);
  }

  private isStale(nowMs: number): boolean {
    return nowMs - this.confirmedMs >= STALE_MS;
  }

  /** Share of the old value that remains after a sample at `nowMs`; depends on the time since the last one. */
  private keptAt(nowMs: number): number {
    const ageMs = nowMs - this.updatedMs;
    return ageMs > 0 ? Math.exp(-ageMs / DECAY_MS) : 1;
  }
}

/**
 * e^(−age ÷ DECAY_MS) for an age from 0 to STALE_MS: the nearest step and the first terms of the series, exact to 3 × 10⁻⁹.
 * Every pick needs two, and `Math.exp` would be its most expensive part.
 */
function fadedAt(ageMs: number): number {
  const age = ageMs * (1 / DECAY_MS);
  const step = (age * STEPS + 0.5) | 0;
  const rest = step * (1 / STEPS) - age;
  return FADED[step]! * (1 + rest + rest * rest * 0.5);
}
