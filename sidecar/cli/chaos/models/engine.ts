/** A language-model engine in the model process of a drill: it makes the next tokens of all requests at each step, as vLLM does. */

import type { Metadata, Server, ServerWritableStream, ServiceDefinition } from '@grpc/grpc-js';
import { type GenerateRequest, type GenerateResponse, vllmService } from '../../../../proto/vllm-service.js';
import { callOf, nextToken, STEP_MS } from '../protocol/engine.js';
import type { ExecutionLog } from './execution-log.js';

/** Tokens that a step gives an answer, at most. */
const MOST_TOKENS = 3;

type Answer = ServerWritableStream<GenerateRequest, GenerateResponse>;

export interface EngineOptions {
  readonly log: Pick<ExecutionLog, 'began' | 'ended' | 'cancelled'>;
  /** Its core stands still: no answer gets a token, and all else is as it was. */
  isFrozen(): boolean;
  /** Go with every end of a call. */
  trailers(): Metadata;
}

interface Running {
  readonly answer: Answer;
  readonly id: string;
  readonly prompt: number;
  /** Of prompt and answer. */
  readonly ids: number[];
  readonly most: number;
}

export class DrillEngine {
  private readonly running = new Set<Running>();
  /** How many tokens the next step gives to an answer: not the same in two engines. */
  private steps: number;

  /** @param replica from 1. */
  constructor(
    replica: number,
    private readonly options: EngineOptions,
  ) {
    this.steps = replica;
    setInterval(() => this.step(), STEP_MS).unref();
  }

  addTo(server: Server): void {
    const { Generate } = vllmService();
    server.addService({ Generate } as unknown as ServiceDefinition, {
      Generate: (answer: Answer) => this.generate(answer),
    });
  }

  private generate(answer: Answer): void {
    const { request_id = '', tokenized, sampling_params: sampling } = answer.request;
    const ids = [...(tokenized?.input_ids ?? [])];
    const most = ids.length + (sampling?.max_tokens ?? 0);
    const running: Running = { answer, id: callOf(request_id), prompt: ids.length, ids, most };
    this.options.log.began(running.id);
    this.running.add(running);
    answer.on('error', () => {});
    answer.on('cancelled', () => {
      if (this.running.delete(running)) this.options.log.cancelled(running.id);
    });
  }

  private step(): void {
    if (this.options.isFrozen()) return;
    for (const each of this.running) this.advance(each);
  }

  private advance(running: Running): void {
    const { answer, id, prompt, ids, most } = running;
    const count = Math.min(1 + (this.steps++ % MOST_TOKENS), most - ids.length);
    const made: number[] = [];
    for (let i = 0; i < count; i++) {
      made.push(nextToken(ids));
      ids.push(made.at(-1)!);
    }
    const counts = { prompt_tokens: prompt, completion_tokens: made.length, cached_tokens: 0 };
    answer.write({ chunk: { token_ids: made, ...counts } });
    if (ids.length < most) return;
    answer.write({ complete: { output_ids: made, finish_reason: 'length', ...counts } });
    this.running.delete(running);
    this.options.log.ended(id);
    answer.end(this.options.trailers());
  }
}
