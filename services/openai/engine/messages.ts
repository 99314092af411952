/** Messages of the engine (`vllm-engine.proto`), as the protobuf library reads and writes them. */
import type { Sampling } from '../api/request.js';

export interface GenerateRequest {
  readonly requestId: string;
  readonly tokenized: { readonly inputIds: readonly number[] };
  readonly samplingParams: SamplingParams;
  readonly stream: true;
}

export interface SamplingParams {
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  readonly repetitionPenalty?: number;
  readonly maxTokens?: number;
  readonly minTokens?: number;
  readonly stopTokenIds?: readonly number[];
  readonly ignoreEos?: boolean;
  readonly seed?: number;
  readonly logitBias?: Readonly<Record<string, number>>;
}

export interface GenerateResponse {
  readonly chunk?: {
    readonly tokenIds?: readonly number[];
    readonly cachedTokens?: number;
  };
  readonly complete?: {
    readonly finishReason?: string;
    readonly cachedTokens?: number;
  };
}

export interface ModelInfo {
  readonly modelPath?: string;
  readonly servedModelName?: string;
  readonly maxContextLength?: number;
  readonly eosTokenIds?: readonly number[];
}

export interface TokenizerChunk {
  readonly data?: Buffer;
  readonly sha256?: string;
}

/**
 * The request for an answer. It has ids and no stop strings: a sidecar can then continue the answer at another engine, token by token.
 * Fields that the client left out are left out here too.
 */
export function generateRequest(
  requestId: string,
  inputIds: readonly number[],
  sampling: Sampling,
): GenerateRequest {
  const { stopTokenIds, ignoreEos, logitBias, ...numbers } = sampling;
  const said = Object.entries(numbers).filter(([, value]) => value !== undefined);
  return {
    requestId,
    tokenized: { inputIds },
    samplingParams: {
      ...(Object.fromEntries(said) as SamplingParams),
      ...(stopTokenIds.length > 0 ? { stopTokenIds } : {}),
      ...(ignoreEos ? { ignoreEos } : {}),
      ...(Object.keys(logitBias).length > 0 ? { logitBias } : {}),
    },
    stream: true,
  };
}
