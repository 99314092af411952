/**
 * The one place that reads the .proto files. 64-bit integers come out as decimal strings, so that none is ever rounded;
 * `bytes` come out as views of the received buffer. Works from sources and from dist/: the .proto files stay where they are.
 */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadSync, type MethodDefinition, type PackageDefinition } from '@grpc/proto-loader';
import { decodeInferRequest } from './infer-request.js';
import { inferResponseWriter } from './infer-response.js';
import type * as pb from './messages.js';
import { type FileDescriptorCodec, withProtocNames } from './reflection.js';
import { LimitError, requireWholeFields } from './wire.js';

/** A method with typed, exact (de)serialisers. Deserialisers throw on bytes that are no such message. */
export interface Method<Request, Response> {
  /** `/package.Service/Method` */
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (message: Request) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseSerialize: (message: Response) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** The methods of inference.GRPCInferenceService: those of the protocol, then Triton's extensions. */
export interface InferenceService {
  readonly ServerLive: Method<pb.ServerLiveRequest, pb.ServerLiveResponse>;
  readonly ServerReady: Method<pb.ServerReadyRequest, pb.ServerReadyResponse>;
  readonly ModelReady: Method<pb.ModelReadyRequest, pb.ModelReadyResponse>;
  readonly ServerMetadata: Method<pb.ServerMetadataRequest, pb.ServerMetadataResponse>;
  readonly ModelMetadata: Method<pb.ModelMetadataRequest, pb.ModelMetadataResponse>;
  readonly ModelInfer: Method<pb.ModelInferRequest, pb.ModelInferResponse>;
  readonly ModelStreamInfer: Method<pb.ModelInferRequest, pb.ModelStreamInferResponse>;
  readonly ModelConfig: Method<pb.ModelConfigRequest, pb.ModelConfigResponse>;
  readonly ModelStatistics: Method<pb.ModelStatisticsRequest, pb.ModelStatisticsResponse>;
  readonly RepositoryIndex: Method<pb.RepositoryIndexRequest, pb.RepositoryIndexResponse>;
  readonly RepositoryModelLoad: Method<pb.RepositoryModelLoadRequest, pb.RepositoryModelResponse>;
  readonly RepositoryModelUnload: Method<pb.RepositoryModelUnloadRequest, pb.RepositoryModelResponse>;
  readonly TraceSetting: Method<pb.TraceSettingRequest, pb.TraceSettingResponse>;
  readonly LogSettings: Method<pb.LogSettingsRequest, pb.LogSettingsResponse>;
  readonly SystemSharedMemoryStatus: Method<pb.SharedMemoryRequest, pb.SharedMemoryResponse>;
  readonly SystemSharedMemoryRegister: Method<pb.SharedMemoryRequest, pb.SharedMemoryResponse>;
  readonly SystemSharedMemoryUnregister: Method<pb.SharedMemoryRequest, pb.SharedMemoryResponse>;
  readonly CudaSharedMemoryStatus: Method<pb.SharedMemoryRequest, pb.SharedMemoryResponse>;
  readonly CudaSharedMemoryRegister: Method<pb.SharedMemoryRequest, pb.SharedMemoryResponse>;
  readonly CudaSharedMemoryUnregister: Method<pb.SharedMemoryRequest, pb.SharedMemoryResponse>;
}

/** The methods of grpc.health.v1.Health. */
export interface HealthService {
  readonly Check: Method<pb.HealthCheckRequest, pb.HealthCheckResponse>;
  readonly Watch: Method<pb.HealthCheckRequest, pb.HealthCheckResponse>;
}

/** What the .proto files define, loaded once for the process. */
export interface Protocols {
  readonly inference: InferenceService;
  readonly health: HealthService;
}

/** Absolute path of one of the .proto files, or of what is made of them. */
export function protoFile(
  name:
    | 'inference.proto'
    | 'health.proto'
    | 'vllm-engine.proto'
    | 'sglang-scheduler.proto'
    | 'trtllm-service.proto'
    | 'external-scaler.proto'
    | 'descriptors.json',
): string {
  // This file runs as proto/load.ts or as dist/proto/load.js; the files are only in the former's directory.
  const beside = fileURLToPath(new URL(name, import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(new URL(`../../proto/${name}`, import.meta.url));
}

let loaded: Protocols | undefined;

/** Reads and links the definitions once per process. */
export function protocols(): Protocols {
  loaded ??= read();
  return loaded;
}

function readDefinitions(): PackageDefinition {
  return loadSync([protoFile('inference.proto'), protoFile('health.proto')], {
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  });
}

/** Everything that the .proto files define, with names as protoc gives them in the descriptors of files. */
export function describedDefinitions(): PackageDefinition {
  return withProtocNames(readDefinitions(), fileDescriptorCodec());
}

function read(): Protocols {
  const definitions = readDefinitions();
  const inference = service(definitions, 'inference.GRPCInferenceService') as unknown as InferenceService;
  return {
    inference: {
      ...inference,
      ModelInfer: {
        ...inference.ModelInfer,
        requestDeserialize: decodeInferRequest,
        responseSerialize: inferResponseWriter(inference.ModelInfer.responseSerialize),
      },
      ModelStreamInfer: { ...inference.ModelStreamInfer, requestDeserialize: decodeInferRequest },
    },
    health: service(definitions, 'grpc.health.v1.Health') as unknown as HealthService,
  };
}

/** From the descriptor definitions that the library brings along. */
function fileDescriptorCodec(): FileDescriptorCodec {
  const codec = loadSync('google/protobuf/descriptor.proto')['google.protobuf.FileDescriptorProto'];
  if (codec === undefined || !('deserialize' in codec)) throw new Error('proto: no descriptors are defined');
  return codec as FileDescriptorCodec;
}

/** Requests beside ModelInfer are a name and a version: what is larger is no honest one, and is not decoded. */
const MAX_SMALL_REQUEST = 64 * 1024;

/** The same, but throws a LimitError for bytes beyond `MAX_SMALL_REQUEST`. */
export function small<Message>(deserialize: (bytes: Buffer) => Message): (bytes: Buffer) => Message {
  return (bytes) => {
    if (bytes.length > MAX_SMALL_REQUEST)
      throw new LimitError(`found ${bytes.length} bytes, expected at most ${MAX_SMALL_REQUEST}`);
    return deserialize(bytes);
  };
}

/** The library reads a string that is cut off as a shorter one; here it is an error like any other truncation. */
export function strict<Message>(deserialize: (bytes: Buffer) => Message): (bytes: Buffer) => Message {
  return (bytes) => {
    requireWholeFields(bytes);
    return deserialize(bytes);
  };
}

function service(
  definitions: PackageDefinition,
  name: string,
): Record<string, MethodDefinition<object, object>> {
  const found = definitions[name];
  if (found === undefined || 'format' in found) throw new Error(`proto: ${name} is not defined`);
  return Object.fromEntries(
    Object.entries(found as Record<string, MethodDefinition<object, object>>).map(([method, definition]) => [
      method,
      {
        ...definition,
        requestDeserialize: small(strict(definition.requestDeserialize)),
        responseDeserialize: strict(definition.responseDeserialize),
      },
    ]),
  );
}
