import type { Random } from '../../runtime/random.js';

/**
 * Picks a share of the calls, each by chance alone. What is drawn is how many are passed over until the next one (the
 * geometric distribution), so that a call that is passed over costs no number of its own.
 */
export class Sampler {
  /** Calls that are passed over; Infinity: all of them. */
  private left: number;

  /** @param ratio 0 to 1. */
  constructor(
    private readonly ratio: number,
    private readonly random: Random,
  ) {
    this.left = this.draw();
  }

  /** Whether the next call is picked. */
  take(): boolean {
    if (this.left > 0) {
      this.left--;
      return false;
    }
    this.left = this.draw();
    return true;
  }

  private draw(): number {
    if (this.ratio >= 1) return 0;
    if (this.ratio <= 0) return Number.POSITIVE_INFINITY;
    return Math.floor(Math.log1p(-this.random()) / Math.log1p(-this.ratio));
  }
}
