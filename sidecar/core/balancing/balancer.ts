/**
 * Which endpoint gets an attempt. Two policies over the same plain objects: least-loaded (power of two choices
 * on latency × load) and round-robin (smooth, weighted); a third, by the hash of a key, is ring-hash.ts. Who may be
 * chosen at all is not decided here: it is read from `eligible`.
 */
import { PeakEwma } from './peak-ewma.js';

/** What balancing knows of one endpoint. The mesh extends it; `inFlight`, `weight` and `eligible` are kept by the relay and the mesh. */
export class EndpointLoad {
  readonly latency = new PeakEwma();
  /** Its place in words; unlike that of any other, and lasting. */
  label = '';
  /** Attempts under way. */
  inFlight = 0;
  /** Relative share, ≥ 0. Zero takes no traffic. */
  weight = 1;
  /**
   * What it takes of its weight now, above 0, at most 1: less while it warms up, while it says that it is full, and where
   * nearer ones take most of the traffic. Tell the balancer (`reweighed`) when it falls all at once.
   */
  weightFactor = 1;
  /** May receive traffic: discovered, connected, healthy, not ejected. */
  eligible = true;
  /** @internal Smooth round-robin's running credit. */
  credit = 0;

  /** @internal What its peers cost, ms, as the balancer last saw them; 0 = unknown. */
  peerMs = 0;

  /** Its weight as it counts now. */
  get share(): number {
    return this.weight * this.weightFactor;
  }

  /** What this endpoint usually needs, ms: by its own successes, else what its peers cost; 0 = unknown. */
  get usualMs(): number {
    return this.latency.meanMs > 0 ? this.latency.meanMs : this.peerMs;
  }
}

export interface Balancer {
  /**
   * An eligible endpoint, preferring one not in `tried`; undefined when none is eligible.
   * A `tried` one is returned only when every eligible one has been tried.
   * @param key hash of what the call sticks to, 0 to 2³² − 1. Absent or NO_KEY: nothing. Only ring-hash looks at it.
   */
  pick<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: readonly EndpointLoad[],
    nowMs: number,
    key?: number,
  ): E | undefined;
  /** Shares have changed, and what was derived from them holds no longer. */
  reweighed?(): void;
  /** Full endpoints get fewer calls without being told: it goes by what their calls cost. */
  readonly feelsLoad?: boolean;
}

/** The call sticks to no endpoint. */
export const NO_KEY = -1;

const NONE: readonly EndpointLoad[] = [];

/** Whether an attempt may go to `endpoint`: eligible, with a share of the traffic, and not tried before. */
export function mayTake(endpoint: EndpointLoad, tried: readonly EndpointLoad[]): boolean {
  if (!endpoint.eligible || !(endpoint.weight > 0)) return false;
  for (let i = 0; i < tried.length; i += 1) if (tried[i] === endpoint) return false;
  return true;
}

/** Whether an eligible endpoint is left that a call has not tried. */
export function hasUntried(endpoints: readonly EndpointLoad[], tried: readonly EndpointLoad[]): boolean {
  for (let i = 0; i < endpoints.length; i += 1) if (mayTake(endpoints[i]!, tried)) return true;
  return false;
}

/** What an endpoint without samples is taken to cost when no peer has any either. Only ratios matter. */
const BLIND_MS = 1;
/** Latencies below this are equal in practice, and zero would have no reciprocal. */
const MIN_COST_MS = 0.001;
/** The second choice wins only when it is at least this much cheaper; nearer than that, chance spreads the calls. */
const CLEARLY_CHEAPER = 0.9;
/** Draws before an exact search: with half the pool eligible, one in 256 picks needs it. */
const MAX_DRAWS = 8;
const REFRESH_MS = 100;

/** Power of two choices on `latency × (1 + in flight ÷ share)`, share being the weight over the mean weight. */
export class LeastLoaded implements Balancer {
  /**
   * What an average peer costs: the harmonic mean of the estimates, which one slow peer cannot drag up. As the
   * estimates of endpoints without calls fade into this, it approaches what those with calls cost.
   */
  private neutralMs = BLIND_MS;
  private meanShare = 1;
  private maxShare = 1;
  private isWeighted = false;
  readonly feelsLoad = true;
  private refreshedMs = Number.NEGATIVE_INFINITY;
  private refreshedCount = -1;

  /** Of xorshift32: 32 bits, never all 0. */
  private state: number;

  /** @param random gives the first state: what is drawn from then on is our own. */
  constructor(random: () => number) {
    this.state = (random() * 2 ** 32) | 0 || 1;
  }

  /** The cost of a peer of which nothing is known, ms. */
  get neutral(): number {
    return this.neutralMs;
  }

  pick<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: readonly EndpointLoad[],
    nowMs: number,
  ): E | undefined {
    if (nowMs - this.refreshedMs >= REFRESH_MS || endpoints.length !== this.refreshedCount)
      this.refresh(endpoints, nowMs);
    const count = endpoints.length;
    if (this.isWeighted || tried.length > 0 || count < 2) return this.pickSingly(endpoints, tried, nowMs);
    // One number is enough for both: what the first leaves of it is as good as new.
    const point = this.chance() * count;
    const first = point | 0;
    const rest = ((point - first) * (count - 1)) | 0;
    const one = endpoints[first]!;
    const other = endpoints[rest < first ? rest : rest + 1]!;
    if (!mayTake(one, NONE) || !mayTake(other, NONE)) return this.pickSingly(endpoints, tried, nowMs);
    return this.better(one, other, nowMs);
  }

  /** One draw after the other: where some may not be drawn, or not as likely as others. */
  private pickSingly<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: readonly EndpointLoad[],
    nowMs: number,
  ): E | undefined {
    const first = this.draw(endpoints, tried, -1);
    if (first < 0) return tried.length > 0 ? this.pick(endpoints, NONE, nowMs) : undefined;
    const second = this.draw(endpoints, tried, first);
    return second < 0 ? endpoints[first]! : this.better(endpoints[first]!, endpoints[second]!, nowMs);
  }

  /** Of two, in the order in which they were drawn. */
  private better<E extends EndpointLoad>(one: E, other: E, nowMs: number): E {
    if (one.weightFactor !== other.weightFactor) return isForDrawn(one, other) ? one : other;
    return this.cost(other, nowMs) < this.cost(one, nowMs) * CLEARLY_CHEAPER ? other : one;
  }

  reweighed(): void {
    this.refreshedMs = Number.NEGATIVE_INFINITY;
  }

  /** Lower is better. */
  cost(endpoint: EndpointLoad, nowMs: number): number {
    const load = this.isWeighted ? (endpoint.inFlight * this.meanShare) / endpoint.share : endpoint.inFlight;
    return Math.max(endpoint.latency.cost(this.neutralMs, nowMs), MIN_COST_MS) * (1 + load);
  }

  /** In [0, 1), by xorshift32 (Marsaglia 2003), which is cheaper than calling `Math.random` through a field. */
  private chance(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return (x >>> 0) / 2 ** 32;
  }

  /** Index of an endpoint that may take the attempt, other than `except` (-1 = none), by chance in proportion to weight; -1 when there is none. */
  private draw(endpoints: readonly EndpointLoad[], tried: readonly EndpointLoad[], except: number): number {
    const choices = except < 0 ? endpoints.length : endpoints.length - 1;
    if (choices > 1) {
      for (let i = 0; i < MAX_DRAWS; i += 1) {
        const point = this.chance() * choices;
        const drawn = point | 0;
        const index = except >= 0 && drawn >= except ? drawn + 1 : drawn;
        const endpoint = endpoints[index]!;
        if (!mayTake(endpoint, tried)) continue;
        if (!this.isWeighted || (point - drawn) * this.maxShare < endpoint.share) return index;
      }
    }
    return choices > 0 ? this.search(endpoints, tried, except) : -1;
  }

  private search(endpoints: readonly EndpointLoad[], tried: readonly EndpointLoad[], except: number): number {
    let total = 0;
    let last = -1;
    for (let i = 0; i < endpoints.length; i += 1) {
      if (i === except || !mayTake(endpoints[i]!, tried)) continue;
      total += endpoints[i]!.share;
      last = i;
    }
    if (last < 0 || total === endpoints[last]!.share) return last;
    let point = this.chance() * total;
    for (let i = 0; i < last; i += 1) {
      if (i === except || !mayTake(endpoints[i]!, tried)) continue;
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
    this.neutralMs = known > 0 ? known / inverse : BLIND_MS;
    for (const endpoint of endpoints) endpoint.peerMs = known > 0 ? this.neutralMs : 0;
    this.meanShare = positive > 0 ? shares / positive : 1;
    this.isWeighted = positive > 0 && minShare !== this.maxShare;
  }
}

/**
 * Of two that are damped differently: whether the one drawn first takes the call. A damped one gets what it is drawn for,
 * however cold or far it is, as long as its load is in proportion; and being idle, which it is for that reason, wins it
 * nothing beyond that.
 */
function isForDrawn(one: EndpointLoad, other: EndpointLoad): boolean {
  if (one.weightFactor > other.weightFactor) return true;
  return one.inFlight * other.share <= (other.inFlight + 1) * one.share;
}

/** Smooth weighted round-robin, as nginx does it: over any full turn each endpoint gets exactly its share, spread evenly. */
export class RoundRobin implements Balancer {
  pick<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: readonly EndpointLoad[],
    nowMs: number,
  ): E | undefined {
    let total = 0;
    let best: E | undefined;
    for (let i = 0; i < endpoints.length; i += 1) {
      const endpoint = endpoints[i]!;
      if (!mayTake(endpoint, tried)) continue;
      endpoint.credit += endpoint.share;
      total += endpoint.share;
      if (best === undefined || endpoint.credit > best.credit) best = endpoint;
    }
    if (best === undefined) return tried.length > 0 ? this.pick(endpoints, NONE, nowMs) : undefined;
    best.credit -= total;
    return best;
  }
}
