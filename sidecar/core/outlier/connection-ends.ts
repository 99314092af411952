/** A connection that ends before this age was short-lived, ms. */
export const SHORT_LIFE_MS = 60_000;
/** What was cut counts for so long, ms: for the next sweep, and one that comes late. */
export const FRESH_MS = 5_000;
const NEVER = Number.NEGATIVE_INFINITY;

/**
 * How the connections to one endpoint have ended that the other side cut, without a GOAWAY. Short-lived ones that took calls with them
 * are counted in a row. One that lasted ends the row, and one that took no call says nothing.
 */
export class ConnectionEnds {
  /** Short-lived connections in a row. */
  inRow = 0;
  /** Calls that were lost with them. */
  lostCalls = 0;
  /** When a connection was last cut, with calls on it or without, monotonic ms. */
  cutMs = NEVER;
  /** When the last one was cut that counts. */
  countedMs = NEVER;
  /** When the endpoint last said that it has lost its own connection to its model. */
  private modelLostMs = NEVER;

  /** A connection that was made at `sinceMs` has been cut with so many calls on it. */
  record(sinceMs: number, lostCalls: number, nowMs: number): void {
    this.cutMs = nowMs;
    if (nowMs - sinceMs >= SHORT_LIFE_MS) this.end();
    // One that was made before the last one ended may have ended by the same cause.
    else if (lostCalls > 0 && sinceMs >= this.countedMs) this.count(lostCalls, nowMs);
  }

  /**
   * The sidecar at the endpoint has lost a call with its connection to the model, to which it sent the call after `startMs`. How old that
   * connection was is known from the second one on: it was made after the first one ended.
   */
  recordAtModel(startMs: number, nowMs: number): void {
    const sinceMs = this.modelLostMs;
    // It was lost together with the last one.
    if (startMs < sinceMs) return;
    this.modelLostMs = nowMs;
    this.cutMs = nowMs;
    if (sinceMs !== NEVER) this.record(sinceMs, 1, nowMs);
  }

  /** Whether the last one of the row has just been cut. Later, the connection after it works, whatever kept the endpoint in place then. */
  isFresh(nowMs: number): boolean {
    return nowMs - this.countedMs < FRESH_MS;
  }

  /** Whether a connection was cut lately. */
  wasCut(nowMs: number): boolean {
    return nowMs - this.cutMs < SHORT_LIFE_MS;
  }

  clear(): void {
    this.end();
    this.cutMs = NEVER;
    this.countedMs = NEVER;
    this.modelLostMs = NEVER;
  }

  private count(lostCalls: number, nowMs: number): void {
    this.inRow += 1;
    this.lostCalls += lostCalls;
    this.countedMs = nowMs;
  }

  private end(): void {
    this.inRow = 0;
    this.lostCalls = 0;
  }
}
