/** Slow start of new and returning endpoints. */
export interface SlowStartSettings {
  /** Share of the full traffic at the begin, above 0, at most 1. */
  readonly minRatio: number;
  /** Over when the latency is within this factor of the peers' … */
  readonly convergedFactor: number;
  /** … after this many successes, */
  readonly minCalls: number;
  /** or after this time at the latest, ms. */
  readonly maxMs: number;
}

/** Calls of which the median counts. */
const RECENT = 9;
/** Scratch array of `medianRatio`. */
const sorted = new Float64Array(RECENT);

/**
 * Slow start (Envoy) of an endpoint that has just come or returned, whose caches, compilers and batches are cold: a small share of
 * traffic that grows with every call it answers, up to the full share once it is as fast as its peers. Time alone proves
 * nothing, so it only bounds the whole.
 */
export class SlowStart {
  /** Present share of the full traffic. */
  ratio: number;
  calls = 0;
  isOver = false;
  private readonly recent = new Float64Array(RECENT);

  constructor(
    private readonly settings: SlowStartSettings,
    readonly startedMs: number,
  ) {
    this.ratio = settings.minRatio;
  }

  /**
   * A call that succeeded, or the first message of a stream.
   * @param peersMs what its peers usually need for such; 0 = unknown, and then the number of calls alone decides.
   */
  record(elapsedMs: number, peersMs: number, nowMs: number): void {
    if (this.isOver) return;
    const { minRatio, convergedFactor, minCalls, maxMs } = this.settings;
    this.recent[this.calls % RECENT] = peersMs > 0 ? elapsedMs / peersMs : 0;
    this.calls += 1;
    const grown = this.calls >= minCalls ? 1 : minRatio ** (1 - this.calls / minCalls);
    const allowed = peersMs > 0 ? convergedFactor / Math.max(this.medianRatio, 1e-9) : 1;
    this.ratio = Math.max(minRatio, Math.min(1, grown, allowed));
    if ((grown === 1 && allowed >= 1) || nowMs - this.startedMs >= maxMs) this.end();
  }

  /** Ends it when its time is over. */
  check(nowMs: number): void {
    if (nowMs - this.startedMs >= this.settings.maxMs) this.end();
  }

  /** Of the latest calls: their time over that of the peers. */
  private get medianRatio(): number {
    const count = Math.min(this.calls, RECENT);
    for (let i = 0; i < count; i += 1) {
      const value = this.recent[i]!;
      let at = i;
      for (; at > 0 && sorted[at - 1]! > value; at -= 1) sorted[at] = sorted[at - 1]!;
      sorted[at] = value;
    }
    return sorted[count >> 1]!;
  }

  private end(): void {
    this.isOver = true;
    this.ratio = 1;
  }
}
