/**
 * The gRPC interoperability TestService on grpc-js: the well-behaved upstream of most outside tests.
 *
 * Echoes metadata and statuses as the cases ask, counts what reached it (for attack tests) and can hold answers back.
 * It cannot send compressed messages, because grpc-js servers cannot; compressed-service.ts does.
 */

import type * as grpc from '@grpc/grpc-js';
import { Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { Address } from '../../../sidecar/config/model.js';
import {
  type EchoStatus,
  type Payload,
  type SimpleRequest,
  type SimpleResponse,
  type StreamingInputCallRequest,
  type StreamingInputCallResponse,
  type StreamingOutputCallRequest,
  type StreamingOutputCallResponse,
  testProto,
} from './test-proto.js';

/** Request metadata the service understands; the first two are the gRPC project's names. */
export const Knob = {
  echoInitial: 'x-grpc-test-echo-initial',
  echoTrailing: 'x-grpc-test-echo-trailing-bin',
  /** Milliseconds to wait before a unary answer. */
  delayMs: 'x-test-delay-ms',
  /** Bytes to send back as `grpc-status-details-bin` with an error. */
  statusDetails: 'x-test-status-details-bin',
  /** Ask for the received metadata back as one JSON trailer, `x-test-seen`. */
  reflect: 'x-test-reflect',
} as const;

export type TestService = Awaited<ReturnType<typeof startTestService>>;
type TestServiceStats = TestService['stats'];

interface AnyCall {
  readonly metadata: Metadata;
  sendMetadata(initial: Metadata): void;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** The writing half of an output or duplex stream. */
interface ReplyStream extends AnyCall {
  write(message: StreamingOutputCallResponse): boolean;
  end(trailers?: Metadata): unknown;
  once(event: 'drain', listener: () => void): unknown;
}

export const zeros = (size: number): Payload => ({ body: Buffer.alloc(size) });

/** The status of an `EchoStatus` as grpc-js wants errors, with the trailers the caller asked for. */
function errorOf(status: EchoStatus, call: AnyCall): grpc.ServerErrorResponse {
  const metadata = trailersOf(call);
  const details = call.metadata.get(Knob.statusDetails)[0];
  if (details !== undefined) metadata.set('grpc-status-details-bin', details);
  return Object.assign(new Error(status.message), { code: status.code, details: status.message, metadata });
}

/** The values that a call has of one name, and nothing else. */
function copyOf(call: AnyCall, name: string): Metadata {
  const copy = new Metadata();
  for (const value of call.metadata.get(name)) copy.add(name, value);
  return copy;
}

function trailersOf(call: AnyCall): Metadata {
  const trailers = copyOf(call, Knob.echoTrailing);
  if (call.metadata.get(Knob.reflect).length > 0) {
    trailers.set('x-test-seen', Buffer.from(JSON.stringify(call.metadata.getMap())).toString('base64'));
  }
  return trailers;
}

function echoInitial(call: AnyCall): void {
  if (call.metadata.get(Knob.echoInitial).length > 0) call.sendMetadata(copyOf(call, Knob.echoInitial));
}

/** What comes after every message of an output stream: the given sizes at their intervals, one after another. */
class Replies {
  #chain = Promise.resolve();

  constructor(
    private readonly call: ReplyStream,
    private readonly isCancelled: () => boolean,
  ) {}

  push(request: StreamingOutputCallRequest): void {
    for (const one of request.response_parameters) {
      this.#chain = this.#chain.then(async () => {
        const intervalMs = (one.interval_us ?? 0) / 1000;
        if (intervalMs > 0) await new Promise((resolve) => setTimeout(resolve, intervalMs));
        if (this.isCancelled()) return;
        if (!this.call.write({ payload: zeros(one.size) })) {
          await new Promise<void>((resolve) => this.call.once('drain', resolve));
        }
      });
    }
  }

  end(): void {
    void this.#chain.then(() => {
      if (!this.isCancelled()) this.call.end(trailersOf(this.call));
    });
  }
}

type InputHandler = grpc.handleClientStreamingCall<StreamingInputCallRequest, StreamingInputCallResponse>;
type OutputHandler = grpc.handleServerStreamingCall<StreamingOutputCallRequest, StreamingOutputCallResponse>;
type DuplexHandler = grpc.handleBidiStreamingCall<StreamingOutputCallRequest, StreamingOutputCallResponse>;

interface Handlers extends grpc.UntypedServiceImplementation {
  readonly EmptyCall: grpc.handleUnaryCall<object, object>;
  readonly UnaryCall: grpc.handleUnaryCall<SimpleRequest, SimpleResponse>;
  readonly StreamingInputCall: InputHandler;
  readonly StreamingOutputCall: OutputHandler;
  readonly FullDuplexCall: DuplexHandler;
  readonly HalfDuplexCall: DuplexHandler;
}

function handlers(stats: TestServiceStats): Handlers {
  const begin = (call: AnyCall): { cancelled: boolean; finish(): void } => {
    const state = {
      cancelled: false,
      finished: false,
      finish: () => {
        if (state.finished) return;
        state.finished = true;
        stats.inFlight -= 1;
      },
    };
    stats.started += 1;
    stats.inFlight += 1;
    stats.maxInFlight = Math.max(stats.maxInFlight, stats.inFlight);
    call.on('cancelled', () => {
      state.cancelled = true;
      if (!state.finished) stats.cancelled += 1;
      state.finish();
    });
    echoInitial(call);
    return state;
  };
  const duplex =
    (when: 'at once' | 'after the end'): DuplexHandler =>
    (call) => {
      const state = begin(call);
      const replies = new Replies(call, () => state.cancelled);
      const held: StreamingOutputCallRequest[] = [];
      call.on('data', (request: StreamingOutputCallRequest) => {
        const status = request.response_status;
        if (status && status.code !== 0) call.emit('error', errorOf(status, call));
        else if (when === 'at once') replies.push(request);
        else held.push(request);
      });
      call.on('end', () => {
        state.finish();
        for (const request of held) replies.push(request);
        replies.end();
      });
      call.on('error', () => state.finish());
    };
  return {
    EmptyCall(call, reply) {
      begin(call).finish();
      reply(null, {}, trailersOf(call));
    },
    UnaryCall(call, reply) {
      const state = begin(call);
      const answer = (): void => {
        state.finish();
        if (state.cancelled) return;
        const { response_status: status, response_size: size = 0 } = call.request;
        if (status && status.code !== 0) reply(errorOf(status, call));
        else reply(null, { payload: zeros(size) }, trailersOf(call));
      };
      const delayMs = Number(call.metadata.get(Knob.delayMs)[0] ?? 0);
      if (delayMs > 0) setTimeout(answer, delayMs);
      else answer();
    },
    StreamingInputCall(call, reply) {
      const state = begin(call);
      let size = 0;
      call.on('data', (request: StreamingInputCallRequest) => {
        size += request.payload?.body.length ?? 0;
      });
      call.on('end', () => {
        state.finish();
        if (!state.cancelled) reply(null, { aggregated_payload_size: size }, trailersOf(call));
      });
      call.on('error', () => state.finish());
    },
    StreamingOutputCall(call) {
      const state = begin(call);
      const replies = new Replies(call, () => state.cancelled);
      replies.push(call.request);
      replies.end();
      call.on('finish', () => state.finish());
    },
    FullDuplexCall: duplex('at once'),
    HalfDuplexCall: duplex('after the end'),
  };
}

/** Starts the service, with server reflection, on a free loopback port or the given address. */
export async function startTestService(listen?: Address) {
  /** `started`: calls that reached a handler, over all methods. */
  const stats = { started: 0, cancelled: 0, inFlight: 0, maxInFlight: 0 };
  const server = new Server({
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': 0xffff_ffff,
  });
  const proto = testProto();
  const { UnimplementedCall: _, ...implemented } = proto.service;
  server.addService(implemented as typeof proto.service, handlers(stats));
  new ReflectionService(proto.definitions).addToServer(server);
  const bind = writeAddress(listen ?? { kind: 'tcp', host: '127.0.0.1', port: 0 });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(bind, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const address: Address = listen?.kind === 'unix' ? listen : { kind: 'tcp', host: '127.0.0.1', port };
  /** Stops at once, calls in flight included. */
  const close = (): void => server.forceShutdown();
  return { address, stats, close };
}
