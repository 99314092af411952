/** Limits of one upstream; 0: no limit. */
export interface BreakerSettings {
  /** Calls that wait for a connection or for discovery. */
  readonly maxPending: number;
  /** Calls that have arrived and not ended. */
  readonly maxInFlight: number;
  /** Attempts beyond the first of a call, under way or about to be. */
  readonly maxRetries: number;
}

/** Names of the limits, in metrics. */
export type BreakerLimit = 'pending' | 'in-flight' | 'retries';

/**
 * How much of one upstream may be under way at once (Envoy's circuit breakers). What exceeds a limit is refused at once: a call
 * that fails in a millisecond can be answered from elsewhere, one that waits with a thousand others cannot. Counts only; the
 * caller has to give back what it took.
 */
export class CircuitBreakerLimits {
  inFlight = 0;
  retries = 0;
  /** Refusals by limit. */
  readonly hits: Record<BreakerLimit, number> = { pending: 0, 'in-flight': 0, retries: 0 };

  constructor(public settings: BreakerSettings) {}

  /** A call arrives; false: it exceeds the limit. */
  enter(): boolean {
    const { maxInFlight } = this.settings;
    if (maxInFlight > 0 && this.inFlight >= maxInFlight) return this.hit('in-flight');
    this.inFlight++;
    return true;
  }

  /** A call ends. */
  leave(): void {
    this.inFlight--;
  }

  /** Whether one more call may wait besides `pending` others. */
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
