/** How every client of a drill calls: a stock gRPC client over a channel of its own, one call at a time or a stream of numbers. */

import {
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type MethodDefinition,
  type requestCallback,
  type ServiceError,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import type { ModelInferRequest, ModelStreamInferResponse } from '../../../../proto/messages.js';
import { inferMethods } from './service.js';

/** As it comes, but for a connection of its own. */
export const STOCK_CHANNEL: ChannelOptions = { 'grpc.use_local_subchannel_pool': 1 };

/** Without any resilience: no retries, and no connection shared with other clients of this process. */
export const LOCAL_CHANNEL: ChannelOptions = {
  ...STOCK_CHANNEL,
  'grpc.enable_retries': 0,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 200,
};

/** Default: without any resilience. */
export function clientOf(target: string, channel = LOCAL_CHANNEL): Client {
  return new Client(target, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0, ...channel });
}

export interface UnaryCall<Request> {
  readonly request: Request;
  readonly deadlineMs: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

export type CalledMethod<Request, Response> = Pick<
  MethodDefinition<Request, Response>,
  'path' | 'requestSerialize' | 'responseDeserialize'
>;

export function callUnary<Request, Response>(
  client: Client,
  { path, requestSerialize, responseDeserialize }: CalledMethod<Request, Response>,
  { request, deadlineMs, metadata = {} }: UnaryCall<Request>,
  done: requestCallback<Response>,
): ClientUnaryCall {
  const said = new Metadata();
  for (const [key, value] of Object.entries(metadata)) said.set(key, value);
  const options = { deadline: Date.now() + deadlineMs };
  return client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, said, options, done);
}

/** The answer; rejects with the error of the call. */
export function askUnary<Request, Response>(
  client: Client,
  method: CalledMethod<Request, Response>,
  said: UnaryCall<Request>,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    callUnary(client, method, said, (error, answer) => (error ? reject(error) : resolve(answer!)));
  });
}

/** Opens a ModelStreamInfer, on which nothing is sent yet. */
export function inferStream(
  client: Client,
  deadlineMs: number,
): ClientDuplexStream<ModelInferRequest, ModelStreamInferResponse> {
  const { path, requestSerialize, responseDeserialize } = inferMethods().ModelStreamInfer;
  const options = { deadline: Date.now() + deadlineMs };
  return client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata(), options);
}

type ReadStream<Message> = Pick<ClientReadableStream<Message>, 'on'>;

/** `done` gets the error of a stream that has ended, or null. */
export function whenEnded(stream: ReadStream<unknown>, done: (error: ServiceError | null) => void): void {
  // The status says the same, and comes in any case.
  stream.on('error', () => {});
  stream.on('status', (ended: StatusObject) =>
    done(ended.code === status.OK ? null : Object.assign(new Error(ended.details), ended)),
  );
}

/** What the messages of a stream are numbered by. */
export interface Numbered<Message> {
  readonly count: number;
  /** Undefined: the message carries no number. */
  numberIn(message: Message): number | undefined;
}

/** Follows a stream whose messages are numbered from 0. `done` gets its error, or what is odd in an answer with status OK. */
export function followNumbers<Message>(
  stream: ReadStream<Message>,
  { count, numberIn }: Numbered<Message>,
  done: (error: ServiceError | null, odd?: string) => void,
): void {
  const seen: (number | undefined)[] = [];
  stream.on('data', (message: Message) => void seen.push(numberIn(message)));
  whenEnded(stream, (error) => (error === null ? done(null, oddIn(seen, count)) : done(error)));
}

/** Undefined: each number is there once and in order. */
function oddIn(seen: readonly (number | undefined)[], count: number): string | undefined {
  const at = seen.findIndex((number, i) => number !== i);
  if (at >= 0) return `message ${at} is ${seen[at]}`;
  return seen.length === count ? undefined : `${seen.length} messages of ${count}`;
}
