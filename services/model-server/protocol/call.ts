/**
 * What a handler sees of a call, whichever server carries it (../transport/). Requests arrive decoded; what is no message is
 * refused before (decode.ts).
 */

import type { Method } from '../../../proto/load.js';
import type { RpcError } from '../rpc.js';

export interface Call {
  /** Epoch ms; Infinity when the caller set no deadline. */
  readonly deadlineMs: number;
  /** The caller has gone, or its deadline has passed. */
  readonly cancelled: boolean;
  /** Calls once, when the caller goes before the call has ended. */
  onCancelled(listener: () => void): void;
  /** Of the request's metadata; undefined where there is none of this name (lower case). */
  header(name: string): string | undefined;
}

/** Ends a unary call. */
export type Reply<Response> = (
  error: RpcError | undefined,
  response?: Response,
  trailers?: Readonly<Record<string, string>>,
) => void;

/** Answers a unary call, at once or later. What it throws becomes the call's status. */
export type UnaryHandler<Request, Response> = (request: Request, call: Call, reply: Reply<Response>) => void;

/** One call with many responses. */
export interface StreamCall<Response> extends Call {
  /** False while the caller does not read as fast as is written. */
  readonly writable: boolean;
  /** Calls once, when it is writable again. */
  onWritable(listener: () => void): void;
  /** Metadata of the response headers; only before the first `write`, and instead of what was said before. */
  announce(metadata: Readonly<Record<string, string>>): void;
  /** Nothing is sent once the call has ended. */
  write(response: Response): void;
  /** Ends the call, OK or with an error. */
  end(error?: RpcError): void;
  /** No further request is read until `resume`: the caller is held by flow control. */
  pause(): void;
  resume(): void;
  /** Bytes of requests that came by this stream and are still needed: they count in the memory budget of the server. */
  hold(bytes: number): void;
}

/** What comes in on a stream. What `request` throws ends the call. */
export interface StreamReceiver<Request> {
  /** @param bytes of its message, inflated */
  request(request: Request, bytes: number): void;
  /** The caller sends no more. */
  end(): void;
}

/** Opens a call with many responses. */
export type StreamHandler<Request, Response> = (call: StreamCall<Response>) => StreamReceiver<Request>;

export type ServedMethod =
  | {
      readonly kind: 'unary';
      readonly method: Method<unknown, unknown>;
      readonly handle: UnaryHandler<unknown, unknown>;
    }
  | {
      readonly kind: 'stream';
      readonly method: Method<unknown, unknown>;
      readonly open: StreamHandler<unknown, unknown>;
    };

/** A unary method and its handler. */
export function unary<Request, Response>(
  method: Method<Request, Response>,
  handle: UnaryHandler<Request, Response>,
): ServedMethod {
  return { kind: 'unary', method, handle } as unknown as ServedMethod;
}

/** A method with a stream of responses, and its handler. */
export function streaming<Request, Response>(
  method: Method<Request, Response>,
  open: StreamHandler<Request, Response>,
): ServedMethod {
  return { kind: 'stream', method, open } as unknown as ServedMethod;
}
