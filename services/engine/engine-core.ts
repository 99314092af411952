import type { GenerateRequest, GenerateResponse, OutputLogProbs } from '../../proto/vllm-service.js';
import { CONTEXT, GreedySequence, type Token, VOCABULARY } from './greedy-model.js';

/** Where the answer to one request goes. */
export interface AnswerSink {
  send(response: GenerateResponse): void;
  end(): void;
  /** The core has died. */
  fail(): void;
}

export interface CoreOptions {
  /** Requests that run at once; others wait. */
  readonly slots: number;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  /** A prompt with this token ends the process at its third new token; undefined: none does. */
  readonly killer: number | undefined;
  readonly crash: () => void;
}

/** Tokens that one step gives a sequence, at most: an engine that is busy sends several in one message. */
const MOST_TOKENS = 3;

interface Running {
  readonly request: GenerateRequest;
  readonly sink: AnswerSink;
  /** Which of the sequences of its request. */
  readonly index: number;
  /** Sequences of its request that are not over. */
  readonly left: { count: number };
  readonly sequence: GreedySequence;
  /** Of a request without `stream`: all tokens so far. */
  readonly held: Token[];
}

/**
 * The core of a fake engine, as that of vLLM is behind its front: it makes the next tokens of all requests at each step, in batches by chance,
 * and may freeze or die alone.
 */
export class EngineCore {
  isFrozen = false;
  isDead = false;
  private readonly running = new Set<Running>();
  private readonly waiting: Running[] = [];

  constructor(private readonly options: CoreOptions) {}

  /** Tokens of prompts and answers that run. */
  get usedTokens(): number {
    let tokens = 0;
    for (const { request, sequence } of this.running)
      tokens += (request.tokenized?.input_ids?.length ?? 0) + sequence.produced;
    return tokens;
  }

  /** Requests that run at once. */
  get slots(): number {
    return this.options.slots;
  }

  get counts(): { readonly running: number; readonly waiting: number } {
    return { running: this.running.size, waiting: this.waiting.length };
  }

  /** Returns what takes the request back, as its client has left. */
  add(request: GenerateRequest, sink: AnswerSink): () => void {
    if (this.isDead) {
      sink.fail();
      return () => {};
    }
    const { tokenized, sampling_params: sampling } = request;
    const count = Math.max(1, sampling?.n ?? 1);
    const left = { count };
    const all = Array.from({ length: count }, (_, index): Running => {
      const sequence = new GreedySequence({
        prompt: [...(tokenized?.input_ids ?? []), ...Array<number>(index).fill(index)],
        maxTokens: sampling?.max_tokens ?? 0,
        minTokens: sampling?.min_tokens ?? 0,
        ignoreEnd: sampling?.ignore_eos === true,
        stopTokens: sampling?.stop_token_ids ?? [],
      });
      return { request, sink, index, left, sequence, held: [] };
    });
    for (const each of all) {
      if (this.running.size < this.options.slots) this.running.add(each);
      else this.waiting.push(each);
    }
    return () => {
      for (const each of all) this.remove(each);
    };
  }

  abort(ids: readonly string[]): void {
    for (const each of [...this.running, ...this.waiting]) {
      if (!ids.includes(each.request.request_id ?? '')) continue;
      this.remove(each);
      const { request, index } = each;
      each.sink.send({
        complete: { ...countsOf(request, 0), output_ids: [], finish_reason: 'abort', ...indexOf(index) },
      });
      this.end(each);
    }
  }

  /** It gives all its requests up, as vLLM does when it is told to stop: each answer ends with `abort` under the status OK. */
  giveUp(): void {
    for (const each of [...this.running, ...this.waiting]) {
      const { request, sink, index } = each;
      const counts = countsOf(request, 0);
      if (request.stream === true) sink.send(numbered(index, { chunk: { token_ids: [], ...counts } }));
      sink.send(numbered(index, { complete: { output_ids: [], finish_reason: 'abort', ...counts } }));
      this.end(each);
    }
    this.running.clear();
    this.waiting.length = 0;
  }

  /** All requests fail, and all that come. */
  die(): void {
    this.isDead = true;
    for (const sink of new Set([...this.running, ...this.waiting].map((each) => each.sink))) sink.fail();
    this.running.clear();
    this.waiting.length = 0;
  }

  step(): void {
    if (this.isFrozen || this.isDead) return;
    for (const each of [...this.running]) this.advance(each);
  }

  private advance(each: Running): void {
    const { request, sink, index, sequence, held } = each;
    const { killer, crash, random } = this.options;
    const some: Token[] = [];
    const count = 1 + Math.floor(random() * MOST_TOKENS);
    while (some.length < count && some.at(-1)?.finish !== 'stop' && some.at(-1)?.finish !== 'length') {
      if (sequence.produced >= 2 && killer !== undefined && request.tokenized?.input_ids?.includes(killer))
        return crash();
      some.push(sequence.next());
    }
    const { finish } = some.at(-1)!;
    if (request.stream === true) {
      sink.send(numbered(index, chunkOf(request, some)));
      if (finish !== '') sink.send(numbered(index, completeOf(request, some)));
    } else {
      held.push(...some);
      if (finish !== '') sink.send(numbered(index, completeOf(request, held)));
    }
    if (finish === '') return;
    this.remove(each);
    this.end(each);
  }

  /** One of the sequences of a request is over. */
  private end({ left, sink }: Running): void {
    if (--left.count === 0) sink.end();
  }

  private remove(each: Running): void {
    if (!this.running.delete(each)) {
      const at = this.waiting.indexOf(each);
      if (at >= 0) this.waiting.splice(at, 1);
      return;
    }
    const next = this.waiting.shift();
    if (next !== undefined) this.running.add(next);
  }
}

/** Why vLLM refuses a request with INVALID_ARGUMENT; empty: it does not. */
export function refusalOf({ tokenized, text, sampling_params: sampling }: GenerateRequest): string {
  const ids = tokenized?.input_ids ?? [];
  const { temperature = 0, max_tokens: most, min_tokens: least = 0 } = sampling ?? {};
  if (text) return 'a fake engine has no tokenizer for text';
  if (ids.length === 0) return 'The decoder prompt cannot be empty';
  if (ids.some((id) => id >= VOCABULARY)) return 'Token id is out of vocabulary';
  if (ids.length >= CONTEXT) return 'The prompt is longer than the maximum model length';
  if (temperature < 0) return 'temperature must be non-negative';
  return most && least > most ? 'min_tokens must be less than or equal to max_tokens' : '';
}

const indexOf = (index: number): { readonly index?: number } => (index === 0 ? {} : { index });

function numbered(index: number, { chunk, complete }: GenerateResponse): GenerateResponse {
  if (chunk) return { chunk: { ...chunk, ...indexOf(index) } };
  return { complete: { ...complete!, ...indexOf(index) } };
}

/** The message that brings new tokens. */
export function chunkOf(request: GenerateRequest, tokens: readonly Token[], cached = 0): GenerateResponse {
  const token_ids = tokens.map(({ id }) => id);
  return {
    chunk: { token_ids, ...countsOf(request, token_ids.length, cached), ...logprobsOf(request, token_ids) },
  };
}

/** The message that ends an answer: it has the tokens of the last chunk again. */
export function completeOf(request: GenerateRequest, tokens: readonly Token[], cached = 0): GenerateResponse {
  const output_ids = tokens.map(({ id }) => id);
  const { finish: finish_reason, matched } = tokens.at(-1)!;
  const counts = countsOf(request, output_ids.length, cached);
  const stop = matched === undefined ? {} : { matched_token_id: matched };
  return { complete: { output_ids, finish_reason, ...counts, ...logprobsOf(request, output_ids), ...stop } };
}

function countsOf({ tokenized }: GenerateRequest, completion_tokens: number, cached_tokens = 0) {
  return { prompt_tokens: tokenized?.input_ids?.length ?? 0, completion_tokens, cached_tokens };
}

function logprobsOf({ sampling_params: sampling }: GenerateRequest, ids: readonly number[]) {
  if (typeof sampling?.logprobs !== 'number') return {};
  const output_logprobs: OutputLogProbs = {
    token_logprobs: ids.map((id) => -(id % 64) / 4),
    token_ids: ids,
    top_logprobs: ids.map((id) => ({ values: [-1], token_ids: [id] })),
  };
  return { output_logprobs };
}
