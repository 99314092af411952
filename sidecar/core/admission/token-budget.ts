const MINUTE_MS = 60_000;

/** Tokens that are set aside in all budgets together: 0 while no call runs. */
export class TokenLedger {
  reserved = 0;
}

/**
 * The tokens of one caller: a bucket that fills within a minute. A call takes all that it may use when it is admitted, and gives back at
 * its end what it did not use.
 */
export class TokenBudget {
  /** Tokens that are left. Below 0: calls brought more than was known when they were admitted. */
  level: number;
  /** Set aside for calls that run. */
  reserved = 0;

  constructor(
    /** The limit; a changed one holds from the last `refill` on. */
    public perMinute: number,
    private atMs: number,
  ) {
    this.level = perMinute;
  }

  /** Fills up to the limit. */
  refill(nowMs: number): void {
    const { perMinute } = this;
    const more = ((nowMs - this.atMs) * perMinute) / MINUTE_MS;
    this.level = Math.min(perMinute, this.level + more);
    this.atMs = nowMs;
  }

  /** How long until so many tokens are left, if none come back before, ms; 0: now. */
  waitMs(tokens: number): number {
    return tokens <= this.level ? 0 : ((tokens - this.level) * MINUTE_MS) / this.perMinute;
  }

  /** Gives tokens back, or takes more where they are below 0, as of now. */
  give(tokens: number, nowMs: number): void {
    this.refill(nowMs);
    this.level = Math.min(this.perMinute, this.level + tokens);
  }
}

/** What one call has taken of a budget. */
export class TokenReservation {
  private isOpen = true;
  /** Of the budget, for this call. */
  private taken: number;

  /** Takes `reserved` tokens, for which there is room. */
  constructor(
    private readonly budget: TokenBudget,
    private readonly ledger: TokenLedger,
    readonly reserved: number,
  ) {
    this.taken = reserved;
    budget.level -= reserved;
    budget.reserved += reserved;
    ledger.reserved += reserved;
  }

  /** The call has used so much by now. What is beyond its reservation is taken as it comes. */
  use(used: number, nowMs: number): void {
    if (!this.isOpen || used <= this.taken) return;
    this.budget.give(this.taken - used, nowMs);
    this.taken = used;
  }

  /** The call is over, and has used so much. Only the first time counts. */
  settle(used: number, nowMs: number): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.budget.reserved -= this.reserved;
    this.ledger.reserved -= this.reserved;
    this.budget.give(this.taken - used, nowMs);
  }
}
