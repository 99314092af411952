import type { Random } from '../runtime/random.js';

/** Waits between failed connects: ±20 % around 50 ms × 1.6ⁿ, at most 4 s (gRPC's connection backoff, faster at first). */
const FIRST_MS = 50;
const FACTOR = 1.6;
/** With its jitter of a fifth: an endpoint that comes back is connected within 5 s. */
export const BACKOFF_MAX_MS = 4000;
/** A waiting call brings the next connect forward, but not nearer to the last failure than this. */
const MIN_RECONNECT_MS = 20;

/** When a pool may connect again after failed connects. Times are monotonic ms. */
export class ConnectBackoff {
  /** Failed connects in a row. */
  failures = 0;
  private lastFailureMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly maxMs = BACKOFF_MAX_MS,
    private readonly random: Random,
  ) {}

  reset(): void {
    this.failures = 0;
  }

  onFailure(nowMs: number): void {
    this.failures++;
    this.lastFailureMs = nowMs;
  }

  /** A connect has failed, and the next one is not due yet. */
  isActive(nowMs: number): boolean {
    return this.failures > 0 && nowMs < this.nextMs();
  }

  /** When the next connect is due; with new jitter each time. */
  nextMs(): number {
    const base = Math.min(FIRST_MS * FACTOR ** (this.failures - 1), this.maxMs);
    return this.lastFailureMs + base * (0.8 + 0.4 * this.random());
  }

  /** When a connect may be made for a call that waits. */
  soonestMs(nowMs: number): number {
    return Math.max(nowMs, this.lastFailureMs + MIN_RECONNECT_MS);
  }
}
