/**
 * The messages of proto/testing.proto as plain objects, and its services as grpc-js wants them.
 */

import {
  type GrpcObject,
  loadPackageDefinition,
  type MethodDefinition,
  type ServiceClientConstructor,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import { testFile } from '../process/tools.js';

export type Payload = { readonly body: Buffer };
export type EchoStatus = { readonly code: number; readonly message: string };
type Flag = { readonly value: boolean } | null;

export interface SimpleRequest {
  readonly response_size?: number;
  readonly payload?: Payload | null;
  readonly response_compressed?: Flag;
  readonly expect_compressed?: Flag;
  readonly response_status?: EchoStatus | null;
}
export type SimpleResponse = { readonly payload?: Payload | null };
export type StreamingInputCallRequest = {
  readonly payload: Payload | null;
  readonly expect_compressed?: Flag;
};
export type StreamingInputCallResponse = { readonly aggregated_payload_size: number };
interface ResponseParameters {
  readonly size: number;
  readonly interval_us?: number;
  readonly compressed?: Flag;
}
export interface StreamingOutputCallRequest {
  readonly response_parameters: readonly ResponseParameters[];
  readonly payload?: Payload | null;
  readonly response_status?: EchoStatus | null;
}
export type StreamingOutputCallResponse = { readonly payload: Payload | null };

interface TestProto {
  readonly definitions: PackageDefinition;
  readonly service: ServiceDefinition;
  readonly TestClient: ServiceClientConstructor;
  readonly UnimplementedClient: ServiceClientConstructor;
}

export const TEST_PROTO = testFile('kit', 'service', 'proto', 'testing.proto');

let loaded: TestProto | undefined;

/** Reads the definitions once per process. */
export function testProto(): TestProto {
  loaded ??= read();
  return loaded;
}

/** A method of the service, with its serialisers typed. */
export const methodOf = <Request, Response>(name: string): MethodDefinition<Request, Response> =>
  testProto().service[name] as MethodDefinition<Request, Response>;

function read(): TestProto {
  const definitions = loadSync(TEST_PROTO, { keepCase: true, defaults: true, enums: Number });
  const testing = (loadPackageDefinition(definitions)['grpc'] as GrpcObject)['testing'] as GrpcObject;
  const TestClient = testing['TestService'] as ServiceClientConstructor;
  const UnimplementedClient = testing['UnimplementedService'] as ServiceClientConstructor;
  return { definitions, service: TestClient.service, TestClient, UnimplementedClient };
}
