import type { Random } from '../../runtime/random.js';

/** Between tries while the collector is away, ms; doubled from the first to the longest, 20 % more or less. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
const SPREAD = 0.2;

/** How long a collector that did not answer is left alone. */
export class RetryPause {
  /** 0: it answered. */
  ms = 0;

  constructor(private readonly random: Random) {}

  /** @param waitMs what the collector asks for. */
  lengthen(waitMs = 0): void {
    const spread = 1 + SPREAD * (2 * this.random() - 1);
    const next = this.ms === 0 ? FIRST_PAUSE_MS : this.ms * 2;
    this.ms = Math.min(LONGEST_PAUSE_MS, Math.max(waitMs, next * spread));
  }

  /** The collector is there, whatever it says. */
  end(): void {
    this.ms = 0;
  }
}
