/** A client of an engine on a real socket: streams of tokens, and what was wrong with them. */
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import type { GenerateRequest, GenerateResponse } from '../../../proto/vllm-service.js';
import { vllmService } from '../../../proto/vllm-service.js';
import type { TestClient } from '../service/model-server.js';
import { tokensFor } from './scripted-engine.js';

/** One answer as it comes. */
export class EngineStream {
  readonly ids: number[] = [];
  finishReason = '';
  /** How it was resumed, as its trailer says; empty: it does not. */
  resumed = '';
  /** Resolves with the gRPC error, or undefined. */
  readonly ended: Promise<ServiceError | undefined>;
  readonly stream: ClientReadableStream<GenerateResponse>;

  constructor(
    { client }: TestClient,
    readonly request: GenerateRequest,
  ) {
    const { path, requestSerialize, responseDeserialize } = vllmService().Generate;
    this.stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
    this.ended = new Promise((resolve) => {
      this.stream.on('data', ({ chunk, complete }: GenerateResponse) => {
        if (chunk) this.ids.push(...(chunk.token_ids ?? []));
        if (complete) this.finishReason = complete.finish_reason;
      });
      this.stream.on('status', ({ metadata }) => {
        this.resumed = String(metadata.get('outrider-resumed')[0] ?? '');
      });
      this.stream.on('end', () => resolve(undefined));
      this.stream.on('error', (error: ServiceError) => resolve(error));
    });
  }

  /** What is wrong with the answer, now that it has ended; empty: it is the one that an engine gives that nothing befalls. */
  async fault(): Promise<string> {
    const error = await this.ended;
    if (error !== undefined) return `${error.code} ${error.details}`;
    const all = tokensFor(this.request);
    const expected = all.map(({ id }) => id);
    if (this.ids.length !== expected.length) return `${this.ids.length} of ${expected.length} tokens`;
    const at = expected.findIndex((id, i) => id !== this.ids[i]);
    if (at >= 0) return `token ${at} is ${this.ids[at]}, not ${expected[at]}`;
    const { finish } = all.at(-1)!;
    return this.finishReason === finish ? '' : `ended by ${this.finishReason}, not ${finish}`;
  }
}
