import type { EngineCodec } from '../../codec/engines/engine-codec.js';
import { type GenerateRequest, readGenerateRequest } from '../../codec/engines/generate-request.js';
import type { ChunkList } from '../../transport/chunk-list.js';

/** What of the request of `Generate` is read, and how far its answer has come. */
export class EngineCall {
  readonly request: GenerateRequest;
  /** What the present engine knows it by; empty: nothing that can be told. */
  requestId: string;
  /** Where it is found by the id of its client; null: nowhere. */
  table: Map<string, object> | null = null;
  /** Engines that went on with it. */
  continuations = 0;

  /** @param body all of the request; null: it is empty, or not kept. */
  constructor(
    readonly codec: EngineCodec,
    body: ChunkList | null,
  ) {
    this.request = body === null ? NOT_KEPT : readGenerateRequest(codec, body);
    this.requestId = this.request.requestId;
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
