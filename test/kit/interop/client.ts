/**
 * A stock grpc-js client of the TestService with promises around it: what an application would have.
 */

import type { EventEmitter } from 'node:events';
import {
  type CallOptions,
  type ChannelOptions,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { Address } from '../../../sidecar/config/model.js';
import {
  type SimpleRequest,
  type SimpleResponse,
  type StreamingInputCallRequest,
  type StreamingInputCallResponse,
  type StreamingOutputCallRequest,
  type StreamingOutputCallResponse,
  testProto,
} from '../service/test-proto.js';

export type Callback<T> = (error: ServiceError | null, value?: T) => void;
type Unary<Q, A> = (
  request: Q,
  metadata: Metadata,
  options: CallOptions,
  done: Callback<A>,
) => ClientUnaryCall;

/** The methods that proto-loader puts on the client. */
interface TestClient extends Client {
  EmptyCall: Unary<object, object>;
  UnaryCall: Unary<SimpleRequest, SimpleResponse>;
  UnimplementedCall: Unary<object, object>;
  StreamingInputCall(
    metadata: Metadata,
    options: CallOptions,
    done: Callback<StreamingInputCallResponse>,
  ): ClientWritableStream<StreamingInputCallRequest>;
  StreamingOutputCall(
    request: StreamingOutputCallRequest,
    metadata: Metadata,
    options: CallOptions,
  ): ClientReadableStream<StreamingOutputCallResponse>;
  FullDuplexCall(
    metadata: Metadata,
    options: CallOptions,
  ): ClientDuplexStream<StreamingOutputCallRequest, StreamingOutputCallResponse>;
  HalfDuplexCall: TestClient['FullDuplexCall'];
}

/** What a finished call left behind. */
export interface Reply<T> {
  readonly code: number;
  readonly details: string;
  readonly value: T | undefined;
  readonly initial: Metadata;
  readonly trailing: Metadata;
}

export function targetOf(address: Address): string {
  return address.kind === 'unix' ? `unix:${address.path}` : `${address.host}:${address.port}`;
}

export class Caller {
  readonly stub: TestClient;
  readonly #unimplemented: TestClient;

  constructor(
    readonly address: Address,
    options: ChannelOptions = {},
  ) {
    const proto = testProto();
    const all: ChannelOptions = {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      // Each caller gets connections of its own, so that a test sees only its own traffic.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      ...options,
    };
    const target = targetOf(address);
    this.stub = new proto.TestClient(target, credentials.createInsecure(), all) as unknown as TestClient;
    this.#unimplemented = new proto.UnimplementedClient(
      target,
      credentials.createInsecure(),
      all,
    ) as unknown as TestClient;
  }

  empty(metadata = new Metadata(), options: CallOptions = {}): Promise<Reply<object>> {
    return finish((done) => this.stub.EmptyCall({}, metadata, deadline(options), done));
  }

  unary(
    request: SimpleRequest,
    metadata = new Metadata(),
    options: CallOptions = {},
  ): Promise<Reply<SimpleResponse>> {
    return finish((done) => this.stub.UnaryCall(request, metadata, deadline(options), done));
  }

  unimplementedMethod(): Promise<Reply<object>> {
    return finish((done) => this.stub.UnimplementedCall({}, new Metadata(), deadline({}), done));
  }

  unimplementedService(): Promise<Reply<object>> {
    return finish((done) => this.#unimplemented.UnimplementedCall({}, new Metadata(), deadline({}), done));
  }

  close(): void {
    this.stub.close();
    this.#unimplemented.close();
  }
}

/** A deadline of 30 s where none was chosen, so that a lost answer fails the case instead of hanging it. */
export function deadline(options: CallOptions): CallOptions {
  return options.deadline === undefined ? { ...options, deadline: Date.now() + 30_000 } : options;
}

/** Runs a call with one answer to its end; never rejects, the status says how it went. */
export function finish<T>(start: (done: Callback<T>) => EventEmitter): Promise<Reply<T>> {
  return new Promise((resolve) => {
    let value: T | undefined;
    let initial = new Metadata();
    const call = start((_error, answer) => {
      value = answer;
    });
    call.on('metadata', (metadata: Metadata) => {
      initial = metadata;
    });
    call.on('status', (end: { code: number; details: string; metadata: Metadata }) => {
      // The callback comes after the status event.
      setImmediate(() =>
        resolve({ code: end.code, details: end.details, value, initial, trailing: end.metadata }),
      );
    });
  });
}

/** Collects a response stream to its end; never rejects. */
export function collect<T>(
  call: ClientReadableStream<T> | ClientDuplexStream<unknown, T>,
  onMessage: (message: T, all: readonly T[]) => void = () => {},
): Promise<Reply<readonly T[]>> {
  return new Promise((resolve) => {
    const value: T[] = [];
    let initial = new Metadata();
    call.on('metadata', (metadata: Metadata) => {
      initial = metadata;
    });
    call.on('data', (message: T) => {
      value.push(message);
      onMessage(message, value);
    });
    call.on('error', () => {});
    call.on('status', (end: { code: number; details: string; metadata: Metadata }) =>
      resolve({ code: end.code, details: end.details, value, initial, trailing: end.metadata }),
    );
  });
}
