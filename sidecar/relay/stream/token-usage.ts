import { AnswerTokens } from '../../codec/engines/answer-tokens.js';
import type { EngineCodec } from '../../codec/engines/engine-codec.js';
import type { CallUsage, EngineStats } from '../../telemetry/engine-stats.js';

/** The tokens of one call of an engine: counted as they leave for the caller, with the times of the first and the last. */
export class TokenUsage implements CallUsage {
  readonly answer: AnswerTokens;
  /** As its request says; −1: it does not. */
  maxTokens = -1;
  firstMs = 0;
  firstTokens = 0;
  lastMs = 0;
  /** Where they are counted; null: nowhere yet. */
  stats: EngineStats | null = null;

  constructor(private readonly codec: EngineCodec) {
    this.answer = new AnswerTokens(codec.answer);
  }

  get engine(): string {
    return this.codec.name;
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
    this.stats?.begin(elapsedMs);
  }

  /** The call is over. */
  finish(): void {
    this.stats?.finish(this);
  }
}
