/**
 * The messages of proto/testing.proto as plain objects, and its services as grpc-js wants them.
 */

import type * as grpc from '@grpc/grpc-js';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
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

/** Request and response of each method that is called by its name. */
interface Messages {
  readonly UnaryCall: readonly [SimpleRequest, SimpleResponse];
  readonly StreamingInputCall: readonly [StreamingInputCallRequest, StreamingInputCallResponse];
  readonly StreamingOutputCall: readonly [StreamingOutputCallRequest, StreamingOutputCallResponse];
}

export const TEST_PROTO = testFile('kit', 'service', 'proto', 'testing.proto');

let loaded: ReturnType<typeof read> | undefined;

/** Reads the definitions once per process. */
export function testProto() {
  loaded ??= read();
  return loaded;
}

/** A method of the service, with its serialisers typed. */
export const methodOf = <Name extends keyof Messages>(name: Name) =>
  testProto().service[name] as grpc.MethodDefinition<Messages[Name][0], Messages[Name][1]>;

function read() {
  const definitions = loadSync(TEST_PROTO, { keepCase: true, defaults: true, enums: Number });
  const packages = loadPackageDefinition(definitions)['grpc'] as grpc.GrpcObject;
  const testing = packages['testing'] as grpc.GrpcObject;
  const TestClient = testing['TestService'] as grpc.ServiceClientConstructor;
  const UnimplementedClient = testing['UnimplementedService'] as grpc.ServiceClientConstructor;
  return { definitions, service: TestClient.service, TestClient, UnimplementedClient };
}
