/** Failed calls in a row, retries included, after which calls go to the fallback at once. */
export const FAILURES = 5;
/** Time until the first probe, ms, and its maximum: it doubles after each probe that fails. */
export const FIRST_OPEN_MS = 1_000;
export const LONGEST_OPEN_MS = 30_000;
/** Times are up to this share longer, so that many callers do not return at once. */
const JITTER_RATIO = 0.2;

/** Where a call goes first. */
export const PrimaryRoute = {
  /** To the primary. */
  primary: 0,
  /** To the primary as a probe: its end has to be reported by `succeeded`, `failed` or `undecided`. */
  probe: 1,
  /** To the fallback. */
  fallback: 2,
} as const;
export type PrimaryRoute = (typeof PrimaryRoute)[keyof typeof PrimaryRoute];

/**
 * Circuit breaker before the primary of a call that has a fallback. After several failures in a row it opens, and calls go to
 * the fallback at once; from time to time one call probes the primary, and the first success closes it. A primary that keeps
 * failing is probed less and less often, until it has served for as long as the breaker was open last.
 */
export class PrimaryBreaker {
  private failures = 0;
  /** Times opened in a row, which still count; 0: none. */
  private opens = 0;
  private openMs = 0;
  /** Calls go to the fallback at once. */
  isOpen = false;
  private isProbing = false;
  /** When the next probe may go, monotonic ms. */
  private untilMs = 0;
  /** When it last opened or closed: calls that began before do not count. */
  private sinceMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly random: () => number) {}

  /** Where a new call goes. */
  route(nowMs: number): PrimaryRoute {
    if (!this.isOpen) return PrimaryRoute.primary;
    if (this.isProbing || nowMs < this.untilMs) return PrimaryRoute.fallback;
    this.isProbing = true;
    return PrimaryRoute.probe;
  }

  /** The primary answered a call that began at `startMs`. */
  succeeded(route: PrimaryRoute, startMs: number, nowMs: number): void {
    if (route === PrimaryRoute.probe) this.isProbing = false;
    if (startMs < this.sinceMs) return;
    this.failures = 0;
    if (this.isOpen) {
      this.isOpen = false;
      this.sinceMs = nowMs;
    } else if (this.opens > 0 && nowMs - this.sinceMs >= this.openMs) this.opens = 0;
  }

  /** The primary failed a call that began at `startMs`, whatever the fallback made of it. */
  failed(route: PrimaryRoute, startMs: number, nowMs: number): void {
    if (route === PrimaryRoute.probe) {
      this.isProbing = false;
      if (this.isOpen) return this.open(nowMs);
    }
    if (startMs < this.sinceMs || this.isOpen) return;
    this.failures++;
    if (this.failures < FAILURES) return;
    this.failures = 0;
    this.sinceMs = nowMs;
    this.isOpen = true;
    this.open(nowMs);
  }

  /** A probe proved nothing: its caller went away. The next call is a probe. */
  undecided(route: PrimaryRoute): void {
    if (route === PrimaryRoute.probe) this.isProbing = false;
  }

  private open(nowMs: number): void {
    this.openMs = Math.min(FIRST_OPEN_MS * 2 ** this.opens, LONGEST_OPEN_MS);
    // A higher exponent would overflow.
    this.opens = Math.min(this.opens + 1, 16);
    this.untilMs = nowMs + this.openMs * (1 + this.random() * JITTER_RATIO);
  }
}
