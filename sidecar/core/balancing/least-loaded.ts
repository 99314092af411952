import {
  type Balancer,
  CallKind,
  canPick,
  type EndpointLoad,
  NO_KEY,
  NONE_TRIED,
  type Tried,
} from './balancer.js';

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
  /** The same of first messages; 0: no endpoint has sent one, and streams go by the latency of unary calls. */
  neutralFirstMessageMs = 0;
  /** Calls under way at an average endpoint, at least 1. */
  private meanInFlight = 1;
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

  pick<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: Tried,
    nowMs: number,
    _key?: number,
    kind: CallKind = CallKind.unary,
  ): E | undefined {
    if (nowMs - this.refreshedMs >= REFRESH_MS || endpoints.length !== this.refreshedCount)
      this.refresh(endpoints, nowMs);
    const count = endpoints.length;
    if (this.isWeighted || tried.length > 0 || count < 2)
      return this.pickSingly(endpoints, tried, nowMs, kind);
    // One random number gives both indexes: its fraction is as random as the whole.
    const point = this.nextRandom() * count;
    const first = point | 0;
    const rest = ((point - first) * (count - 1)) | 0;
    const one = endpoints[first]!;
    const other = endpoints[rest < first ? rest : rest + 1]!;
    if (!canPick(one, NONE_TRIED) || !canPick(other, NONE_TRIED))
      return this.pickSingly(endpoints, tried, nowMs, kind);
    return this.better(one, other, nowMs, kind);
  }

  /** Two separate draws: where endpoints are excluded, or weights differ. */
  private pickSingly<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: Tried,
    nowMs: number,
    kind: CallKind,
  ): E | undefined {
    const first = this.draw(endpoints, tried, -1);
    if (first < 0)
      return tried.length > 0 ? this.pick(endpoints, NONE_TRIED, nowMs, NO_KEY, kind) : undefined;
    const second = this.draw(endpoints, tried, first);
    return second < 0 ? endpoints[first]! : this.better(endpoints[first]!, endpoints[second]!, nowMs, kind);
  }

  /** The better of two, in the order in which they were drawn. */
  private better<E extends EndpointLoad>(one: E, other: E, nowMs: number, kind: CallKind): E {
    // An endpoint with a low weight factor gets the calls it is drawn for, however slow it is, as long as its load is in
    // proportion; that it is idle, which follows from the low factor, earns it no further calls.
    if (one.weightFactor > other.weightFactor) return one;
    if (one.weightFactor < other.weightFactor)
      return one.inFlight * other.share <= (other.inFlight + 1) * one.share ? one : other;
    return this.cost(other, nowMs, kind) < this.cost(one, nowMs, kind) * CLEARLY_CHEAPER ? other : one;
  }

  reweighed(): void {
    this.refreshedMs = Number.NEGATIVE_INFINITY;
  }

  /** Cost of one more call, ms; lower is better. */
  cost(endpoint: EndpointLoad, nowMs: number, kind: CallKind = CallKind.unary): number {
    if (kind === CallKind.stream && this.neutralFirstMessageMs > 0) return this.streamCost(endpoint, nowMs);
    const load = this.isWeighted ? (endpoint.inFlight * this.meanShare) / endpoint.share : endpoint.inFlight;
    return Math.max(endpoint.latency.cost(this.neutralMs, nowMs), MIN_COST_MS) * (1 + load);
  }

  /**
   * The same of a stream, ms to its first message. Before it are those that wait for theirs; the streams that are open take
   * part of the endpoint too, by their number beside that of the peers: how many there are depends on how long they last.
   */
  private streamCost({ firstMessage, unanswered, inFlight, share }: EndpointLoad, nowMs: number): number {
    const { neutralFirstMessageMs: neutralMs } = this;
    const costMs = firstMessage === null ? neutralMs : firstMessage.cost(neutralMs, nowMs);
    const load = unanswered + inFlight / this.meanInFlight;
    return Math.max(costMs, MIN_COST_MS) * (1 + (this.isWeighted ? (load * this.meanShare) / share : load));
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
    let streamInverse = 0;
    let streamsKnown = 0;
    let inFlight = 0;
    for (const endpoint of endpoints) {
      const { latency, firstMessage, share } = endpoint;
      inFlight += endpoint.inFlight;
      if (latency.samples > 0) {
        inverse += 1 / Math.max(latency.estimate(this.neutralMs, nowMs), MIN_COST_MS);
        known += 1;
      }
      if (firstMessage !== null && firstMessage.samples > 0) {
        streamInverse += 1 / Math.max(firstMessage.estimate(this.neutralFirstMessageMs, nowMs), MIN_COST_MS);
        streamsKnown += 1;
      }
      if (!(share > 0)) continue;
      shares += share;
      positive += 1;
      if (share > this.maxShare) this.maxShare = share;
      if (share < minShare) minShare = share;
    }
    this.neutralMs = known > 0 ? known / inverse : UNKNOWN_COST_MS;
    this.meanInFlight = Math.max(1, inFlight / endpoints.length);
    this.neutralFirstMessageMs = streamsKnown > 0 ? streamsKnown / streamInverse : 0;
    for (const endpoint of endpoints) {
      endpoint.peerMs = known > 0 ? this.neutralMs : 0;
      endpoint.peerFirstMessageMs = this.neutralFirstMessageMs;
    }
    this.meanShare = positive > 0 ? shares / positive : 1;
    this.isWeighted = positive > 0 && minShare !== this.maxShare;
  }
}
