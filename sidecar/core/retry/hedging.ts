/**
 * When a call that is late gets a second copy, and whether it may have one (Dean and Barroso, "The tail at scale"; gRFC
 * A6). The delay is a percentile of what calls of the same method took lately, so it follows the service; copies are a
 * share of the calls and come out of the retry budget too, so that a service that is slow as a whole is not hit twice.
 */

import { type Percentile, UNKNOWN } from '../stats/percentile.js';
import type { CircuitBreakerLimits } from './circuit-breaker.js';
import type { RetryBudget } from './retry-budget.js';

export interface HedgeSettings {
  /** The copy goes when the answer has taken longer than this share of recent ones. */
  readonly percentile: number;
  readonly minDelayMs: number;
  /** Copies, as a share of the calls. */
  readonly maxRatio: number;
}

/** Copies that may be saved up in quiet times. */
const MAX_SAVED = 10;
/** Sums of a share are not exact. */
const ALMOST = 1 - 1e-9;

/** What is true of a call when its delay is over. */
export interface HedgeFacts {
  /** All of the request is here and kept, and nothing of an answer has been passed on. */
  readonly isRepeatable: boolean;
  /** An eligible endpoint is left that this call has not tried. */
  readonly isOtherAvailable: boolean;
  /** Bounds extra attempts. Null: no bound. */
  readonly breaker: CircuitBreakerLimits | null;
}

export const HEDGE_REFUSALS = ['request', 'endpoint', 'ratio', 'budget', 'breaker'] as const;
export type HedgeRefusal = (typeof HEDGE_REFUSALS)[number];

/** The copies of one method's calls. */
export class Hedge {
  private saved = 0;
  sent = 0;
  /** Copies that answered first. */
  won = 0;
  readonly refused: Record<HedgeRefusal, number> = {
    request: 0,
    endpoint: 0,
    ratio: 0,
    budget: 0,
    breaker: 0,
  };

  /**
   * A call begins: when its copy is due, in ms from now; Infinity: never.
   * @param latencies what such calls took lately, where it goes.
   */
  begin(settings: HedgeSettings, latencies: Percentile, leftMs: number, nowMs: number): number {
    this.saved = Math.min(MAX_SAVED, this.saved + settings.maxRatio);
    return this.delayMs(settings, latencies, leftMs, nowMs);
  }

  /** How long a call that has begun is waited for before its copy goes, ms; Infinity: always. */
  delayMs(settings: HedgeSettings, latencies: Percentile, leftMs: number, nowMs: number): number {
    const usual = latencies.at(settings.percentile, nowMs);
    if (usual === UNKNOWN) return Number.POSITIVE_INFINITY;
    const delayMs = Math.max(usual, settings.minDelayMs);
    return delayMs < leftMs ? delayMs : Number.POSITIVE_INFINITY;
  }

  /** The delay is over. Takes from both budgets when it says yes, so ask only when the copy would be sent. */
  take(facts: HedgeFacts, budget: RetryBudget, nowMs: number): boolean {
    if (!facts.isRepeatable) return this.refuse('request');
    if (!facts.isOtherAvailable) return this.refuse('endpoint');
    if (this.saved < ALMOST) return this.refuse('ratio');
    // After what costs nothing to ask: the breaker counts only what it prevents.
    if (facts.breaker?.mayRetry() === false) return this.refuse('breaker');
    if (!budget.withdraw(nowMs)) return this.refuse('budget');
    this.saved = Math.max(0, this.saved - 1);
    this.sent++;
    return true;
  }

  /** The first copy was overtaken after `elapsedMs`. */
  overtaken(settings: HedgeSettings, latencies: Percentile, elapsedMs: number, nowMs: number): void {
    this.won++;
    const usual = latencies.at(settings.percentile, nowMs);
    // Late, and nobody knows how late. Any more than the delay would let it creep up, until with one slow endpoint
    // among three no copy is ever due; no sample at all would let it sink below the percentile.
    latencies.record(usual === UNKNOWN ? elapsedMs : Math.min(elapsedMs, usual * ALMOST), nowMs);
  }

  private refuse(why: HedgeRefusal): false {
    this.refused[why]++;
    return false;
  }
}
