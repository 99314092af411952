import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { PREFIX_BYTES, unframed } from '../../codec/grpc-message.js';
import type { Address } from '../../config/model.js';
import { Status } from '../../core/outcome/status.js';
import { socketProblem } from '../../runtime/process/socket-trust.js';
import type { Timers } from '../../runtime/time/timers.js';

/** Result of a unary call. */
export type UnaryAnswer =
  | { readonly kind: 'message'; readonly message: Buffer }
  /** A status other than OK, or OK without exactly one plain message (then INTERNAL). */
  | { readonly kind: 'status'; readonly status: number; readonly message: string }
  /** No answer in time, or no connection. */
  | { readonly kind: 'silent'; readonly why: string };

export interface UnaryOptions {
  readonly timeoutMs: number;
  /** A longer answer is cancelled and counts as `silent`. */
  readonly maxBytes: number;
}

/** Unary calls to the local model server, past the queue. */
export interface ModelClient {
  /** Never rejects. Resolves within `timeoutMs`; after a call without an answer the connection is closed. */
  call(path: string, request: Uint8Array, options: UnaryOptions): Promise<UnaryAnswer>;
  /** Closes the connection; the next call opens a new one. */
  close(): void;
}

/** What a client of a model needs. `modelClient`: opens one of another make, for a simulation. */
export interface ModelClientDeps {
  readonly timers: Timers;
  readonly modelClient?: (address: Address) => ModelClient;
}

/** A client of the model server at `address`. */
export function openModelClient(address: Address, { timers, modelClient }: ModelClientDeps): ModelClient {
  return modelClient === undefined ? new GrpcClient(address, timers) : modelClient(address);
}

/**
 * Unary gRPC calls to the local model server over Node's HTTP/2 client, on one connection that is
 * kept between calls. A gRPC library would cost each sidecar 20 MB of memory and 0.1 s at start,
 * for a few bytes now and then.
 */
export class GrpcClient implements ModelClient {
  private session: ClientHttp2Session | undefined;

  constructor(
    private readonly address: Address,
    private readonly timers: Timers,
  ) {}

  call(path: string, request: Uint8Array, options: UnaryOptions): Promise<UnaryAnswer> {
    const { address } = this;
    const problem = address.kind === 'unix' ? socketProblem(address.path, address.owner) : undefined;
    if (problem !== undefined && !this.isConnected) return Promise.resolve({ kind: 'silent', why: problem });
    return new Promise((resolve) => {
      const session = this.connected();
      const timer = this.timers.after(options.timeoutMs, () =>
        finish({ kind: 'silent', why: `no answer in ${options.timeoutMs} ms` }),
      );
      const failed = (error: Error) => finish({ kind: 'silent', why: error.message });
      const finish = (answer: UnaryAnswer) => {
        timer.cancel();
        session.off('error', failed);
        if (answer.kind === 'silent') this.drop(session);
        resolve(answer);
      };
      session.on('error', failed);
      if (session.destroyed || session.closed) finish({ kind: 'silent', why: 'the connection is closed' });
      else ask(session, path, request, options, finish);
    });
  }

  close(): void {
    if (this.session !== undefined) this.drop(this.session);
  }

  private get isConnected(): boolean {
    const { session } = this;
    return session !== undefined && !session.destroyed && !session.closed;
  }

  private connected(): ClientHttp2Session {
    if (this.isConnected) return this.session!;
    const { address } = this;
    const fresh = connectHttp2('http://localhost', {
      createConnection: () =>
        address.kind === 'unix' ? connectSocket(address.path) : connectSocket(address.port, address.host),
    });
    fresh.on('error', () => {}); // between calls; while one is open, its own listener reports
    fresh.unref();
    this.session = fresh;
    return fresh;
  }

  private drop(session: ClientHttp2Session): void {
    session.destroy();
    if (this.session === session) this.session = undefined;
  }
}

function ask(
  session: ClientHttp2Session,
  path: string,
  request: Uint8Array,
  { timeoutMs, maxBytes }: UnaryOptions,
  finish: (answer: UnaryAnswer) => void,
): void {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    'grpc-timeout': `${Math.min(Math.ceil(timeoutMs), 99_999_999)}m`,
  });
  let status: string | undefined;
  let details = '';
  const parts: Buffer[] = [];
  let bytes = 0;
  const note = (headers: IncomingHttpHeaders) => {
    status = String(headers['grpc-status'] ?? status ?? '') || undefined;
    details = String(headers['grpc-message'] ?? details);
  };
  stream.on('response', note);
  stream.on('trailers', note);
  stream.on('data', (part: Buffer) => {
    bytes += part.length;
    if (bytes > maxBytes + PREFIX_BYTES) stream.close(constants.NGHTTP2_CANCEL);
    else parts.push(part);
  });
  stream.on('error', () => {}); // `close` follows
  stream.on('close', () => finish(answerOf(status, details, Buffer.concat(parts))));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(request.length, 1);
  stream.write(prefix);
  stream.end(request);
}

/** Without a status the server is not a gRPC server, or is shutting down. */
function answerOf(status: string | undefined, details: string, body: Buffer): UnaryAnswer {
  if (status === undefined) return { kind: 'silent', why: 'the connection ended without an answer' };
  if (status !== '0') return { kind: 'status', status: Number(status), message: decoded(details) };
  const message = unframed(body);
  return message === undefined
    ? { kind: 'status', status: Status.INTERNAL, message: 'the answer is not one plain message' }
    : { kind: 'message', message };
}

/** `grpc-message` is percent-encoded UTF-8; what is not stays as it is. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
