import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { Socket } from 'node:net';
import { Status, statusName } from '../../core/outcome/status.js';
import type { Timers } from '../../runtime/time/timers.js';
import { partialSuccess } from './otlp-request.js';
import {
  type CollectorSettings,
  MAX_ANSWER_BYTES,
  type OtlpSender,
  SEND_TIMEOUT_MS,
  type SenderOptions,
  type SendResult,
} from './otlp-sender.js';

/** Statuses after which a request is tried again (OTLP specification, OTLP/gRPC response). */
const RETRIED: ReadonlySet<number> = new Set([
  Status.CANCELLED,
  Status.DEADLINE_EXCEEDED,
  Status.RESOURCE_EXHAUSTED,
  Status.ABORTED,
  Status.OUT_OF_RANGE,
  Status.UNAVAILABLE,
  Status.DATA_LOSS,
]);

/** Flag and length before a message of gRPC. */
const FRAME_BYTES = 5;

/** OTLP/gRPC, on one connection that is kept. One call at a time, of one message each way: Node's HTTP/2 is all it takes. */
export class OtlpGrpcSender implements OtlpSender {
  private session: ClientHttp2Session | undefined;
  private readonly path: string;
  private readonly timers: Timers;
  private readonly timeoutMs: number;
  private readonly connection: { readonly createConnection?: () => Socket };

  constructor(
    private readonly settings: CollectorSettings,
    { signal, timers, timeoutMs = SEND_TIMEOUT_MS, dial }: SenderOptions,
  ) {
    this.path = signal.grpcPath;
    this.timers = timers;
    this.timeoutMs = timeoutMs;
    this.connection = dial === undefined ? {} : { createConnection: dial };
  }

  send(body: Buffer): Promise<SendResult> {
    return new Promise((resolve) => {
      let session: ClientHttp2Session;
      let stream: ClientHttp2Stream;
      try {
        session = this.connected();
        stream = session.request({
          ...this.settings.headers,
          [constants.HTTP2_HEADER_METHOD]: 'POST',
          [constants.HTTP2_HEADER_PATH]: this.path,
          'content-type': 'application/grpc',
          te: 'trailers',
        });
      } catch (error) {
        return resolve({ kind: 'failed', why: (error as Error).message });
      }
      const settle = (result: SendResult): void => {
        limit.cancel();
        resolve(result);
      };
      const failed = (error: Error): void => settle({ kind: 'failed', why: error.message });
      session.on('error', failed);
      const answer = new Answer();
      // Of the whole request: a collector that sends a byte now and then would else have it for ever.
      const limit = this.timers.after(
        this.timeoutMs,
        () => {
          const error = new Error(`no answer within ${this.timeoutMs} ms`);
          failed(error);
          stream.destroy(error);
          // The other end may be gone without a word: the next request is not to wait for it as well.
          session.destroy();
        },
        { unref: true },
      );
      stream.on('error', failed);
      stream.on('response', (headers) => answer.takeHeaders(headers));
      stream.on('trailers', (headers) => answer.takeHeaders(headers));
      stream.on('data', (chunk: Buffer) => {
        if (!answer.takeData(chunk)) stream.destroy(new Error(`an answer of over ${MAX_ANSWER_BYTES} bytes`));
      });
      stream.on('close', () => {
        // The connection is kept, and would keep one of these for each request.
        session.off('error', failed);
        settle(answer.result());
      });
      const frame = Buffer.alloc(FRAME_BYTES);
      frame.writeUInt32BE(body.length, 1);
      stream.write(frame);
      stream.end(body);
    });
  }

  /** The connection, made anew where the last one has ended. @throws Error: an endpoint that is no URL. */
  private connected(): ClientHttp2Session {
    let { session } = this;
    if (session === undefined || session.closed || session.destroyed) {
      session = connect(this.settings.endpoint, this.connection);
      // An idle connection keeps no process alive, and its end is seen by the next request.
      session.unref();
      this.session = session;
      session.on('error', () => {});
    }
    return session;
  }

  close(): void {
    this.session?.destroy();
    this.session = undefined;
  }
}

/** The response as it comes. */
class Answer {
  private http = 0;
  private grpc = -1;
  private message = '';
  private readonly chunks: Buffer[] = [];
  private bytes = 0;

  takeHeaders(headers: Readonly<Record<string, unknown>>): void {
    if (headers[':status'] !== undefined) this.http = Number(headers[':status']);
    if (headers['grpc-status'] === undefined) return;
    this.grpc = Number(headers['grpc-status']);
    this.message = String(headers['grpc-message'] ?? '').slice(0, 200);
  }

  /** False: it is too long. */
  takeData(chunk: Buffer): boolean {
    this.bytes += chunk.length;
    if (this.bytes > MAX_ANSWER_BYTES) return false;
    this.chunks.push(chunk);
    return true;
  }

  /** By `grpc-status` where there is one, else by the HTTP status of something between. */
  result(): SendResult {
    const { http, grpc, message } = this;
    if (grpc === Status.OK)
      return { kind: 'taken', ...partialSuccess(Buffer.concat(this.chunks).subarray(FRAME_BYTES)) };
    if (grpc > 0) {
      const why = `${statusName(grpc)}${message === '' ? '' : `: ${message}`}`;
      return { kind: RETRIED.has(grpc) ? 'failed' : 'refused', why };
    }
    // As gRPC maps them: what is between may be restarting.
    if (http === 0 || http === 200 || http === 429 || http >= 502)
      return { kind: 'failed', why: http === 0 ? 'the connection ended' : `HTTP status ${http}` };
    return { kind: 'refused', why: `HTTP status ${http}` };
  }
}
