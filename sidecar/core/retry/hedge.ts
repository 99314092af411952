import { type Percentile, UNKNOWN } from '../stats/percentile.js';
import type { CircuitBreakerLimits } from './breaker-limits.js';
import type { RetryBudget } from './retry-budget.js';

/** When calls of a route are hedged. */
export interface HedgeSettings {
  /** A hedge is sent when the response takes longer than this share of recent ones, 0 to 1. */
  readonly percentile: number;
  readonly minDelayMs: number;
  /** Hedges as a share of the calls, 0 to 1. */
  readonly maxRatio: number;
}

/** Hedges saved at most. */
const MAX_TOKENS = 10;
/** One, within the tolerance for sums of a ratio. */
const ALMOST = 1 - 1e-9;

/** State of a call when its hedging delay is over. */
export interface HedgeFacts {
  /** The whole request is buffered, and nothing of a response has been passed on. */
  readonly isRepeatable: boolean;
  /** An eligible endpoint is left that this call has not tried. */
  readonly isOtherAvailable: boolean;
  /** Bounds extra attempts; null: no bound. */
  readonly breaker: CircuitBreakerLimits | null;
  /** Whether it would only end by the deadline of the call (short-deadlines.ts). Absent: nothing says so. */
  readonly isHopeless?: () => boolean;
}

/**
 * Hedging of one method's calls: when a slow call gets a second attempt beside the first, and whether it may (Dean and Barroso,
 * "The tail at scale"; gRFC A6). The delay is a percentile of recent latencies of the same method; hedges are a share of the
 * calls and are paid from the retry budget too, so that a service that is slow as a whole does not get twice the load.
 */
export class Hedge {
  private tokens = 0;
  sent = 0;
  /** Hedges that answered first. */
  won = 0;
  /** Hedges that were not sent, by what was missing. */
  readonly refused = { request: 0, endpoint: 0, ratio: 0, budget: 0, breaker: 0 };

  /**
   * A call begins. Returns its hedging delay, ms; Infinity: no hedge.
   * @param latencies recent ones of the same calls at the same place.
   */
  begin(settings: HedgeSettings, latencies: Percentile, leftMs: number, nowMs: number): number {
    this.tokens = Math.min(MAX_TOKENS, this.tokens + settings.maxRatio);
    return this.delayMs(settings, latencies, leftMs, nowMs);
  }

  /** Hedging delay of a call that has begun, ms; Infinity: no hedge. */
  delayMs(settings: HedgeSettings, latencies: Percentile, leftMs: number, nowMs: number): number {
    const usual = latencies.at(settings.percentile, nowMs);
    if (usual === UNKNOWN) return Number.POSITIVE_INFINITY;
    const delayMs = Math.max(usual, settings.minDelayMs);
    return delayMs < leftMs ? delayMs : Number.POSITIVE_INFINITY;
  }

  /** The delay is over: whether a hedge may be sent. If so it is counted, and taken from both budgets. */
  grant(facts: HedgeFacts, budget: RetryBudget, nowMs: number): boolean {
    if (!facts.isRepeatable) return this.refuse('request');
    if (!facts.isOtherAvailable) return this.refuse('endpoint');
    if (this.tokens < ALMOST) return this.refuse('ratio');
    if (facts.isHopeless?.() === true) return this.refuse('budget');
    // Asked late: the breaker counts what it prevents.
    if (facts.breaker?.mayRetry() === false) return this.refuse('breaker');
    if (!budget.withdraw(nowMs)) return this.refuse('budget');
    this.tokens = Math.max(0, this.tokens - 1);
    this.sent++;
    return true;
  }

  /** The hedge answered first, `elapsedMs` after the first attempt began. */
  recordWin(settings: HedgeSettings, latencies: Percentile, elapsedMs: number, nowMs: number): void {
    this.won++;
    const usual = latencies.at(settings.percentile, nowMs);
    // The first attempt's latency is unknown. A sample above the delay would let that creep up, until with one slow
    // endpoint among three no hedge is ever due; no sample at all would let it sink below the percentile.
    latencies.record(usual === UNKNOWN ? elapsedMs : Math.min(elapsedMs, usual * ALMOST), nowMs);
  }

  private refuse(why: keyof Hedge['refused']): false {
    this.refused[why]++;
    return false;
  }
}
