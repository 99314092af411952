/**
 * The messages of the protocols as plain objects, as load.ts reads and writes them. Reading fills every field
 * (empty string, empty array, null for an absent message); writing may leave any out.
 */

/** A 64-bit integer: always a decimal string when read; a safe number will do when written. */
export type Int64 = string | number;

export type ServerLiveRequest = Record<never, never>;
export interface ServerLiveResponse {
  live: boolean;
}

export type ServerReadyRequest = Record<never, never>;
export interface ServerReadyResponse {
  ready: boolean;
}

export interface ModelReadyRequest {
  name: string;
  version?: string;
}
export interface ModelReadyResponse {
  ready: boolean;
}

export type ServerMetadataRequest = Record<never, never>;
export interface ServerMetadataResponse {
  name: string;
  version: string;
  extensions: string[];
}

export interface ModelMetadataRequest {
  name: string;
  version?: string;
}
export interface TensorMetadata {
  name: string;
  datatype: string;
  /** -1: any size. */
  shape: Int64[];
}
export interface ModelMetadataResponse {
  name: string;
  versions: string[];
  platform: string;
  inputs: TensorMetadata[];
  outputs: TensorMetadata[];
  properties: Record<string, string>;
}

export interface InferParameter {
  bool_param?: boolean;
  int64_param?: Int64;
  string_param?: string;
  double_param?: number;
  uint64_param?: Int64;
  /** Which of them is set; only when read. */
  parameter_choice?: string;
}

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

export interface RequestedOutput {
  name: string;
  parameters?: Record<string, InferParameter>;
}

export interface ModelInferRequest {
  model_name: string;
  model_version?: string;
  id?: string;
  parameters?: Record<string, InferParameter>;
  inputs?: InferTensor[];
  outputs?: RequestedOutput[];
  raw_input_contents?: Uint8Array[];
}

export interface ModelInferResponse {
  model_name: string;
  model_version: string;
  id: string;
  parameters?: Record<string, InferParameter>;
  outputs: InferTensor[];
  raw_output_contents: Uint8Array[];
}

export interface HealthCheckRequest {
  service?: string;
}
export type ServingStatus = 'UNKNOWN' | 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';
export interface HealthCheckResponse {
  status: ServingStatus;
}
