import { type Balancer, canPick, type EndpointLoad, NONE_TRIED, type Tried } from './balancer.js';

/** Assumed cost, ms, of an endpoint without samples when no peer has any either. Only ratios matter. */
const UNKNOWN_COST_MS = 1;
/** Latencies below this are equal in practice, and zero would have no reciprocal. */
const MIN_COST_MS = 0.001;
/** The second draw wins only below this share of the first one's cost; nearer costs are equal, and chance spreads the calls. */
const CLEARLY_CHEAPER = 0.9;
/** Draws before an exact search: with half the pool eligible, one in 256 picks needs it. */
const MAX_DRAWS = 8;
/** Mean cost and weights are recomputed this often, ms. */
const REFRESH_MS = 100;

/**
 * Power of two choices (Mitzenmacher 2001; Envoy's and Finagle's P2C) on `latency × (1 + in flight ÷ relative weight)`, latency being a
 * peak-sensitive average (peak-ewma.ts) and the relative weight that over the mean.
 */
export class LeastLoaded implements Balancer {
  /**
   * Cost of an average peer, ms: the harmonic mean of the estimates, on which one slow peer has little effect. The
   * estimate of an endpoint without calls decays towards it.
   */
  neutralMs = UNKNOWN_COST_MS;
  private meanShare = 1;
  private maxShare = 1;
  private isWeighted = false;
  readonly feelsLoad = true;
  private refreshedMs = Number.NEGATIVE_INFINITY;
  private refreshedCount = -1;

  /** State of xorshift32: 32 bits, never all 0. */
  private state: number;

  /** @param random in [0, 1); seeds the generator, called once. */
  constructor(random: () => number) {
    this.state = (random() * 2 ** 32) | 0 || 1;
  }

  pick<E extends EndpointLoad>(endpoints: readonly E[], tried: Tried, nowMs: number): E | undefined {
    if (nowMs - this.refreshedMs >= REFRESH_MS || endpoints.length !== this.refreshedCount)
      this.refresh(endpoints, nowMs);
    const count = endpoints.length;
    if (this.isWeighted || tried.length > 0 || count < 2) return this.pickSingly(endpoints, tried, nowMs);
    // One random number gives both indexes: its fraction is as random as the whole.
    const point = this.nextRandom() * count;
    const first = point | 0;
    const rest = ((point - first) * (count - 1)) | 0;
    const one = endpoints[first]!;
    const other = endpoints[rest < first ? rest : rest + 1]!;
    if (!canPick(one, NONE_TRIED) || !canPick(other, NONE_TRIED))
      return this.pickSingly(endpoints, tried, nowMs);
    return this.better(one, other, nowMs);
  }

  /** Two separate draws: where endpoints are excluded, or weights differ. */
  private pickSingly<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: Tried,
    nowMs: number,
  ): E | undefined {
    const first = this.draw(endpoints, tried, -1);
    if (first < 0) return tried.length > 0 ? this.pick(endpoints, NONE_TRIED, nowMs) : undefined;
    const second = this.draw(endpoints, tried, first);
    return second < 0 ? endpoints[first]! : this.better(endpoints[first]!, endpoints[second]!, nowMs);
  }

  /** The better of two, in the order in which they were drawn. */
  private better<E extends EndpointLoad>(one: E, other: E, nowMs: number): E {
    // An endpoint with a low weight factor gets the calls it is drawn for, however slow it is, as long as its load is in
    // proportion; that it is idle, which follows from the low factor, earns it no further calls.
    if (one.weightFactor > other.weightFactor) return one;
    if (one.weightFactor < other.weightFactor)
      return one.inFlight * other.share <= (other.inFlight + 1) * one.share ? one : other;
    return this.cost(other, nowMs) < this.cost(one, nowMs) * CLEARLY_CHEAPER ? other : one;
  }

  reweighed(): void {
    this.refreshedMs = Number.NEGATIVE_INFINITY;
  }

  /** Cost of one more call, ms; lower is better. */
  cost(endpoint: EndpointLoad, nowMs: number): number {
    const load = this.isWeighted ? (endpoint.inFlight * this.meanShare) / endpoint.share : endpoint.inFlight;
    return Math.max(endpoint.latency.cost(this.neutralMs, nowMs), MIN_COST_MS) * (1 + load);
  }

  /** A number in [0, 1), by xorshift32 (Marsaglia 2003): cheaper than calling `Math.random` through a field. */
  private nextRandom(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return (x >>> 0) / 2 ** 32;
  }

  /** Random index, in proportion to weight, of an endpoint that `canPick` other than `except` (-1 = none); -1 when there is none. */
  private draw(endpoints: readonly EndpointLoad[], tried: Tried, except: number): number {
    const choices = except < 0 ? endpoints.length : endpoints.length - 1;
    if (choices > 1) {
      for (let i = 0; i < MAX_DRAWS; i += 1) {
        const point = this.nextRandom() * choices;
        const drawn = point | 0;
        const index = except >= 0 && drawn >= except ? drawn + 1 : drawn;
        const endpoint = endpoints[index]!;
        if (!canPick(endpoint, tried)) continue;
        if (!this.isWeighted || (point - drawn) * this.maxShare < endpoint.share) return index;
      }
    }
    return choices > 0 ? this.search(endpoints, tried, except) : -1;
  }

  /** The same by a scan of all: exact, at O(n). */
  private search(endpoints: readonly EndpointLoad[], tried: Tried, except: number): number {
    let total = 0;
    let last = -1;
    for (let i = 0; i < endpoints.length; i += 1) {
      if (i === except || !canPick(endpoints[i]!, tried)) continue;
      total += endpoints[i]!.share;
      last = i;
    }
    if (last < 0 || total === endpoints[last]!.share) return last;
    let point = this.nextRandom() * total;
    for (let i = 0; i < last; i += 1) {
      if (i === except || !canPick(endpoints[i]!, tried)) continue;
      point -= endpoints[i]!.share;
      if (point < 0) return i;
    }
    return last;
  }

  private refresh(endpoints: readonly EndpointLoad[], nowMs: number): void {
    this.refreshedMs = nowMs;
    this.refreshedCount = endpoints.length;
    let inverse = 0;
    let known = 0;
    let shares = 0;
    let positive = 0;
    this.maxShare = 0;
    let minShare = Number.POSITIVE_INFINITY;
    for (const { latency, share } of endpoints) {
      if (latency.samples > 0) {
        inverse += 1 / Math.max(latency.estimate(this.neutralMs, nowMs), MIN_COST_MS);
        known += 1;
      }
      if (!(share > 0)) continue;
      shares += share;
      positive += 1;
      if (share > this.maxShare) this.maxShare = share;
      if (share < minShare) minShare = share;
    }
    this.neutralMs = known > 0 ? known / inverse : UNKNOWN_COST_MS;
    for (const endpoint of endpoints) endpoint.peerMs = known > 0 ? this.neutralMs : 0;
    this.meanShare = positive > 0 ? shares / positive : 1;
    this.isWeighted = positive > 0 && minShare !== this.maxShare;
  }
}
