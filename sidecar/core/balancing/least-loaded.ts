import { type Balancer, CallKind, canPick, type EndpointLoad, NONE_TRIED, type Tried } from './balancer.js';
import type { ReportedLoad } from './reported-load.js';

/** Assumed cost, ms, of an endpoint without samples when no peer has any either. Only ratios matter. */
const UNKNOWN_COST_MS = 1;
/** Latencies below this are equal in practice, and zero would have no reciprocal. */
const MIN_COST_MS = 0.001;
/** The second draw wins only below this share of the first one's cost; nearer costs are equal, and chance spreads the calls. */
const CLEARLY_CHEAPER = 0.9;
/** Draws before an exact search: with half the pool eligible, one in 256 picks needs it. */
const MAX_DRAWS = 8;
/** Draws before a search for a peer. */
const PEER_DRAWS = 4;
/** Mean cost and weights are recomputed this often, ms. */
const REFRESH_MS = 100;
/** Reported loads that differ by fewer calls are equal: chance decides, so that near nothing does not draw all calls to one endpoint. */
const EQUAL_CALLS = 0.25;
/** Endpoints looked at for one pick where they report their load, and for a peer. */
const MAX_COMPARED = 16;
/**
 * Latency below this multiple of a peer's says nothing beside a reported load: where runs take from a millisecond to seconds, the
 * latencies of equal endpoints differ as much. Beyond it counts in full, so that no report makes up for a slow or failing endpoint.
 */
const CLEARLY_SLOW = 1.5;
/** So many calls more has, in effect, an endpoint whose places are all taken by calls that run for long: nobody knows when one is free. */
const BLOCKED_CALLS = 64;
/**
 * Calls beside long ones get through as long as some do. Where so many in a row have had no answer, within so many times of what the peers need and
 * this time, ms, they do not.
 */
const MOST_UNANSWERED = 3;
const ANSWERING_TIMES = 4;
const LEAST_ANSWERING_MS = 100;
/** After so many picks, and so many for each endpoint, without a call an endpoint gets one: what kept calls away may be over. */
const STARVED_PICKS = 64;
const STARVED_ROUNDS = 16;
/** An endpoint that is so many times as slow waits so many times as long for that, up to this. */
const MOST_STARVED = 16;
/** Reported concurrencies count as at most this many times, and at least this part of, the mean. */
const MAX_CAPACITY_RATIO = 2;

/**
 * Power of two choices (Mitzenmacher 2001; Envoy's and Finagle's P2C) on `latency × (1 + in flight ÷ relative weight)`, latency being a
 * peak-sensitive average (peak-ewma.ts) and the relative weight that over the mean.
 *
 * Where endpoints of equal weight report their load (reported-load.ts), the calls of others count as our own do, and the least loaded
 * of all gets the call, up to 16 from a random one on: the fading of reports does what the second choice does otherwise, it keeps
 * callers from sending to the same endpoint at once.
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
  /** An endpoint has reported its load lately; then what endpoints have in the mean: calls of others, and concurrency. */
  private hasReports = false;
  /** An endpoint is suspected: it keeps its `trust` of the calls that it would get. */
  private hasSuspects = false;
  private meanOthers = 0;
  private meanConcurrency = 1;
  readonly feelsLoad = true;
  private refreshedMs = Number.NEGATIVE_INFINITY;
  private refreshedCount = -1;
  private picks = 0;
  /** The number of the pick that was each endpoint last. Not at the endpoint, which other balancers choose too, and count on their own. */
  private readonly pickedAt = new WeakMap<EndpointLoad, number>();
  /** Gets the next call, as it has had none for long; null: none has. */
  private starved: EndpointLoad | null = null;

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
    this.prepare(endpoints, nowMs);
    const picked = this.starved !== null && tried.length === 0 ? this.takeStarved(endpoints) : undefined;
    const endpoint = picked ?? this.choose(endpoints, tried, nowMs, kind);
    this.recordPick(endpoint);
    return endpoint;
  }

  /** An endpoint gets a call, whoever chose it. */
  recordPick(endpoint: EndpointLoad | undefined): void {
    this.picks += 1;
    if (endpoint !== undefined) this.pickedAt.set(endpoint, this.picks);
  }

  /** Brings what is derived from all endpoints up to date, before `takeStarved`, `loadOf` or `isAnswering`. */
  prepare(endpoints: readonly EndpointLoad[], nowMs: number): void {
    if (nowMs - this.refreshedMs >= REFRESH_MS || endpoints.length !== this.refreshedCount)
      this.refresh(endpoints, nowMs);
  }

  private choose<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: Tried,
    nowMs: number,
    kind: CallKind,
  ): E | undefined {
    const count = endpoints.length;
    if (this.hasReports && !this.isWeighted) return this.leastReported(endpoints, tried, nowMs, kind);
    if (this.isWeighted || this.hasSuspects || tried.length > 0 || count < 2)
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

  /** The endpoint that has had no call for long, once; undefined: it may get none now. */
  takeStarved<E extends EndpointLoad>(endpoints: readonly E[]): E | undefined {
    const { starved } = this;
    this.starved = null;
    if (starved === null || !canPick(starved, NONE_TRIED)) return undefined;
    for (const endpoint of endpoints) if (endpoint === starved) return endpoint;
    return undefined;
  }

  /**
   * An endpoint that has had no call for so many picks that it is not by chance, although it may have all of its share and has a place free. The
   * slower it was, the longer that takes.
   */
  private findStarved(endpoints: readonly EndpointLoad[], nowMs: number): EndpointLoad | null {
    const usual = Math.max(STARVED_PICKS, STARVED_ROUNDS * endpoints.length);
    let found: EndpointLoad | null = null;
    let longest = 0;
    for (const endpoint of endpoints) {
      const passed = this.picks - (this.pickedAt.get(endpoint) ?? 0);
      if (passed <= usual || !canPick(endpoint, NONE_TRIED) || endpoint.trust < 1) continue;
      if (endpoint.weightFactor < 1 || this.isBusy(endpoint, nowMs)) continue;
      const slow = this.isAnswering(endpoint, nowMs)
        ? Math.max(
            this.slowness(endpoint, nowMs, CallKind.unary),
            this.slowness(endpoint, nowMs, CallKind.stream),
          )
        : MOST_STARVED;
      if (passed <= usual * Math.min(Math.max(slow, 1), MOST_STARVED)) continue;
      if (passed <= longest) continue;
      found = endpoint;
      longest = passed;
    }
    return found;
  }

  /** Another call would wait there, or might. */
  private isBusy({ inFlight, reported }: EndpointLoad, nowMs: number): boolean {
    const hasPlace = reported?.hasPlace(inFlight, nowMs);
    return hasPlace === undefined ? inFlight > 0 : !hasPlace;
  }

  /** Whether calls get through there, as far as is known. A stream that is idle may have nothing to answer yet. */
  isAnswering(endpoint: EndpointLoad, nowMs: number): boolean {
    const { unansweredInRow, latency, firstMessage, reported, inFlight } = endpoint;
    if (unansweredInRow < MOST_UNANSWERED) return true;
    const idle = reported === null ? 0 : inFlight - reported.activeOf(inFlight, nowMs);
    if (unansweredInRow - idle < MOST_UNANSWERED) return true;
    const usualMs = Math.max(this.neutralMs, this.neutralFirstMessageMs);
    const lastMs = Math.max(latency.answeredMs, firstMessage === null ? 0 : firstMessage.answeredMs);
    return nowMs - lastMs < Math.max(ANSWERING_TIMES * usualMs, LEAST_ANSWERING_MS);
  }

  /** The least loaded by what endpoints report; of equal ones any. */
  private leastReported<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: Tried,
    nowMs: number,
    kind: CallKind,
  ): E | undefined {
    const count = endpoints.length;
    let at = (this.nextRandom() * count) | 0;
    let best: E | undefined;
    let bestCost = Number.POSITIVE_INFINITY;
    let compared = 0;
    let equals = 1;
    let passed: E | undefined;
    for (let i = 0; i < count && compared < MAX_COMPARED; i += 1) {
      const endpoint = endpoints[at]!;
      at = at + 1 === count ? 0 : at + 1;
      if (!canPick(endpoint, tried)) continue;
      compared += 1;
      if (this.hasSuspects && this.passes(endpoint.trust)) {
        passed = endpoint;
        continue;
      }
      const cost = this.reportedCost(endpoint, nowMs, kind);
      if (cost >= bestCost + EQUAL_CALLS) continue;
      equals = cost <= bestCost - EQUAL_CALLS ? 1 : equals + 1;
      bestCost = Math.min(bestCost, cost);
      if (equals > 1 && this.nextRandom() * equals >= 1) continue;
      best = endpoint;
    }
    best ??= passed;
    const isAllTried = best === undefined && tried.length > 0;
    return isAllTried ? this.leastReported(endpoints, NONE_TRIED, nowMs, kind) : best;
  }

  /** Whether a call passes by an endpoint of this trust. */
  private passes(trust: number): boolean {
    return trust < 1 && this.nextRandom() >= trust;
  }

  /** Calls that one more would run beside, over what the endpoint runs at once; more for one that is clearly slow or rejects calls. */
  private reportedCost(endpoint: EndpointLoad, nowMs: number, kind: CallKind): number {
    const { reported } = endpoint;
    const slow = this.slowness(endpoint, nowMs, kind) / CLEARLY_SLOW;
    const isTimed = kind === CallKind.stream && this.neutralFirstMessageMs > 0;
    const calls = isTimed ? this.streamsAt(endpoint, nowMs) : this.loadOf(endpoint, nowMs);
    if (reported === null || !reported.counts(nowMs)) return (1 + calls) * Math.max(1, slow);
    // To the next whole call: what is known of the calls of others fades.
    const taken = isTimed ? Math.round(this.loadOf(endpoint, nowMs)) : 0;
    const isFull = isTimed && taken >= reported.concurrency;
    const own = isFull
      ? this.behindAll(calls, taken, reported)
      : this.besideLongCalls(calls, this.isAnswering(endpoint, nowMs) ? reported.longOf(calls) : 0, reported);
    const load = own * Math.max(1, slow);
    const capacity = reported.concurrency / this.meanConcurrency;
    return load / Math.min(Math.max(capacity, 1 / MAX_CAPACITY_RATIO), MAX_CAPACITY_RATIO);
  }

  /**
   * One more call and those that it would run beside. A call that runs for long takes one place of its endpoint, and no more: where another one is
   * free, the call need not wait for it; where none is, for all one knows it waits for ever. Where none of several calls in a row gets through,
   * the long ones may be stuck, and count as any others do (`long` is 0): an endpoint that answers nothing would else be the least loaded of all.
   */
  private besideLongCalls(calls: number, long: number, reported: ReportedLoad): number {
    if (long === 0) return 1 + calls;
    const others = calls - long;
    const places = reported.concurrency - long;
    if (places <= 0) return 1 + calls + BLOCKED_CALLS;
    // To the next whole call: what is known of the calls of others fades.
    return Math.round(others) < places ? 1 + others : ((1 + others) * reported.concurrency) / places;
  }

  /**
   * A stream where all places are taken: `calls` is a part of those, and says nothing of the turn that it waits for. The more places are taken by
   * calls that run for long, the longer that wait.
   */
  private behindAll(calls: number, taken: number, reported: ReportedLoad): number {
    const places = reported.concurrency - reported.longOf(taken);
    return 1 + calls + (places > 0 ? reported.concurrency / places : BLOCKED_CALLS);
  }

  /** Latency over that of an average peer; of streams, to their first message. */
  private slowness({ latency, firstMessage }: EndpointLoad, nowMs: number, kind: CallKind): number {
    const { neutralMs, neutralFirstMessageMs } = this;
    if (kind === CallKind.unary || neutralFirstMessageMs === 0)
      return latency.cost(neutralMs, nowMs) / Math.max(neutralMs, MIN_COST_MS);
    return firstMessage === null
      ? 1
      : firstMessage.cost(neutralFirstMessageMs, nowMs) / Math.max(neutralFirstMessageMs, MIN_COST_MS);
  }

  /**
   * Calls under way there: our own and, where endpoints report their load, those of others. Our own streams that are idle take no place, unless nothing
   * is answered there: then they may be stuck.
   */
  loadOf(endpoint: EndpointLoad, nowMs: number): number {
    const { inFlight, reported } = endpoint;
    if (!this.hasReports) return inFlight;
    if (reported === null) return inFlight + this.meanOthers;
    const active = reported.activeOf(inFlight, nowMs);
    const own = active === inFlight || this.isAnswering(endpoint, nowMs) ? active : inFlight;
    return own + reported.othersAt(this.meanOthers, nowMs);
  }

  /** Two separate draws: where endpoints are excluded or suspected, or weights differ. */
  private pickSingly<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: Tried,
    nowMs: number,
    kind: CallKind,
  ): E | undefined {
    const first = this.draw(endpoints, tried, -1);
    if (first < 0) return tried.length > 0 ? this.choose(endpoints, NONE_TRIED, nowMs, kind) : undefined;
    const second = this.draw(endpoints, tried, first);
    const one = endpoints[first]!;
    if (second < 0) return one;
    const other = endpoints[second]!;
    const better = this.better(one, other, nowMs, kind);
    if (isPeer(one, other)) return better;
    const loser = better === one ? other : one;
    if (better.weightFactor < loser.weightFactor || better.trust < loser.trust) return better;
    // It has won by its weight factor or trust, whatever waits there: its load is still to be compared with that of a peer.
    const peer = this.drawPeer(endpoints, tried, better === one ? first : second);
    return peer < 0 ? better : this.better(better, endpoints[peer]!, nowMs, kind);
  }

  /** Index of a peer of the endpoint at `index`, drawn or found behind a random one; -1: there is none, or among many endpoints few. */
  private drawPeer(endpoints: readonly EndpointLoad[], tried: Tried, index: number): number {
    const own = endpoints[index]!;
    for (let i = 0; i < PEER_DRAWS; i += 1) {
      const drawn = this.draw(endpoints, tried, index);
      if (drawn < 0 || isPeer(endpoints[drawn]!, own)) return drawn;
    }
    const count = endpoints.length;
    let at = (this.nextRandom() * count) | 0;
    for (let i = 0; i < Math.min(count, MAX_COMPARED); i += 1) {
      const endpoint = endpoints[at]!;
      if (at !== index && isPeer(endpoint, own) && canPick(endpoint, tried)) return at;
      at = at + 1 === count ? 0 : at + 1;
    }
    return -1;
  }

  /** The better of two, in the order in which they were drawn. */
  private better<E extends EndpointLoad>(one: E, other: E, nowMs: number, kind: CallKind): E {
    if (this.hasSuspects && one.trust !== other.trust) {
      // All calls of a suspect come through a comparison, so that it keeps exactly its trust of what it would get.
      const [suspect, peer] = one.trust < other.trust ? [one, other] : [other, one];
      if (this.passes(suspect.trust / peer.trust)) return peer;
    }
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
    const calls = this.loadOf(endpoint, nowMs);
    const load = this.isWeighted ? (calls * this.meanShare) / endpoint.share : calls;
    return Math.max(endpoint.latency.cost(this.neutralMs, nowMs), MIN_COST_MS) * (1 + load);
  }

  /**
   * The same of a stream, ms to its first message. Before it are those that wait for theirs; the streams that are open take
   * part of the endpoint too, by their number beside that of the peers: how many there are depends on how long they last.
   */
  private streamCost(endpoint: EndpointLoad, nowMs: number): number {
    const { firstMessage, share } = endpoint;
    const { neutralFirstMessageMs: neutralMs } = this;
    const costMs = firstMessage === null ? neutralMs : firstMessage.cost(neutralMs, nowMs);
    const load = this.streamsAt(endpoint, nowMs);
    return Math.max(costMs, MIN_COST_MS) * (1 + (this.isWeighted ? (load * this.meanShare) / share : load));
  }

  private streamsAt(endpoint: EndpointLoad, nowMs: number): number {
    const mean = this.hasReports ? this.meanInFlight + this.meanOthers : this.meanInFlight;
    return endpoint.unanswered + this.loadOf(endpoint, nowMs) / mean;
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
    let reports = 0;
    this.hasSuspects = false;
    let others = 0;
    let perConcurrency = 0;
    for (const endpoint of endpoints) {
      const { latency, firstMessage, share, reported } = endpoint;
      inFlight += endpoint.inFlight;
      if (endpoint.trust < 1) this.hasSuspects = true;
      if (reported?.counts(nowMs)) {
        reports += 1;
        others += reported.others;
        perConcurrency += 1 / reported.concurrency;
      }
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
    this.hasReports = reports > 0;
    this.starved = this.findStarved(endpoints, nowMs);
    if (reports === 0) return;
    this.meanOthers = others / reports;
    // The harmonic mean, which one that boasts does not raise.
    this.meanConcurrency = reports / perConcurrency;
  }
}

/** Load alone decides between them: neither is warming up, far away or suspected beside the other. */
function isPeer(one: EndpointLoad, other: EndpointLoad): boolean {
  return one.weightFactor === other.weightFactor && one.trust === other.trust;
}
