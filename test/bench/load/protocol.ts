/**
 * What the benchmark and its load process say to each other. Plain data, sent over the child's IPC channel.
 */

/**
 * What a call carries. `unary`: one message each way. `stream`: one message up, many down at once. `download`: a large
 * one down. `tokens`: many down, one at a time.
 */
export type CallKind = 'unary' | 'stream' | 'download' | 'tokens';

export const PATHS: Readonly<Record<CallKind, string>> = {
  unary: '/outrider.bench.Echo/Unary',
  stream: '/outrider.bench.Echo/Stream',
  download: '/outrider.bench.Echo/Download',
  tokens: '/outrider.bench.Echo/Tokens',
};

/** Length of a gRPC message with its five-byte prefix, in the small cases and in the large ones: 224 × 224 × 3 floats. */
export const SMALL_MESSAGE_BYTES = 105;
export const LARGE_MESSAGE_BYTES = 602_112;
/** A message of `tokens` follows the one before after this long, ms. */
export const TOKEN_MS = 20;

/** The answer to a call: how many messages, and the length of each. */
export const ANSWERS: Readonly<Record<CallKind, { readonly messages: number; readonly bytes: number }>> = {
  unary: { messages: 1, bytes: SMALL_MESSAGE_BYTES },
  stream: { messages: 1000, bytes: SMALL_MESSAGE_BYTES },
  download: { messages: 1, bytes: LARGE_MESSAGE_BYTES },
  tokens: { messages: 100, bytes: SMALL_MESSAGE_BYTES },
};

/** A gRPC message of so many bytes, its prefix included. */
export function messageOf(bytes: number): Buffer {
  const message = Buffer.alloc(bytes, 'outrider ');
  message[0] = 0;
  message.writeUInt32BE(bytes - 5, 1);
  return message;
}

/** Where the backends listen. What `aside` executes is not counted. */
export type BackendPorts = Readonly<Record<CallKind | 'aside', number>>;

/** How connections and calls end early, in a soak. */
export interface Churn {
  /** A connection is given up after about this many calls, one in four of them with calls in flight. */
  readonly callsPerConnection: number;
  /** Share of calls that are reset by the caller right after they were sent. */
  readonly resetRatio: number;
}

/** One run of the load. */
export interface LoadSpec {
  readonly port: number;
  readonly kind: CallKind;
  readonly connections: number;
  /** Calls in flight on each connection (closed loop). */
  readonly inFlight: number;
  /** Length of the request's gRPC message, prefix included. */
  readonly requestBytes: number;
  /** `grpc-timeout` and `traceparent` are added, different on every call, and so are the first bytes of the request. */
  readonly varyingHeaders: boolean;
  readonly warmMs: number;
  /** The warm-up also lasts until so many calls have ended, but no longer than ten times `warmMs`. */
  readonly warmCalls?: number;
  readonly measureMs: number;
  /** Instead of a closed loop: calls start at this mean rate, at Poisson-distributed times, whatever the answers do. */
  readonly ratePerSecond?: number;
  /** Ends the run after this many measured calls rather than after `measureMs`. */
  readonly calls?: number;
  readonly churn?: Churn;
  /** Another call than the echo: its path and its gRPC message (base64). Any one message is a good answer. */
  readonly call?: { readonly path: string; readonly message: string };
  /** Start of the random numbers, different in each run so that no trace id ever comes again. */
  readonly seed: number;
  /** Processes whose CPU time is read when the measured part begins and ends. */
  readonly pids: readonly number[];
}

/** What the load process is asked for: a run (`LoadResult`), or the number of executions so far. */
export type LoadRequest = { readonly do: 'run'; readonly spec: LoadSpec } | { readonly do: 'executions' };
