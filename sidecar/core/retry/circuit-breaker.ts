/**
 * How much of one upstream may be under way at once (after Envoy's circuit breakers). What is over a bound is refused at
 * once: a call that fails in a millisecond can still be answered from somewhere else, one that waits with a thousand
 * others cannot. Counts only; who counts must give back what was taken.
 */

/** 0 = no bound, everywhere. */
export interface BreakerSettings {
  /** Calls that wait for a connection or for discovery. */
  readonly maxPending: number;
  /** Calls that have arrived and not ended. */
  readonly maxInFlight: number;
  /** Attempts beyond the first of their call, under way or about to be. */
  readonly maxRetries: number;
}

export const BREAKER_LIMITS = ['pending', 'in-flight', 'retries'] as const;
export type BreakerLimit = (typeof BREAKER_LIMITS)[number];

export class CircuitBreakerLimits {
  inFlight = 0;
  retries = 0;
  /** Times a bound was hit. */
  readonly hits: Record<BreakerLimit, number> = { pending: 0, 'in-flight': 0, retries: 0 };

  constructor(public settings: BreakerSettings) {}

  /** A call arrives; false: it is one too many. */
  enter(): boolean {
    const { maxInFlight } = this.settings;
    if (maxInFlight > 0 && this.inFlight >= maxInFlight) return this.hit('in-flight');
    this.inFlight++;
    return true;
  }

  leave(): void {
    this.inFlight--;
  }

  /** Whether one more call may wait beside `pending` others. */
  mayQueue(pending: number): boolean {
    const { maxPending } = this.settings;
    return maxPending === 0 || pending < maxPending || this.hit('pending');
  }

  /** Whether one more attempt may be made; `retries` is for the caller to count. */
  mayRetry(): boolean {
    const { maxRetries } = this.settings;
    return maxRetries === 0 || this.retries < maxRetries || this.hit('retries');
  }

  private hit(limit: BreakerLimit): false {
    this.hits[limit]++;
    return false;
  }
}
