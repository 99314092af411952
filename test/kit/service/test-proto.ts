/**
 * The messages of proto/testing.proto as plain objects, and its services as grpc-js wants them.
 */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  type GrpcObject,
  loadPackageDefinition,
  type ServiceClientConstructor,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';

export interface Payload {
  readonly type?: number;
  readonly body: Buffer;
}
export interface EchoStatus {
  readonly code: number;
  readonly message: string;
}
export interface SimpleRequest {
  readonly response_type?: number;
  readonly response_size?: number;
  readonly payload?: Payload | null;
  readonly response_compressed?: { readonly value: boolean } | null;
  readonly expect_compressed?: { readonly value: boolean } | null;
  readonly response_status?: EchoStatus | null;
  readonly fill_server_id?: boolean;
}
export interface SimpleResponse {
  readonly payload?: Payload | null;
  readonly server_id?: string;
}
export interface StreamingInputCallRequest {
  readonly payload: Payload | null;
  readonly expect_compressed?: { readonly value: boolean } | null;
}
export interface StreamingInputCallResponse {
  readonly aggregated_payload_size: number;
}
export interface ResponseParameters {
  readonly size: number;
  readonly interval_us?: number;
  readonly compressed?: { readonly value: boolean } | null;
}
export interface StreamingOutputCallRequest {
  readonly response_parameters: readonly ResponseParameters[];
  readonly payload?: Payload | null;
  readonly response_status?: EchoStatus | null;
}
export interface StreamingOutputCallResponse {
  readonly payload: Payload | null;
}

export interface TestProto {
  readonly definitions: PackageDefinition;
  readonly service: ServiceDefinition;
  readonly TestClient: ServiceClientConstructor;
  readonly UnimplementedClient: ServiceClientConstructor;
}

/** Absolute path of testing.proto; the same file whether this runs from sources or from dist/. */
export function testProtoFile(): string {
  const beside = fileURLToPath(new URL('proto/testing.proto', import.meta.url));
  return existsSync(beside)
    ? beside
    : fileURLToPath(new URL('../../../../test/kit/service/proto/testing.proto', import.meta.url));
}

let loaded: TestProto | undefined;

/** Reads the definitions once per process. */
export function testProto(): TestProto {
  loaded ??= read();
  return loaded;
}

function read(): TestProto {
  const definitions = loadSync(testProtoFile(), { keepCase: true, defaults: true, enums: Number });
  const testing = (loadPackageDefinition(definitions)['grpc'] as GrpcObject)['testing'] as GrpcObject;
  const TestClient = testing['TestService'] as ServiceClientConstructor;
  return {
    definitions,
    service: TestClient.service,
    TestClient,
    UnimplementedClient: testing['UnimplementedService'] as ServiceClientConstructor,
  };
}
