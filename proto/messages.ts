/**
 * The messages of the protocols as plain objects, as load.ts reads and writes them. Reading fills every field
 * (empty string, empty array, null for an absent message); writing may leave any out.
 */

/** A 64-bit integer: always a decimal string when read; a safe number will do when written. */
export type Int64 = string | number;

/** Whether the process answers. */
export type ServerLiveRequest = Record<never, never>;
/** `live`: it does. */
export interface ServerLiveResponse {
  live: boolean;
}

/** Whether the server as a whole takes requests. */
export type ServerReadyRequest = Record<never, never>;
/** `ready`: one of its models at least serves, and it is not stopping. */
export interface ServerReadyResponse {
  ready: boolean;
}

/** Whether one model takes requests. Without a version: the one that the server chooses. */
export interface ModelReadyRequest {
  name: string;
  version?: string;
}
/** An unknown model is NOT_FOUND, and not `false`. */
export interface ModelReadyResponse {
  ready: boolean;
}

/** Which server this is. */
export type ServerMetadataRequest = Record<never, never>;
/** Name and version of the server, and the extensions of the protocol that it serves. */
export interface ServerMetadataResponse {
  name: string;
  version: string;
  extensions: string[];
}

/** What one model takes and gives. */
export interface ModelMetadataRequest {
  name: string;
  version?: string;
}
/** One input or output as the model declares it. */
export interface TensorMetadata {
  name: string;
  datatype: string;
  /** -1: any size. */
  shape: Int64[];
}
/** What the model declares. `versions`: those that are served. */
export interface ModelMetadataResponse {
  name: string;
  versions: string[];
  platform: string;
  inputs: TensorMetadata[];
  outputs: TensorMetadata[];
  properties: Record<string, string>;
}

/** One value of any of these kinds; exactly one is set. */
export interface InferParameter {
  bool_param?: boolean;
  int64_param?: Int64;
  string_param?: string;
  double_param?: number;
  uint64_param?: Int64;
  /** Which of them is set; only when read. */
  parameter_choice?: string;
}

/** The elements of one tensor in row-major order, in the one list that its datatype has (datatypes.ts). */
export interface InferTensorContents {
  bool_contents?: boolean[];
  int_contents?: number[];
  int64_contents?: Int64[];
  uint_contents?: number[];
  uint64_contents?: Int64[];
  fp32_contents?: number[];
  fp64_contents?: number[];
  bytes_contents?: Uint8Array[];
}

/** The contents of a request as it is read: numbers in typed arrays; a field without elements is absent. */
export interface DecodedContents {
  bool_contents?: Uint8Array;
  int_contents?: Int32Array;
  int64_contents?: BigInt64Array;
  uint_contents?: Uint32Array;
  uint64_contents?: BigUint64Array;
  fp32_contents?: Float32Array;
  fp64_contents?: Float64Array;
  bytes_contents?: Uint8Array[];
}

/** One tensor of a request or a response. */
export interface InferTensor {
  name: string;
  datatype: string;
  shape: Int64[];
  parameters?: Record<string, InferParameter>;
  contents?: InferTensorContents | DecodedContents | null;
}

/** An output that is to be answered; where a request names none, all are. */
export interface RequestedOutput {
  name: string;
  parameters?: Record<string, InferParameter>;
}

/** One inference. With `raw_input_contents`, one for each input in their order, no input has `contents`. */
export interface ModelInferRequest {
  model_name: string;
  model_version?: string;
  id?: string;
  parameters?: Record<string, InferParameter>;
  inputs?: InferTensor[];
  outputs?: RequestedOutput[];
  raw_input_contents?: Uint8Array[];
}

/** Its outputs. With `raw_output_contents`, one for each output in their order, no output has `contents`. */
export interface ModelInferResponse {
  model_name: string;
  model_version: string;
  id: string;
  parameters?: Record<string, InferParameter>;
  outputs: InferTensor[];
  raw_output_contents: Uint8Array[];
}

/** One answer of ModelStreamInfer. A model that streams gives many for one request. */
export interface ModelStreamInferResponse {
  /** Empty: the inference succeeded. */
  error_message?: string;
  infer_response?: ModelInferResponse | null;
}

/** The configuration of one model, as Triton's clients read it. */
export interface ModelConfigRequest {
  name: string;
  version?: string;
}
/** See `ModelConfig`. */
export interface ModelConfigResponse {
  config: ModelConfig | null;
}
/** The part of Triton's model configuration that clients read. `dims` lack the batch dimension where `max_batch_size` is not 0. */
export interface ModelConfig {
  name: string;
  platform: string;
  backend: string;
  version_policy?: {
    latest?: { num_versions: number };
    all?: Record<never, never>;
    specific?: { versions: Int64[] };
  };
  max_batch_size: number;
  /** `data_type`: TYPE_FP32 and so on; TYPE_STRING for BYTES. */
  input: { name: string; data_type: string; dims: Int64[]; optional?: boolean }[];
  output: { name: string; data_type: string; dims: Int64[]; label_filename?: string }[];
  instance_group: { name: string; count: number; kind: string }[];
  default_model_filename: string;
  dynamic_batching?: { preferred_batch_size: number[]; max_queue_delay_microseconds: Int64 };
  sequence_batching?: {
    max_sequence_idle_microseconds: Int64;
    state?: { input_name: string; output_name: string }[];
  };
  parameters: Record<string, { string_value: string }>;
  model_transaction_policy?: { decoupled: boolean } | null;
}

/** Counts and durations of one model, or of all where `name` is empty. */
export interface ModelStatisticsRequest {
  name?: string;
  version?: string;
}
/** One entry for each model and version. */
export interface ModelStatisticsResponse {
  model_stats: ModelStatistics[];
}
/** How often, and how long in all, nanoseconds. */
export interface StatisticDuration {
  count: Int64;
  ns: Int64;
}
/** Since the model was loaded. Requests count in `inference_stats`; rows in `inference_count`; runs in `execution_count`. */
export interface ModelStatistics {
  name: string;
  version: string;
  /** Epoch ms; 0: none yet. */
  last_inference: Int64;
  inference_count: Int64;
  execution_count: Int64;
  inference_stats: Record<
    'success' | 'fail' | 'queue' | 'compute_input' | 'compute_infer' | 'compute_output',
    StatisticDuration
  > | null;
  batch_stats: ({ batch_size: Int64 } & Record<
    'compute_input' | 'compute_infer' | 'compute_output',
    StatisticDuration | null
  >)[];
  memory_usage: { type: string; id: Int64; byte_size: Int64 }[];
}

/** The models of the repository; `ready`: only those that are. */
export interface RepositoryIndexRequest {
  repository_name?: string;
  ready?: boolean;
}
/** `state`: READY, LOADING, UNLOADING or UNAVAILABLE, with the reason of the last two. */
export interface RepositoryIndexResponse {
  models: { name: string; version: string; state: string; reason: string }[];
}
/** Loads a model, or the versions of it that are new. */
export interface RepositoryModelLoadRequest {
  repository_name?: string;
  model_name: string;
  parameters?: Record<
    string,
    { bool_param?: boolean; int64_param?: Int64; string_param?: string; bytes_param?: Uint8Array }
  >;
}
/** Ends the serving of a model once its calls in flight have finished. */
export type RepositoryModelUnloadRequest = RepositoryModelLoadRequest;
/** Sent when the model is ready, or has ended. */
export type RepositoryModelResponse = Record<never, never>;

/** Settings of tracing; a request that names a value is refused. */
export interface TraceSettingRequest {
  settings?: Record<string, { value?: string[] }>;
  model_name?: string;
}
/** The settings as they are. */
export interface TraceSettingResponse {
  settings: Record<string, { value: string[] }>;
}
/** Settings of the log; a request that names a value is refused. */
export interface LogSettingsRequest {
  settings?: Record<string, { bool_param?: boolean; uint32_param?: number; string_param?: string }>;
}
/** The settings as they are. */
export interface LogSettingsResponse {
  settings: Record<string, { bool_param?: boolean; uint32_param?: number; string_param?: string }>;
}

/** A shared memory region by its name. */
export interface SharedMemoryRequest {
  name?: string;
}
/** No region is ever registered. */
export type SharedMemoryResponse = Record<never, never>;

/** grpc.health.v1. Empty: the server as a whole. */
export interface HealthCheckRequest {
  service?: string;
}
/** SERVICE_UNKNOWN only in answers of Watch; Check fails with NOT_FOUND instead. */
export type ServingStatus = 'UNKNOWN' | 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';
/** The state when it was asked, or after a change. */
export interface HealthCheckResponse {
  status: ServingStatus;
}
