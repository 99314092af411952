import { Outcome } from '../outcome/outcome.js';

/** Size of a budget. */
export interface BudgetSettings {
  /** Extra attempts per call. */
  readonly ratio: number;
  /** Reserve: extra attempts per second besides; at most those of ten seconds are saved. */
  readonly perSecond: number;
}

/** Calls of this time count, ms. */
export const WINDOW_MS = 10_000;
const SLOTS = 10;
const SLOT_MS = WINDOW_MS / SLOTS;
const SECOND_MS = 1_000;
/** Failed extra attempts in a row after which savings are not spent. */
const MAX_FUTILE = 10;
/** Tolerance for sums of a ratio. */
const INEXACT = 1e-9;

/**
 * Bounds the extra attempts (retries and hedges) of an upstream: a share of its calls of the last ten seconds, plus a reserve per
 * second so that quiet upstreams can retry (Finagle's and tower's retry budgets). Streams that are resumed count by their length too
 * (decision 130). Savings are for the case that a part of the upstream fails. When all of it fails, they would double its load for
 * seconds: after MAX_FUTILE failed extra attempts in a row only as many are granted as the calls of the same second deposit, until one
 * succeeds (after gRFC A6, retry throttling).
 */
export class RetryBudget {
  /** Unspent deposits by second. */
  private readonly deposits = new Float64Array(SLOTS);
  private second = Number.NEGATIVE_INFINITY;
  private deposited = 0;
  private reserve: number;
  private reserveMs = Number.NEGATIVE_INFINITY;
  /** Failed extra attempts since the last success, and when the last one ended. */
  private futile = 0;
  private futileMs = Number.NEGATIVE_INFINITY;
  /** Deposited and spent in the present second. */
  private depositedNow = 0;
  private spentNow = 0;

  /** Extra attempts granted; and refused by the budget. */
  granted = 0;
  refused = 0;

  constructor(private settings: BudgetSettings) {
    this.reserve = (settings.perSecond * WINDOW_MS) / 1_000;
  }

  configure(settings: BudgetSettings): void {
    this.settings = settings;
    this.reserve = Math.min(this.reserve, (settings.perSecond * WINDOW_MS) / 1_000);
  }

  /** A call (not an extra attempt) has begun. */
  deposit(nowMs: number): void {
    this.forget(nowMs);
    this.add(this.settings.ratio);
    this.depositedNow += this.settings.ratio;
  }

  /**
   * The endpoint of a stream has failed after `openMs`, ms, and another is about to go on with it. The stream counts as one more call for each
   * second of that, as what its own call deposited is forgotten after ten: a replica may die under more streams than begin in that time. It
   * pays for one attempt at most, and for none while savings are not spent (MAX_FUTILE). Ask `withdraw` next.
   */
  depositStream(openMs: number, nowMs: number): void {
    this.forget(nowMs);
    if (this.isThrottled(nowMs)) return;
    this.add(Math.min(1, this.settings.ratio * Math.floor(openMs / SECOND_MS)));
  }

  /**
   * An endpoint has died under a call that now goes to another: its load moves there, and does not multiply. Such a call pays for its own attempt,
   * but for none while savings are not spent (MAX_FUTILE). Ask `withdraw` next.
   */
  depositMoved(nowMs: number): void {
    this.forget(nowMs);
    if (!this.isThrottled(nowMs)) this.add(1);
  }

  private add(attempts: number): void {
    this.deposits[this.second % SLOTS]! += attempts;
    this.deposited += attempts;
  }

  /**
   * The outcome of an extra attempt, told at its end. A stream that gets on at its endpoint is a success already then, and its end is not
   * told. Neutral and cancelled ones do not count.
   */
  recordOutcome(outcome: Outcome, nowMs: number): void {
    if (outcome === Outcome.success) this.futile = 0;
    else if (outcome !== Outcome.neutral && outcome !== Outcome.cancelled) {
      this.futile += 1;
      this.futileMs = nowMs;
    }
  }

  /** Spends one extra attempt; false when there is none. */
  withdraw(nowMs: number): boolean {
    this.forget(nowMs);
    this.refill(nowMs);
    if (this.isThrottled(nowMs) || !this.spendOne()) {
      this.refused += 1;
      return false;
    }
    this.spentNow += 1;
    this.granted += 1;
    return true;
  }

  /** Extra attempts available now. */
  balance(nowMs: number): number {
    this.forget(nowMs);
    this.refill(nowMs);
    return this.deposited + this.reserve;
  }

  private isThrottled(nowMs: number): boolean {
    if (this.futile < MAX_FUTILE || nowMs - this.futileMs >= WINDOW_MS) return false;
    return this.spentNow + 1 > this.depositedNow + this.settings.perSecond + INEXACT;
  }

  /** One extra attempt; false when there is not enough for it. */
  private spendOne(): boolean {
    const whole = 1 - INEXACT;
    // The reserve last: a quiet upstream has nothing else.
    if (this.deposited >= whole) this.spendOldest();
    else if (this.reserve >= whole) this.reserve = Math.max(0, this.reserve - 1);
    else if (this.deposited + this.reserve >= whole) {
      this.reserve = Math.max(0, this.reserve - (1 - this.deposited));
      this.deposits.fill(0);
      this.deposited = 0;
    } else return false;
    return true;
  }

  /** One deposit, the oldest first. */
  private spendOldest(): void {
    let due = 1;
    for (let age = SLOTS - 1; age >= 0 && due > 0; age -= 1) {
      const slot = (this.second + SLOTS - age) % SLOTS;
      const taken = Math.min(due, this.deposits[slot]!);
      this.deposits[slot]! -= taken;
      due -= taken;
    }
    this.deposited = Math.max(0, this.deposited - 1);
  }

  private forget(nowMs: number): void {
    const second = Math.floor(nowMs / SLOT_MS);
    if (second <= this.second) return;
    if (second - this.second >= SLOTS) {
      this.deposits.fill(0);
      this.deposited = 0;
    } else {
      for (let passed = this.second + 1; passed <= second; passed += 1) this.deposits[passed % SLOTS] = 0;
      let left = 0;
      for (let i = 0; i < SLOTS; i += 1) left += this.deposits[i]!;
      this.deposited = left;
    }
    this.second = second;
    this.depositedNow = 0;
    this.spentNow = 0;
  }

  private refill(nowMs: number): void {
    if (nowMs <= this.reserveMs) return;
    const { perSecond } = this.settings;
    const gained = (perSecond * Math.min(nowMs - this.reserveMs, WINDOW_MS)) / 1_000;
    this.reserveMs = nowMs;
    this.reserve = Math.min((perSecond * WINDOW_MS) / 1_000, this.reserve + gained);
  }
}
