/**
 * How many extra attempts an upstream can bear: a share of its calls of the last ten seconds, and a small
 * reserve per second so that quiet upstreams may retry too (after Finagle's and tower's budgets). Ten seconds of
 * quiet leave nothing but the reserve. Never below zero; time is an argument.
 *
 * What is saved up is for the part of an upstream that fails. When all of it fails, further attempts help nobody, and
 * savings would double its load for seconds: after ten that came to nothing in a row only so many are granted as the
 * same second brings, until one succeeds (a thought of gRFC A6, retry throttling).
 */
import { Outcome } from '../outcome/outcome.js';

export interface BudgetSettings {
  /** Extra attempts per call. */
  readonly ratio: number;
  /** Extra attempts per second beside those. At most ten seconds' worth is saved up. */
  readonly perSecond: number;
}

export const WINDOW_MS = 10_000;
const SLOTS = 10;
const SLOT_MS = WINDOW_MS / SLOTS;
/** Extra attempts in a row that came to nothing, after which savings are kept. */
const VAIN = 10;
/** Sums of a share are not exact. */
const INEXACT = 1e-9;

export class RetryBudget {
  /** Deposits not yet spent, by the second they came in. */
  private readonly deposits = new Float64Array(SLOTS);
  private second = Number.NEGATIVE_INFINITY;
  private deposited = 0;
  private reserve: number;
  private reserveMs = Number.NEGATIVE_INFINITY;
  /** Extra attempts that came to nothing since one did not, and when the last of them ended. */
  private vain = 0;
  private vainMs = Number.NEGATIVE_INFINITY;
  /** What the calls of this second brought, and what was taken in it. */
  private brought = 0;
  private taken = 0;

  /** Extra attempts granted, and refused for lack of budget. */
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
    this.deposits[this.second % SLOTS]! += this.settings.ratio;
    this.deposited += this.settings.ratio;
    this.brought += this.settings.ratio;
  }

  /** What became of an extra attempt. Only success and failure tell whether they help. */
  learn(outcome: Outcome, nowMs: number): void {
    if (outcome === Outcome.success) this.vain = 0;
    else if (outcome !== Outcome.neutral && outcome !== Outcome.cancelled) {
      this.vain += 1;
      this.vainMs = nowMs;
    }
  }

  /** Takes one extra attempt; false when there is none to take. */
  withdraw(nowMs: number): boolean {
    this.forget(nowMs);
    this.refill(nowMs);
    if (this.keepsSavings(nowMs) || !this.pay()) {
      this.refused += 1;
      return false;
    }
    this.taken += 1;
    this.granted += 1;
    return true;
  }

  /** Extra attempts that could be taken now. */
  balance(nowMs: number): number {
    this.forget(nowMs);
    this.refill(nowMs);
    return this.deposited + this.reserve;
  }

  private keepsSavings(nowMs: number): boolean {
    if (this.vain < VAIN || nowMs - this.vainMs >= WINDOW_MS) return false;
    return this.taken + 1 > this.brought + this.settings.perSecond + INEXACT;
  }

  /** One extra attempt; false when there is not enough for it. */
  private pay(): boolean {
    const whole = 1 - INEXACT;
    // The reserve last: it is what a quiet upstream has when deposits have run out.
    if (this.deposited >= whole) this.spend();
    else if (this.reserve >= whole) this.reserve = Math.max(0, this.reserve - 1);
    else if (this.deposited + this.reserve >= whole) {
      this.reserve = Math.max(0, this.reserve - (1 - this.deposited));
      this.deposits.fill(0);
      this.deposited = 0;
    } else return false;
    return true;
  }

  private spend(): void {
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
    this.brought = 0;
    this.taken = 0;
  }

  private refill(nowMs: number): void {
    if (nowMs <= this.reserveMs) return;
    const { perSecond } = this.settings;
    const elapsedMs = nowMs - this.reserveMs;
    this.reserveMs = nowMs;
    this.reserve = Math.min(
      (perSecond * WINDOW_MS) / 1_000,
      this.reserve + (perSecond * Math.min(elapsedMs, WINDOW_MS)) / 1_000,
    );
  }
}
