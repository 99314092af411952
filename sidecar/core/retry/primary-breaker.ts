/**
 * Whether a call goes to what it asked for, or at once to what it would fall back to. After several failures in a row
 * nobody pays for one more; from time to time one call tries again, and the first that is answered brings the others
 * back. A primary that keeps coming and going is tried less and less often, until it has held for as long as it was
 * left alone last.
 */

/** Failures in a row, retries and all, after which calls go to the fallback at once. */
export const FAILURES = 5;
/** How long before the first trial, and the most it grows to: twice as long after each one that fails, ms. */
export const FIRST_REST_MS = 1_000;
export const LONGEST_REST_MS = 30_000;
/** Rests are up to this much longer, so that many callers do not come back at once. */
const JITTER_RATIO = 0.2;

export const PrimaryRoute = {
  /** To the primary, as always. */
  primary: 0,
  /** To the primary, and the others wait for what comes of it: tell `succeeded`, `failed` or `undecided`. */
  trial: 1,
  /** Not to the primary. */
  fallback: 2,
} as const;
export type PrimaryRoute = (typeof PrimaryRoute)[keyof typeof PrimaryRoute];

export class PrimaryBreaker {
  private failures = 0;
  /** Rests of the present spell and those that count from before; 0: none. */
  private rests = 0;
  private restMs = 0;
  private isResting = false;
  private isTrying = false;
  /** When the next trial may begin. */
  private untilMs = 0;
  /** Of the last change between primary and fallback: what began before says nothing. */
  private sinceMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly random: () => number) {}

  /** Calls go to the fallback at once. */
  get isAway(): boolean {
    return this.isResting;
  }

  /** Where a call that arrives goes. */
  lead(nowMs: number): PrimaryRoute {
    if (!this.isResting) return PrimaryRoute.primary;
    if (this.isTrying || nowMs < this.untilMs) return PrimaryRoute.fallback;
    this.isTrying = true;
    return PrimaryRoute.trial;
  }

  /** The primary answered a call that began at `startMs`. */
  succeeded(lead: PrimaryRoute, startMs: number, nowMs: number): void {
    if (lead === PrimaryRoute.trial) this.isTrying = false;
    if (startMs < this.sinceMs) return;
    this.failures = 0;
    if (this.isResting) {
      this.isResting = false;
      this.sinceMs = nowMs;
    } else if (this.rests > 0 && nowMs - this.sinceMs >= this.restMs) {
      this.rests = 0;
    }
  }

  /** The primary failed a call that began at `startMs`, whatever became of the call then. */
  failed(lead: PrimaryRoute, startMs: number, nowMs: number): void {
    if (lead === PrimaryRoute.trial) {
      this.isTrying = false;
      if (this.isResting) return this.open(nowMs);
    }
    if (startMs < this.sinceMs || this.isResting) return;
    this.failures++;
    if (this.failures < FAILURES) return;
    this.failures = 0;
    this.sinceMs = nowMs;
    this.isResting = true;
    this.open(nowMs);
  }

  /** A trial ended and showed nothing: its caller went away. The next call is a trial. */
  undecided(lead: PrimaryRoute): void {
    if (lead === PrimaryRoute.trial) this.isTrying = false;
  }

  private open(nowMs: number): void {
    this.restMs = Math.min(FIRST_REST_MS * 2 ** this.rests, LONGEST_REST_MS);
    // Beyond this it only overflows.
    this.rests = Math.min(this.rests + 1, 16);
    this.untilMs = nowMs + this.restMs * (1 + this.random() * JITTER_RATIO);
  }
}
