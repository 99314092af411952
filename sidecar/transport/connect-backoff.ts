import type { Random } from '../runtime/random.js';

/** Waits between failed connects: ±20 % around 50 ms × 1.6ⁿ, at most 4 s (gRPC's connection backoff, faster at first). */
const FIRST_MS = 50;
const FACTOR = 1.6;
/** With its jitter of a fifth: an endpoint that comes back is connected within 5 s. */
export const BACKOFF_MAX_MS = 4000;
/** A waiting call brings the next connect forward, but not nearer to the last failure than this. */
const MIN_RECONNECT_MS = 20;

/** Connections in a row that were of no use before the next one waits: as many as one call is moved to. */
const FREE_SHORT_LIVES = 8;

/** When a pool may connect again after failed connects, and after connections that ended at once. Times are monotonic ms. */
export class ConnectBackoff {
  /** Failed connects in a row. */
  failures = 0;
  private lastFailureMs = Number.NEGATIVE_INFINITY;
  /** Connections in a row that the peer ended as soon as they were there. */
  private shortLives = 0;

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

  /** The peer has ended a connection. `wasOfUse`: it served for a while, so that the next one need not wait. */
  onEnd(wasOfUse: boolean, nowMs: number): void {
    this.shortLives = wasOfUse ? 0 : this.shortLives + 1;
    if (this.shortLives > FREE_SHORT_LIVES) this.lastFailureMs = nowMs;
  }

  /** Failed connects in a row, and as much as failed ones. */
  private get misses(): number {
    return Math.max(this.failures, this.shortLives - FREE_SHORT_LIVES);
  }

  /** A connect has failed, and the next one is not due yet. */
  isActive(nowMs: number): boolean {
    return this.misses > 0 && nowMs < this.nextMs();
  }

  /** When the next connect is due; with new jitter each time. */
  nextMs(): number {
    const base = Math.min(FIRST_MS * FACTOR ** (this.misses - 1), this.maxMs);
    return this.lastFailureMs + base * (0.8 + 0.4 * this.random());
  }

  /** When a connect may be made for a call that waits. */
  soonestMs(nowMs: number): number {
    return Math.max(nowMs, this.lastFailureMs + MIN_RECONNECT_MS);
  }
}
