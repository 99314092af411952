import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { type Method, protoFile } from './load.js';

/** Sampling parameters that a fake engine or a test reads; the others are passed through. */
export interface SamplingParams {
  readonly temperature?: number;
  readonly max_tokens?: number;
  readonly min_tokens?: number;
  readonly n?: number;
  readonly ignore_eos?: boolean;
  readonly stop_token_ids?: readonly number[];
  readonly logprobs?: number;
  readonly [name: string]: unknown;
}

export interface GenerateRequest {
  readonly request_id?: string;
  readonly tokenized?: { readonly original_text?: string; readonly input_ids?: readonly number[] } | null;
  readonly text?: string;
  readonly sampling_params?: SamplingParams | null;
  readonly stream?: boolean;
}

export interface OutputLogProbs {
  readonly token_logprobs: readonly number[];
  readonly token_ids: readonly number[];
  readonly top_logprobs: readonly {
    readonly values: readonly number[];
    readonly token_ids: readonly number[];
  }[];
}

export interface StreamChunk {
  readonly token_ids: readonly number[];
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly cached_tokens: number;
  readonly output_logprobs?: OutputLogProbs | null;
  readonly index?: number;
}

export interface Complete {
  readonly output_ids: readonly number[];
  readonly finish_reason: string;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly cached_tokens: number;
  readonly output_logprobs?: OutputLogProbs | null;
  readonly matched_token_id?: number;
  readonly index?: number;
}

export interface GenerateResponse {
  readonly chunk?: StreamChunk | null;
  readonly complete?: Complete | null;
}

/** The methods of vllm.grpc.engine.VllmEngine in vllm-engine.proto. */
export interface VllmService {
  readonly Generate: Method<GenerateRequest, GenerateResponse>;
  readonly Abort: Method<{ readonly request_ids: readonly string[] }, object>;
  readonly HealthCheck: Method<object, { readonly healthy: boolean; readonly message: string }>;
  readonly GetModelInfo: Method<object, object>;
  readonly GetServerInfo: Method<object, object>;
  readonly GetLoads: Method<object, object>;
}

let loaded: VllmService | undefined;

/** Reads the definitions once per process. */
export function vllmService(): VllmService {
  loaded ??= loadSync(protoFile('vllm-engine.proto'), {
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
  })['vllm.grpc.engine.VllmEngine'] as unknown as VllmService;
  return loaded;
}

const plain = { keepCase: true, longs: Number, defaults: true } as const;

/** The service of SGLang in sglang-scheduler.proto. */
export const sglangService = (): ServiceDefinition =>
  loadSync(protoFile('sglang-scheduler.proto'), plain)[
    'sglang.grpc.scheduler.SglangScheduler'
  ] as ServiceDefinition;

/** The service of TensorRT-LLM in trtllm-service.proto. */
export const trtllmService = (): ServiceDefinition =>
  loadSync(protoFile('trtllm-service.proto'), plain)['trtllm.TrtllmService'] as ServiceDefinition;
