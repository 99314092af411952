/** Addresses that are told apart; of more, those that come last share what is left. */
const MOST_ADDRESSES = 4_096;
/** From this share of the burst in use on, each address has a share of its own. */
const CONTENDED = 1 / 2;
/** Beyond the budget, for addresses that have used no more than this share of it lately. */
const RESERVE = 1 / 10;
/** Addresses that have asked within the last one to two of these count as active, ms. */
const WINDOW_MS = 1_000;

/** Recent handshakes of one address. */
interface AddressUse {
  level: number;
  sinceMs: number;
  /** Number of the window in which it asked last. */
  window: number;
}

/**
 * How many TLS handshakes a listener begins: `perSecond`, and as many at once. While less than half of that is in use, whoever comes
 * first has it. From there on an address that has used its share waits, so that the rest is left to the others: a share is the
 * budget divided by the addresses that have asked lately. So an address that is alone has all of it, as have all callers
 * of one machine together, and one that floods takes nothing from an address that asks now and then, and finds a reserve where a lone address has used up
 * the budget. Times are monotonic ms.
 */
export class HandshakeBudget {
  private level = 0;
  private sinceMs = 0;
  private readonly uses = new Map<string, AddressUse>();
  private window = 0;
  /** Addresses that have asked in this window, and in the one before. */
  private asking = 0;
  private askedBefore = 0;

  constructor(readonly perSecond: number) {}

  /** Whether the peer at `address` may begin a handshake now; counts it when so. */
  take(address: string, nowMs: number): boolean {
    this.turn(nowMs);
    this.level = this.drained(this.level, this.sinceMs, nowMs, this.perSecond);
    this.sinceMs = nowMs;
    const use = this.useOf(address, nowMs);
    const { perSecond } = this;
    const active = Math.max(1, this.asking, this.askedBefore);
    if (use !== null) {
      use.level = this.drained(use.level, use.sinceMs, nowMs, perSecond / active);
      use.sinceMs = nowMs;
    }
    const reserve = Math.floor(perSecond * RESERVE);
    const most = use !== null && use.level + 1 <= reserve ? perSecond + reserve : perSecond;
    if (this.level + 1 > most) return false;
    const isContended = this.level >= perSecond * CONTENDED;
    const share = Math.max(1, perSecond / active);
    // A lone address is bounded by the budget alone.
    if (isContended && active > 1 && (use === null || use.level + 1 > share)) return false;
    this.level++;
    if (use !== null) use.level = Math.min(perSecond, use.level + 1);
    return true;
  }

  private drained(level: number, sinceMs: number, nowMs: number, perSecond: number): number {
    return Math.max(0, level - ((nowMs - sinceMs) * perSecond) / 1000);
  }

  /** Null: there are too many addresses to tell them apart. */
  private useOf(address: string, nowMs: number): AddressUse | null {
    let use = this.uses.get(address);
    if (use === undefined) {
      if (this.uses.size >= MOST_ADDRESSES) return null;
      use = { level: 0, sinceMs: nowMs, window: -1 };
      this.uses.set(address, use);
    }
    if (use.window !== this.window) {
      use.window = this.window;
      this.asking++;
    }
    return use;
  }

  /** Begins the window of now; addresses that have not asked for a while, and have nothing in use, are forgotten. */
  private turn(nowMs: number): void {
    const window = Math.floor(nowMs / WINDOW_MS);
    if (window === this.window) return;
    this.askedBefore = window === this.window + 1 ? this.asking : 0;
    this.window = window;
    this.asking = 0;
    const slowest = this.perSecond / Math.max(1, this.askedBefore);
    for (const [address, use] of this.uses)
      if (use.window < window - 1 && this.drained(use.level, use.sinceMs, nowMs, slowest) === 0)
        this.uses.delete(address);
  }
}
