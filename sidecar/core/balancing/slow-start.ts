/**
 * An endpoint that has just come, or come back, is cold: caches, compilers and batches need calls to get going. It
 * begins with a small share, which grows with every call it answers, and has its full share once it is as fast as its
 * peers. Time alone proves nothing, so it only bounds the whole.
 */

export interface SlowStartSettings {
  /** Share of a full one's traffic at the beginning, above 0, at most 1. */
  readonly minRatio: number;
  /** It is warm when its latency is within this factor of the peers' … */
  readonly convergedFactor: number;
  /** … after this many calls, */
  readonly minCalls: number;
  /** or at the latest after this time. */
  readonly maxMs: number;
}

/** Latencies of which the median is what it needs now. */
const RECENT = 9;
/** Nobody's for longer than it takes to sort them. */
const sorted = new Float64Array(RECENT);

export class SlowStart {
  /** Of its full share, now. */
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
   * A call that succeeded. Faults warm nothing.
   * @param peerLatencyMs what its peers usually need; 0 = unknown, and then the number of calls alone decides.
   */
  record(elapsedMs: number, peersMs: number, nowMs: number): void {
    if (this.isOver) return;
    const { minRatio, convergedFactor, minCalls, maxMs } = this.settings;
    this.recent[this.calls % RECENT] = elapsedMs;
    this.calls += 1;
    const grown = this.calls >= minCalls ? 1 : minRatio ** (1 - this.calls / minCalls);
    const allowed = peersMs > 0 ? (peersMs * convergedFactor) / Math.max(this.medianMs, 1e-3) : 1;
    this.ratio = Math.max(minRatio, Math.min(1, grown, allowed));
    if ((grown === 1 && allowed >= 1) || nowMs - this.startedMs >= maxMs) this.end();
  }

  /** Whether time has ended it. */
  check(nowMs: number): void {
    if (nowMs - this.startedMs >= this.settings.maxMs) this.end();
  }

  private get medianMs(): number {
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
