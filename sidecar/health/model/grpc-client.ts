/**
 * One unary gRPC call at a time to the local model service, with Node's HTTP/2 client: a gRPC library would cost every
 * sidecar 20 MB and a tenth of a second of start, and what is asked here is a few bytes now and then. One connection
 * is kept between calls.
 */

import {
  type ClientHttp2Session,
  connect as connectHttp2,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import { connect as connectSocket } from 'node:net';
import type { Address } from '../../config/model.js';
import { Status } from '../../core/outcome/status.js';
import type { Timers } from '../../runtime/time/timers.js';

export type UnaryAnswer =
  | { readonly kind: 'message'; readonly message: Buffer }
  /** A status other than OK, or OK without exactly one plain message (then INTERNAL). */
  | { readonly kind: 'status'; readonly status: number; readonly message: string }
  /** Nobody answered in time, or at all. */
  | { readonly kind: 'silent'; readonly why: string };

export interface UnaryOptions {
  readonly timeoutMs: number;
  /** A longer answer is refused and counts as silence. */
  readonly maxBytes: number;
}

const PREFIX_BYTES = 5;

export class GrpcClient {
  private session: ClientHttp2Session | undefined;

  constructor(
    private readonly address: Address,
    private readonly timers: Timers,
  ) {}

  /** Never rejects. Answers within `timeoutMs`; a call without an answer also ends the connection. */
  call(path: string, request: Uint8Array, options: UnaryOptions): Promise<UnaryAnswer> {
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

  /** Ends the connection. The client may be used again. */
  close(): void {
    if (this.session !== undefined) this.drop(this.session);
  }

  private connected(): ClientHttp2Session {
    const { session } = this;
    if (session !== undefined && !session.destroyed && !session.closed) return session;
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
  stream.on('error', () => {}); // `close` follows, and judges what has arrived
  stream.on('close', () => finish(judge(status, details, Buffer.concat(parts))));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(request.length, 1);
  stream.write(prefix);
  stream.end(request);
}

/** What the answer means; no status at all is the answer of a server that is not gRPC, or of one that is ending. */
function judge(status: string | undefined, details: string, body: Buffer): UnaryAnswer {
  if (status === undefined) return { kind: 'silent', why: 'the connection ended without an answer' };
  if (status !== '0') return { kind: 'status', status: Number(status), message: decoded(details) };
  if (body.length < PREFIX_BYTES || body[0] !== 0 || body.readUInt32BE(1) !== body.length - PREFIX_BYTES)
    return { kind: 'status', status: Status.INTERNAL, message: 'the answer is not one plain message' };
  return { kind: 'message', message: body.subarray(PREFIX_BYTES) };
}

/** `grpc-message` is percent-encoded UTF-8. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
