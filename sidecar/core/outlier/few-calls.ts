import type { RecentTimes } from '../stats/histogram.js';

/** Calls between two sweeps that are kept; of an endpoint with more there is no need to look at each. */
const MAX_FRESH = 8;
/** After so long without a call those before it count no more, ms. */
const FORGOTTEN_MS = 60_000;

/** Slow calls in a row, one after the other, that show a slow endpoint. */
export const FEW_CALLS = 6;
/** A call is slow that took longer than this part of the calls of its peers. */
const PEERS_BELOW = 0.95;

/** What a call has to exceed to be slow, ms: the peers' calls of the same time. */
export interface SlowBound {
  readonly peers: readonly RecentTimes[];
  readonly leastMs: number;
}

/**
 * The calls of an endpoint that gets few, since a balancer keeps calls away from what is slow: too few for a median. Each is held against what the peers
 * needed at the same time. An endpoint that is as fast as they are exceeds what 95 % of their calls needed in one case of twenty, and six times
 * in a row in one of sixty million.
 */
export class FewCalls {
  private readonly freshMs = new Float64Array(MAX_FRESH);
  private readonly freshEndMs = new Float64Array(MAX_FRESH);
  private fresh = 0;
  private lastEndMs = Number.NEGATIVE_INFINITY;
  /** Slow calls in a row. */
  slow = 0;

  record(tookMs: number, nowMs: number): void {
    if (this.fresh === MAX_FRESH) return;
    this.freshMs[this.fresh] = tookMs;
    this.freshEndMs[this.fresh] = nowMs;
    this.fresh += 1;
  }

  /** Looks at the calls since the last time. @param bound null: there is nothing to hold them against. */
  look(bound: SlowBound | null): void {
    for (let i = 0; i < this.fresh; i += 1) this.take(this.freshMs[i]!, this.freshEndMs[i]!, bound);
    this.fresh = 0;
  }

  private take(tookMs: number, endMs: number, bound: SlowBound | null): void {
    if (endMs - this.lastEndMs > FORGOTTEN_MS) this.slow = 0;
    if (bound === null || !isSlow(tookMs, bound)) {
      this.slow = 0;
      this.lastEndMs = endMs;
      return;
    }
    // Those that were held up together show one thing.
    if (endMs - tookMs < this.lastEndMs) return;
    this.slow += 1;
    this.lastEndMs = endMs;
  }
}

function isSlow(tookMs: number, { peers, leastMs }: SlowBound): boolean {
  if (tookMs <= leastMs) return false;
  for (const peer of peers) if (tookMs <= peer.quantile(PEERS_BELOW)) return false;
  return true;
}
