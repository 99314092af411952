import { AnswerTokens } from '../../codec/engines/answer-tokens.js';
import type { EngineCodec } from '../../codec/engines/engine-codec.js';
import { type GenerateRequest, readGenerateRequest } from '../../codec/engines/generate-request.js';
import type { CallTokens, EngineStats } from '../../telemetry/engine-stats.js';
import type { ChunkList } from '../../transport/chunk-list.js';

/** What of the request of `Generate` is read, and how far its answer has come. */
export class EngineCall implements CallTokens {
  readonly request: GenerateRequest;
  /** What the present engine knows it by; empty: nothing that can be told. */
  requestId: string;
  /** Where it is found by the id of its client; null: nowhere. */
  table: Map<string, object> | null = null;
  /** Engines that went on with it. */
  continuations = 0;
  firstMs = 0;
  firstTokens = 0;
  lastMs = 0;
  private readonly answer: AnswerTokens;

  /** @param body all of the request; null: it is empty, or not kept. */
  constructor(
    readonly codec: EngineCodec,
    body: ChunkList | null,
    private readonly stats: EngineStats,
  ) {
    this.answer = new AnswerTokens(codec.answer);
    this.request = body === null ? NOT_KEPT : readGenerateRequest(codec, body);
    this.requestId = this.request.requestId;
  }

  get engine(): string {
    return this.codec.name;
  }

  get maxTokens(): number {
    return this.request.maxTokens;
  }

  get promptTokens(): number {
    return this.answer.prompt;
  }

  get cachedTokens(): number {
    return this.answer.cached;
  }

  get outputTokens(): number {
    return this.answer.output;
  }

  /** Bytes of the answer are about to go to the caller, so long after its call. */
  count(buffer: Buffer, start: number, end: number, elapsedMs: number, nowMs: number): void {
    const { answer } = this;
    const before = answer.output;
    answer.take(buffer, start, end);
    if (answer.output === before) return;
    this.lastMs = nowMs;
    if (before > 0) return;
    this.firstMs = nowMs;
    this.firstTokens = answer.output;
    this.stats.begin(elapsedMs);
  }

  /** The call is over. */
  finish(): void {
    this.stats.finish(this);
  }

  /** It goes to another engine, under an id of its own there: the engine before may have it still. */
  renew(random: () => number): void {
    this.continuations++;
    const { requestId } = this.request;
    const own = requestId === '' ? `outrider-${Math.floor(random() * 2 ** 48).toString(36)}` : requestId;
    this.requestId = `${own}~${this.continuations}`;
  }
}

const NOT_KEPT: GenerateRequest = {
  requestId: '',
  obstacle: 'its request is longer than what is kept of one',
  maxTokens: -1,
  minTokens: -1,
  fields: null,
};
