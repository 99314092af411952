/**
 * Asks the local model service how it is: `grpc.health.v1.Health/Check` for the whole server, over its own socket.
 *
 * The question is five zero bytes and the answer one small number, so it is asked with Node's HTTP/2 client:
 * a gRPC library would cost every sidecar 20 MB and a tenth of a second of start. One connection is kept between
 * questions. A server without a health service that answers gRPC counts as serving.
 */

import {
  type ClientHttp2Session,
  connect as connectHttp2,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import { connect as connectSocket } from 'node:net';
import type { Address } from '../config/model.js';
import type { Timers } from '../runtime/timers.js';

/** `silent`: nobody answered in time or at all. The difference matters: only silence can mean a hang. */
export type Health =
  | { readonly kind: 'serving' }
  | { readonly kind: 'not-serving'; readonly why: string }
  | { readonly kind: 'silent'; readonly why: string };

const QUESTION = Buffer.alloc(5); // uncompressed, length 0: HealthCheckRequest{service: ""}
const MAX_ANSWER_BYTES = 64;
const SERVING = 1;
const UNIMPLEMENTED = '12';

export class HealthProbe {
  private session: ClientHttp2Session | undefined;

  constructor(
    private readonly address: Address,
    private readonly timers: Timers,
  ) {}

  /** Never rejects. Answers within `timeoutMs`; a question without an answer also ends the connection. */
  check(timeoutMs: number): Promise<Health> {
    return new Promise((resolve) => {
      const session = this.connected();
      const timer = this.timers.after(timeoutMs, () =>
        finish({ kind: 'silent', why: `no answer in ${timeoutMs} ms` }),
      );
      const failed = (error: Error) => finish({ kind: 'silent', why: error.message });
      const finish = (health: Health) => {
        timer.cancel();
        session.off('error', failed);
        if (health.kind === 'silent') this.drop(session);
        resolve(health);
      };
      session.on('error', failed);
      if (session.destroyed || session.closed) finish({ kind: 'silent', why: 'the connection is closed' });
      else ask(session, finish);
    });
  }

  /** Ends the connection. The probe may be used again. */
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
    fresh.on('error', () => {}); // between questions; while one is open, its own listener reports
    fresh.unref();
    this.session = fresh;
    return fresh;
  }

  private drop(session: ClientHttp2Session): void {
    session.destroy();
    if (this.session === session) this.session = undefined;
  }
}

function ask(session: ClientHttp2Session, finish: (health: Health) => void): void {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/grpc.health.v1.Health/Check',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  let status: string | undefined;
  let body = Buffer.alloc(0);
  const note = (headers: IncomingHttpHeaders) => {
    status = String(headers['grpc-status'] ?? status ?? '') || undefined;
  };
  stream.on('response', note);
  stream.on('trailers', note);
  stream.on('data', (part: Buffer) => {
    body = Buffer.concat([body, part]);
    if (body.length > MAX_ANSWER_BYTES) stream.close(constants.NGHTTP2_CANCEL);
  });
  stream.on('error', () => {}); // `close` follows, and judges what has arrived
  stream.on('close', () => finish(judge(status, body)));
  stream.end(QUESTION);
}

/** What the answer means; no status at all is the answer of a server that is not gRPC, or of one that is ending. */
function judge(status: string | undefined, body: Buffer): Health {
  if (status === UNIMPLEMENTED) return { kind: 'serving' };
  if (status === undefined) return { kind: 'silent', why: 'the connection ended without an answer' };
  if (status !== '0') return { kind: 'not-serving', why: `the health check answered status ${status}` };
  // HealthCheckResponse{status}: after the 5-byte prefix, field 1 as a varint; absent means UNKNOWN
  const serving = body.length === 7 && body[0] === 0 && body[5] === 0x08 && body[6] === SERVING;
  return serving ? { kind: 'serving' } : { kind: 'not-serving', why: 'the model reports NOT_SERVING' };
}
