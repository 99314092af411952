import { type Balancer, CallKind, canPick, type EndpointLoad, NONE_TRIED, type Tried } from './balancer.js';
import { BlockTable } from './block-table.js';
import { LeastLoaded } from './least-loaded.js';
import { BLOCK_TOKENS } from './prompt-blocks.js';

/** What was sent to an engine so long ago does not count, ms: others have used its cache since. */
const MAX_AGE_MS = 600_000;
/** Blocks of all endpoints together, at most: 24 MiB. */
const MOST_BLOCKS = 2_097_152;
/** What an engine has counts up to so many times the mean number of calls there, or … */
const BOUND = 2;
/** … up to this part of what it runs at once, whichever is more: below, a call beside others takes hardly longer. */
const ROOMY = 1 / 8;
/** So many tokens of a prompt to compute are worth one call fewer at an engine. */
const TOKENS_PER_CALL = 64;
/** An endpoint that lately rejected more than this share of its calls is full, where it reports no load. */
const MOST_REFUSED = 0.25;

export interface PrefixOptions {
  /** Tokens that the cache of an engine holds. */
  readonly cacheTokens: number;
}

/**
 * A prompt goes to the engine that has most of its beginning in its cache, unless that has clearly more to do than others. What engines
 * have is guessed: it is what this sidecar sent them last. A prompt that begins as none did goes as by least-loaded.
 *
 * Tokens to compute and calls in flight are weighed against each other, so that a short common beginning does not draw all calls to one
 * engine, and within a bound on the calls, so that a long one does not either. No engine gets a call for what it has while all its places
 * are taken and another one has some free.
 */
export class Prefix implements Balancer {
  private readonly loads: LeastLoaded;

  constructor(
    private readonly random: () => number,
    private readonly options: PrefixOptions,
  ) {
    this.loads = new LeastLoaded(random);
  }

  pick<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: Tried,
    nowMs: number,
    key?: number,
    kind: CallKind = CallKind.unary,
    prompt?: Uint32Array,
  ): E | undefined {
    const { loads } = this;
    if (prompt === undefined || prompt.length === 0) return loads.pick(endpoints, tried, nowMs, key, kind);
    loads.prepare(endpoints, nowMs);
    const starved = tried.length === 0 ? loads.takeStarved(endpoints) : undefined;
    const endpoint = starved ?? this.pickHaving(endpoints, tried, nowMs, prompt);
    if (endpoint === undefined) return loads.pick(endpoints, tried, nowMs, key, kind);
    loads.recordPick(endpoint);
    return endpoint;
  }

  /** The endpoint that is best for the prompt; undefined: that is one which has nothing of it. */
  private pickHaving<E extends EndpointLoad>(
    endpoints: readonly E[],
    tried: Tried,
    nowMs: number,
    prompt: Uint32Array,
  ): E | undefined {
    const { loads } = this;
    let calls = 1;
    let shares = 0;
    let count = 0;
    let hasPlaces = false;
    for (let i = 0; i < endpoints.length; i += 1) {
      const endpoint = endpoints[i]!;
      if (!canPick(endpoint, NONE_TRIED)) continue;
      calls += loads.loadOf(endpoint, nowMs);
      shares += endpoint.share;
      count += 1;
      hasPlaces ||= canPick(endpoint, tried) && !isFull(endpoint, nowMs);
    }
    let best: E | undefined;
    let bestCost = Number.POSITIVE_INFINITY;
    let bestBlocks = 0;
    for (let i = 0; i < endpoints.length; i += 1) {
      const endpoint = endpoints[i]!;
      if (!canPick(endpoint, tried) || (hasPlaces && isFull(endpoint, nowMs))) continue;
      const { share, sentBlocks } = endpoint;
      const own = loads.loadOf(endpoint, nowMs);
      let blocks = 0;
      if (sentBlocks !== null && this.mayStay(endpoint, own, (calls * share) / shares, nowMs))
        blocks = sentBlocks.match(prompt, nowMs - MAX_AGE_MS);
      const cost = (TOKENS_PER_CALL * own * shares) / (count * share) - blocks * BLOCK_TOKENS;
      if (cost >= bestCost) continue;
      best = endpoint;
      bestCost = cost;
      bestBlocks = blocks;
    }
    return bestBlocks === 0 ? undefined : best;
  }

  /** Whether what the endpoint has counts. @param own calls there @param fair calls that it would have if all had their share. */
  private mayStay(endpoint: EndpointLoad, own: number, fair: number, nowMs: number): boolean {
    const { weightFactor, reported } = endpoint;
    const roomy = reported?.counts(nowMs) ? ROOMY * reported.concurrency : 0;
    if (own + 1 > Math.max(Math.ceil(BOUND * fair), roomy)) return false;
    if (weightFactor < 1 && this.random() >= weightFactor) return false;
    return this.loads.isAnswering(endpoint, nowMs);
  }

  recordPrompt(endpoint: EndpointLoad, prompt: Uint32Array, endpoints: number, nowMs: number): void {
    if (prompt.length === 0) return;
    endpoint.sentBlocks ??= new BlockTable(this.blocksOfEach(endpoints));
    endpoint.sentBlocks.add(prompt, nowMs);
  }

  /** With fewer endpoints the tables stay as they are: what is in them is worth more than room. */
  limitMemory(endpoints: readonly EndpointLoad[]): void {
    const most = this.blocksOfEach(endpoints.length);
    for (const endpoint of endpoints) endpoint.sentBlocks &&= endpoint.sentBlocks.limitedTo(most);
  }

  private blocksOfEach(endpoints: number): number {
    return Math.min(this.options.cacheTokens / BLOCK_TOKENS, MOST_BLOCKS / endpoints);
  }

  reweighed(): void {
    this.loads.reweighed();
  }
}

/** All places are taken, as far as is known. */
function isFull({ inFlight, reported, latency, firstMessage }: EndpointLoad, nowMs: number): boolean {
  const hasPlace = reported?.hasPlace(inFlight, nowMs);
  if (hasPlace !== undefined) return !hasPlace;
  return Math.max(latency.refusedAt(nowMs), firstMessage?.refusedAt(nowMs) ?? 0) > MOST_REFUSED;
}
