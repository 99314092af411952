import { type Balancer, canPick, type EndpointLoad, NO_KEY } from './balancer.js';
import { hashText, mix } from './hash.js';
import { LeastLoaded } from './least-loaded.js';

/** Points of an endpoint of mean weight: shares differ by about a tenth. */
const POINTS = 128;
/** Points of the whole ring, at most. */
const MAX_POINTS = 65_536;
/** Owners are 16-bit indexes; larger pools fall back to least-loaded. Subsetting keeps pools far below. */
const MAX_ENDPOINTS = 65_536;
/** An endpoint takes keyed calls up to this many times the mean number in flight, rounded up. */
const BOUND = 1.25;

interface Ring {
  readonly of: readonly EndpointLoad[];
  /** Ascending; `owners[i]` is the index of the endpoint that point i belongs to. */
  readonly points: Uint32Array;
  readonly owners: Uint16Array;
}

export interface RingHashOptions {
  /** Keys stay at their endpoint whatever its load or weight: there is state there. */
  readonly ignoresLoad: boolean;
  /**
   * A key's endpoint whose reported load is above this many times what it runs at once passes calls on to the next one on the ring whose
   * load is not. Absent, or without a report: the bound on our own calls in flight.
   */
  readonly spillAbove?: number | undefined;
}

/**
 * Calls with the same key go to the same endpoint: consistent hashing on a ring (Envoy's ring hash), so that an endpoint
 * that comes or goes moves only its own share of the keys, with bounded loads (Mirrokni, Thorup and Zadimoghaddam 2016):
 * an endpoint with a quarter more calls in flight than its share passes the call on to the next one on the ring.
 */
export class RingHash implements Balancer {
  private readonly keyless: LeastLoaded;
  private ring: Ring | undefined;
  /** Of the pick under way. */
  private nowMs = 0;

  /** @param random for calls without a key, which go to the less loaded of two. */
  constructor(
    random: () => number,
    private readonly options: RingHashOptions = { ignoresLoad: false },
  ) {
    this.keyless = new LeastLoaded(random);
  }

  pick<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: readonly EndpointLoad[],
    nowMs: number,
    key: number = NO_KEY,
  ): E | undefined {
    if (key === NO_KEY || endpoints.length > MAX_ENDPOINTS) return this.keyless.pick(endpoints, tried, nowMs);
    const ring = this.ringOf(endpoints);
    this.nowMs = nowMs;
    // The second round is for keys that only an endpoint with a lowered weight could take, or one whose reported load is high.
    return (
      this.walk(ring, endpoints, tried, key, false) ??
      this.walk(ring, endpoints, tried, key, true) ??
      this.keyless.pick(endpoints, tried, nowMs)
    );
  }

  ownerOf<E extends EndpointLoad>(
    endpoints: readonly E[],
    key: number,
    mayTake: (endpoint: E) => boolean,
  ): E | undefined {
    if (key === NO_KEY || endpoints.length > MAX_ENDPOINTS) return undefined;
    const { points, owners } = this.ringOf(endpoints);
    if (points.length === 0) return undefined;
    const from = firstAtOrAfter(points, key);
    for (let step = 0; step < points.length; step += 1) {
      const endpoint = endpoints[owners[(from + step) % points.length]!]!;
      if (mayTake(endpoint)) return endpoint;
    }
    return undefined;
  }

  private ringOf(endpoints: readonly EndpointLoad[]): Ring {
    if (this.ring?.of !== endpoints) this.ring = makeRing(endpoints);
    return this.ring;
  }

  reweighed(): void {
    this.keyless.reweighed();
  }

  /** From the key's point on: the first endpoint that may take the attempt and has room. */
  private walk<E extends EndpointLoad>(
    ring: Ring,
    endpoints: readonly E[],
    tried: readonly EndpointLoad[],
    key: number,
    isLastRound: boolean,
  ): E | undefined {
    const { points, owners } = ring;
    if (points.length === 0) return undefined;
    let eligible = 0;
    let inFlight = 1;
    for (let i = 0; i < endpoints.length; i += 1) {
      const endpoint = endpoints[i]!;
      inFlight += endpoint.inFlight;
      if (endpoint.eligible) eligible += endpoint.share;
    }
    const from = firstAtOrAfter(points, key);
    for (let step = 0; step < points.length; step += 1) {
      const endpoint = endpoints[owners[(from + step) % points.length]!]!;
      if (!canPick(endpoint, tried)) continue;
      const utilization = this.reportedUtilization(endpoint);
      if (!isLastRound && utilization !== undefined && utilization > this.options.spillAbove!) continue;
      if (this.options.ignoresLoad) return endpoint;
      if (!isLastRound && endpoint.weightFactor < 1 && !takesKey(endpoint, key)) continue;
      if (utilization !== undefined) return endpoint;
      const bound = Math.ceil((BOUND * inFlight * endpoint.share) / eligible);
      if (endpoint.inFlight < bound) return endpoint;
    }
    return undefined;
  }

  /** Where keys spill by it: the load that the endpoint reports over what it runs at once; undefined: it reports none. */
  private reportedUtilization({ reported, inFlight }: EndpointLoad): number | undefined {
    if (this.options.spillAbove === undefined || reported === null) return undefined;
    return reported.utilizationAt(inFlight, this.nowMs);
  }
}

/** Whether an endpoint with a weight factor below 1 takes this key: a fixed part of its keys, which grows with the factor. */
function takesKey({ label, weightFactor }: EndpointLoad, key: number): boolean {
  return mix(key ^ hashText(label)) < weightFactor * 0x1_0000_0000;
}

function makeRing(endpoints: readonly EndpointLoad[]): Ring {
  let weights = 0;
  for (const { weight } of endpoints) weights += weight;
  const wanted = Math.min(POINTS * endpoints.length, MAX_POINTS);
  // Point and owner in one number that sorts by the point: 32 + 16 bits, exact in a double.
  const pairs: number[] = [];
  endpoints.forEach((endpoint, owner) => {
    if (!(endpoint.weight > 0)) return;
    const seed = hashText(endpoint.label);
    const count = Math.max(1, Math.round((wanted * endpoint.weight) / weights));
    for (let i = 0; i < count; i += 1) pairs.push(mix(seed + Math.imul(i, 0x9e37_79b1)) * 65_536 + owner);
  });
  const sorted = Float64Array.from(pairs).sort();
  return {
    of: endpoints,
    points: Uint32Array.from(sorted, (pair) => Math.floor(pair / 65_536)),
    owners: Uint16Array.from(sorted, (pair) => pair % 65_536),
  };
}

function firstAtOrAfter(points: Uint32Array, key: number): number {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (points[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low % points.length;
}
