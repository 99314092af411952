/** A model of an engine that batches continuously, as vLLM does: prefill in chunks beside the decoding of the others. */
import type { Agenda } from '../../kit/time/agenda.js';
import { BlockCache, CACHE_BLOCK, cacheKeys } from './block-cache.js';

/** What an engine is; about an 8B model on one GPU. */
export const ENGINE = {
  /** Tokens that its cache holds, running calls included. */
  cacheTokens: 131_072,
  /** Calls at once (`max_num_seqs`). */
  places: 32,
  /** Tokens of a step, at most (`max_num_batched_tokens`). */
  stepTokens: 2_048,
  /** A step, each token of a prompt in it, and each call that gets a token, ms. */
  stepMs: 8,
  prefillMs: 0.05,
  decodeMs: 0.1,
} as const;

/** A call to an engine. */
export interface EngineCall {
  /** Prompt and answer. */
  readonly ids: Uint32Array;
  readonly promptTokens: number;
  readonly onFirstToken: () => void;
  /** @param cached tokens of the prompt that were in the cache. */
  readonly onEnd: (cached: number) => void;
}

interface Running {
  readonly call: EngineCall;
  readonly keys: Float64Array;
  readonly cached: number;
  /** Tokens computed. */
  done: number;
  readonly named: number[];
  unnamed: number;
  nextKey: number;
}

export class Engine {
  private readonly cache = new BlockCache(ENGINE.cacheTokens / CACHE_BLOCK);
  private readonly running: Running[] = [];
  private readonly waiting: EngineCall[] = [];
  private isStepping = false;
  /** Time that steps took. */
  busyMs = 0;

  constructor(
    private readonly agenda: Agenda,
    private readonly now: () => number,
  ) {}

  get calls(): number {
    return this.running.length + this.waiting.length;
  }

  add(call: EngineCall): void {
    this.waiting.push(call);
    if (!this.isStepping) this.step();
  }

  private step(): void {
    const { running, waiting, cache } = this;
    let left: number = ENGINE.stepTokens;
    let decoding = 0;
    const chunks: [Running, number][] = [];
    for (const one of running) {
      if (one.done < one.call.promptTokens) continue;
      decoding += 1;
      left -= 1;
      chunks.push([one, 1]);
    }
    let prefilled = 0;
    const prefill = (one: Running): void => {
      const tokens = Math.min(left, one.call.promptTokens - one.done);
      left -= tokens;
      prefilled += tokens;
      chunks.push([one, tokens]);
    };
    for (const one of running) if (one.done < one.call.promptTokens && left > 0) prefill(one);
    while (left > 0 && waiting.length > 0 && running.length < ENGINE.places) {
      const call = waiting[0]!;
      const keys = cacheKeys(call.ids, call.ids.length);
      // The last token of a prompt is always computed.
      const most = Math.floor((call.promptTokens - 1) / CACHE_BLOCK);
      const matched = Math.min(cache.match(keys.subarray(0, most)), most);
      const fresh = Math.ceil(call.ids.length / CACHE_BLOCK) - matched;
      if (!cache.take(keys, matched, fresh)) break;
      waiting.shift();
      const cached = matched * CACHE_BLOCK;
      const named = Array.from(keys.subarray(0, matched));
      const one = { call, keys, cached, done: cached, named, unnamed: fresh, nextKey: matched };
      running.push(one);
      prefill(one);
    }
    if (chunks.length === 0) {
      this.isStepping = false;
      return;
    }
    this.isStepping = true;
    const tookMs = ENGINE.stepMs + prefilled * ENGINE.prefillMs + decoding * ENGINE.decodeMs;
    this.busyMs += tookMs;
    this.agenda.add({ atMs: this.now() + tookMs, happen: () => this.end(chunks) });
  }

  private end(chunks: readonly [Running, number][]): void {
    for (const [one, tokens] of chunks) {
      const { call } = one;
      const wasPrompt = one.done < call.promptTokens;
      one.done += tokens;
      this.name(one);
      if (one.done < call.promptTokens) continue;
      if (wasPrompt) call.onFirstToken();
      if (one.done < call.ids.length) continue;
      this.running.splice(this.running.indexOf(one), 1);
      this.cache.free(one.named, one.unnamed);
      call.onEnd(one.cached);
    }
    this.step();
  }

  /** What is computed is found by others. */
  private name(one: Running): void {
    while (one.nextKey < one.keys.length && (one.nextKey + 1) * CACHE_BLOCK <= one.done) {
      const key = one.keys[one.nextKey]!;
      one.nextKey += 1;
      if (!this.cache.name(key)) continue;
      one.named.push(key);
      one.unnamed -= 1;
    }
  }
}
