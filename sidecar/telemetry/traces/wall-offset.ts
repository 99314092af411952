import type { Clock } from '../../runtime/time/clock.js';

/** Looks that belong together, ms: a clock that was set is followed within two of these. */
const WINDOW_MS = 15_000;

/**
 * From the monotonic clock to the time since 1970, ms. The wall clock counts whole milliseconds, so that each look is up to
 * one too low: the highest of the last looks counts, and spans of several processes keep their order.
 */
export class WallOffset {
  private since = Number.NEGATIVE_INFINITY;
  private highest = Number.NEGATIVE_INFINITY;
  private before = Number.NEGATIVE_INFINITY;

  constructor(private readonly clock: Clock) {}

  /** What is added to a monotonic time. */
  read(): number {
    const now = this.clock.now();
    const offset = this.clock.wallNow() - now;
    if (now - this.since >= WINDOW_MS) {
      this.before = now - this.since < 2 * WINDOW_MS ? this.highest : Number.NEGATIVE_INFINITY;
      this.highest = offset;
      this.since = now;
    } else if (offset > this.highest) this.highest = offset;
    return Math.max(this.highest, this.before);
  }
}
