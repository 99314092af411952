/**
 * A stock grpc-js client of the TestService with promises around it: what an application would have.
 */

import type { EventEmitter } from 'node:events';
import type * as grpc from '@grpc/grpc-js';
import { credentials, Metadata } from '@grpc/grpc-js';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { Address } from '../../../sidecar/config/model.js';
import type * as proto from '../service/test-proto.js';
import { testProto } from '../service/test-proto.js';

type Callback<T> = (error: grpc.ServiceError | null, value?: T) => void;
type Options = [metadata: Metadata, options: grpc.CallOptions];
type Unary<Q, A> = (request: Q, ...rest: [...Options, done: Callback<A>]) => grpc.ClientUnaryCall;
type Input = grpc.ClientWritableStream<proto.StreamingInputCallRequest>;
type Output = grpc.ClientReadableStream<proto.StreamingOutputCallResponse>;
type Duplex = grpc.ClientDuplexStream<proto.StreamingOutputCallRequest, proto.StreamingOutputCallResponse>;

/** The methods that proto-loader puts on the client. */
interface TestClient extends grpc.Client {
  EmptyCall: Unary<object, object>;
  UnaryCall: Unary<proto.SimpleRequest, proto.SimpleResponse>;
  UnimplementedCall: Unary<object, object>;
  StreamingInputCall(...rest: [...Options, done: Callback<proto.StreamingInputCallResponse>]): Input;
  StreamingOutputCall(request: proto.StreamingOutputCallRequest, ...rest: Options): Output;
  FullDuplexCall(...rest: Options): Duplex;
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

export class Caller {
  readonly stub: TestClient;
  readonly #unimplemented: TestClient;

  constructor(
    readonly address: Address,
    options: grpc.ChannelOptions = {},
  ) {
    const proto = testProto();
    const all: grpc.ChannelOptions = {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      // Each caller gets connections of its own, so that a test sees only its own traffic.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      ...options,
    };
    const open = (client: grpc.ServiceClientConstructor): TestClient =>
      new client(writeAddress(address), credentials.createInsecure(), all) as unknown as TestClient;
    this.stub = open(proto.TestClient);
    this.#unimplemented = open(proto.UnimplementedClient);
  }

  /** Resolves when a connection stands; a proxy on the way may close some before. Rejects after 15 s. */
  connected(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.stub.waitForReady(Date.now() + 15_000, (error) => (error ? reject(error) : resolve()));
    });
  }

  empty(options: grpc.CallOptions = {}): Promise<Reply<object>> {
    return finish((done) => this.stub.EmptyCall({}, new Metadata(), deadline(options), done));
  }

  unary(
    request: proto.SimpleRequest,
    metadata = new Metadata(),
    options: grpc.CallOptions = {},
  ): Promise<Reply<proto.SimpleResponse>> {
    return finish((done) => this.stub.UnaryCall(request, metadata, deadline(options), done));
  }

  /** A stream in both directions on which these requests are sent, and then the end. */
  converse(requests: readonly proto.StreamingOutputCallRequest[], metadata = new Metadata()) {
    const call = this.duplex(metadata);
    const ended = collect(call);
    for (const request of requests) call.write(request);
    call.end();
    return ended;
  }

  /** A stream in both directions, open until the test ends it. */
  duplex(metadata = new Metadata(), options: grpc.CallOptions = {}): Duplex {
    return this.stub.FullDuplexCall(metadata, deadline(options));
  }

  unimplementedMethod(): Promise<Reply<object>> {
    return finish((done) => this.stub.UnimplementedCall({}, new Metadata(), deadline(), done));
  }

  unimplementedService(): Promise<Reply<object>> {
    return finish((done) => this.#unimplemented.UnimplementedCall({}, new Metadata(), deadline(), done));
  }

  close(): void {
    this.stub.close();
    this.#unimplemented.close();
  }
}

/** A deadline of 30 s where none was chosen, so that a lost answer fails the case instead of hanging it. */
export function deadline(options: grpc.CallOptions = {}): grpc.CallOptions {
  return { deadline: Date.now() + 30_000, ...options };
}

/** Runs a call with one answer to its end; never rejects, the status says how it went. */
export function finish<T>(start: (done: Callback<T>) => EventEmitter): Promise<Reply<T>> {
  let value: T | undefined;
  const call = start((_error, answer) => {
    value = answer;
  });
  return endOf(call, () => value);
}

/** Collects a response stream to its end; never rejects. */
export function collect<T>(
  call: grpc.ClientReadableStream<T> | grpc.ClientDuplexStream<unknown, T>,
  onMessage: (message: T, all: readonly T[]) => void = () => {},
): Promise<Reply<readonly T[]>> {
  const messages: T[] = [];
  call.on('data', (message: T) => {
    messages.push(message);
    onMessage(message, messages);
  });
  call.on('error', () => {});
  return endOf(call, () => messages);
}

function endOf<T>(call: EventEmitter, value: () => T | undefined): Promise<Reply<T>> {
  return new Promise((resolve) => {
    let initial = new Metadata();
    call.on('metadata', (metadata: Metadata) => {
      initial = metadata;
    });
    call.on('status', ({ code, details, metadata: trailing }: grpc.StatusObject) => {
      // The callback of a call with one answer comes after the status event.
      setImmediate(() => resolve({ code, details, value: value(), initial, trailing }));
    });
  });
}

/** Metadata with one value for each of these names. */
export function metadataOf(values: Readonly<Record<string, string | Buffer>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(values)) metadata.set(name, value);
  return metadata;
}

/** For calls that are to fail: not so long that a wait for a connection hides the reason. */
export function soon(): grpc.CallOptions {
  return { deadline: Date.now() + 10_000 };
}
