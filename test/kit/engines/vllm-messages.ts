/** Messages of vLLM, written and read by the protobuf library from proto/vllm-engine.proto: a second opinion on the sidecar's own readers. */
import type { MethodDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoFile } from '../../../proto/load.js';

export interface SamplingParams {
  readonly temperature?: number;
  readonly max_tokens?: number;
  readonly min_tokens?: number;
  readonly n?: number;
  readonly [name: string]: unknown;
}

export interface GenerateRequest {
  readonly request_id?: string;
  readonly tokenized?: { readonly original_text?: string; readonly input_ids?: readonly number[] };
  readonly text?: string;
  readonly sampling_params?: SamplingParams;
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
}

export interface GenerateResponse {
  readonly chunk?: StreamChunk | null;
  readonly complete?: Complete | null;
}

type Method = MethodDefinition<object, object>;

const OPTIONS = { keepCase: true, longs: Number, enums: String, defaults: true } as const;
const definitions = loadSync(protoFile('vllm-engine.proto'), OPTIONS);

/** The service as grpc-js takes it. */
export const VLLM_SERVICE = definitions['vllm.grpc.engine.VllmEngine'] as unknown as Readonly<
  Record<'Generate' | 'Abort' | 'HealthCheck' | 'GetModelInfo' | 'GetServerInfo' | 'GetLoads', Method>
>;

const { Generate, Abort } = VLLM_SERVICE;

export const encodeRequest = (request: GenerateRequest): Buffer => Generate.requestSerialize(request);
export const decodeRequest = (bytes: Buffer): GenerateRequest => Generate.requestDeserialize(bytes);
export const encodeResponse = (response: GenerateResponse): Buffer => Generate.responseSerialize(response);
export const decodeResponse = (bytes: Buffer): GenerateResponse => Generate.responseDeserialize(bytes);
export const encodeAbort = (ids: readonly string[]): Buffer => Abort.requestSerialize({ request_ids: ids });
export const decodeAbort = (bytes: Buffer): readonly string[] =>
  (Abort.requestDeserialize(bytes) as { request_ids: string[] }).request_ids;
