/**
 * One client connection of the load: sends requests as grpc-js and grpc-go would, and judges each answer by its
 * HTTP status, its gRPC status, and the number and length of its messages. When and why to send is the run's business.
 */

import { connect } from 'node:net';
import { Flag, FrameType, PREFACE } from '../../../sidecar/http2/constants.js';
import { Deframer } from './deframer.js';
import { Peer } from './peer.js';
import { ANSWERS, type CallKind, PATHS } from './protocol.js';
import { type EncoderOptions, RequestEncoder } from './request-encoder.js';
import { ResponseReader } from './response-reader.js';
import { StampReader } from './stamp.js';

const MAX_BLOCK = 512;
const LAST_STREAM = 0x7ffffff0;
const CANCEL = 8;
/** Before each gRPC message: whether it is compressed, and its length. */
const PREFIX_BYTES = 5;

/** What a connection reports to its run. */
export interface ConnectionEvents {
  /** SETTINGS have come: calls may be started. */
  onReady(connection: LoadConnection): void;
  /** A call is over. `failure` is empty when all was as expected. */
  onEnd(connection: LoadConnection, startMs: number, failure: string): void;
  /** A message of `tokens` has come, so long after it was sent. */
  onMessage?(connection: LoadConnection, tookMs: number): void;
  /** The connection is gone with everything on it; its calls have been reported. */
  onClosed(connection: LoadConnection): void;
}

/** How one connection calls. */
export interface ConnectionOptions extends EncoderOptions {
  readonly kind: CallKind;
  /** Default: as the kind says. */
  readonly path?: string;
  /** Set: the answer is not that of the echo, and its length is not judged. */
  readonly call?: unknown;
  readonly varyingHeaders: boolean;
  readonly request: Buffer;
  /** Monotonic milliseconds, read once per chunk. */
  readonly now: () => number;
}

class Call {
  httpStatus = 0;
  grpcStatus = -1;
  readonly answer = new Deframer();

  constructor(
    readonly startMs: number,
    /** Null: messages are not stamped. */
    readonly stamps: StampReader | null,
  ) {}
}

/** One HTTP/2 client connection that starts calls and checks every answer. */
export class LoadConnection extends Peer {
  /** When the chunk being read arrived. */
  nowMs = 0;
  started = 0;
  /** Set when the run gives the connection up itself: what is lost with it is no failure. */
  abandoned = false;
  /** Whether it will be given up with calls in flight. */
  readonly abrupt = this.options.seed % 4 === 0;
  private nextId = 1;
  private readonly calls = new Map<number, Call>();
  private readonly encoder = new RequestEncoder(this.options.path ?? PATHS[this.options.kind], this.options);
  private readonly responses = new ResponseReader();
  private closed = false;
  private readonly onStamp = (ms: number): void => this.events.onMessage?.(this, this.nowMs - ms);

  constructor(
    private readonly options: ConnectionOptions,
    private readonly events: ConnectionEvents,
  ) {
    super(connect({ host: '127.0.0.1', port: options.port }));
    this.socket.on('connect', () => {
      this.out.raw(PREFACE);
      this.writeOpening();
      this.out.flush();
    });
    this.socket.on('data', (chunk: Buffer) => {
      this.nowMs = options.now();
      this.receive(chunk, 0);
    });
    this.socket.on('error', () => this.socket.destroy());
    this.socket.on('close', () => this.lose());
  }

  get inFlight(): number {
    return this.calls.size;
  }

  get isOpen(): boolean {
    return !this.closed;
  }

  /** Puts one request into the next write. Latency counts from `startMs`. */
  start(startMs: number): void {
    const id = this.nextId;
    this.nextId += 2;
    if (id > LAST_STREAM) throw new Error('out of stream ids');
    this.calls.set(id, new Call(startMs, this.options.kind === 'tokens' ? new StampReader() : null));
    this.started++;
    this.writeRequestHeaders(id);
    const { request, varyingHeaders, seed } = this.options;
    // Another question each time, as from an application.
    if (varyingHeaders) request.writeInt32LE(seed | 0, request.writeInt32LE(id, PREFIX_BYTES));
    this.sender.sendWhole(id, request, null);
  }

  /** Writes what `start` has put together, outside of a read. */
  flush(): void {
    this.out.flush();
  }

  /** Resets the newest call (most likely not yet sent) or the oldest one (most likely being executed). */
  reset(which: 'newest' | 'oldest'): void {
    const id = which === 'newest' ? this.nextId - 2 : (this.calls.keys().next().value ?? 0);
    const call = this.calls.get(id);
    if (call === undefined) return;
    this.writeReset(id, CANCEL);
    this.calls.delete(id);
    this.events.onEnd(this, call.startMs, 'abandoned');
  }

  destroy(): void {
    this.abandoned = true;
    this.socket.destroy();
  }

  private writeRequestHeaders(id: number): void {
    const out = this.out;
    out.reserve(MAX_BLOCK + 9);
    const head = out.at;
    const end = this.encoder.encode(out.buffer, head + 9, this.options.varyingHeaders);
    out.frameHead(end - head - 9, FrameType.headers, Flag.endHeaders, id);
    out.at = end;
  }

  protected onSettled(): void {
    if (this.peerTableBytes < 4096)
      throw new Error(`header table of ${this.peerTableBytes} bytes is not provided for`);
    this.nowMs = this.options.now();
    this.events.onReady(this);
  }

  protected onHeaders(id: number, endStream: boolean, block: Buffer, start: number, end: number): void {
    const seen = this.responses.read(block, start, end);
    const call = this.calls.get(id);
    if (call === undefined) return;
    if (seen.httpStatus > 0) call.httpStatus = seen.httpStatus;
    if (seen.grpcStatus >= 0) call.grpcStatus = seen.grpcStatus;
    if (endStream) this.finish(id, call, '');
  }

  protected onMessageBytes(id: number, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const call = this.calls.get(id);
    if (call === undefined) return;
    call.answer.push(buffer, start, end);
    call.stamps?.push(buffer, start, end, ANSWERS.tokens.bytes, this.onStamp);
    if (endStream) this.finish(id, call, 'no trailers');
  }

  protected onReset(id: number, code: number): void {
    const call = this.calls.get(id);
    if (call !== undefined) this.finish(id, call, `reset ${code}`);
  }

  protected onGoaway(code: number): void {
    if (!this.abandoned && code !== 0) this.events.onEnd(this, this.nowMs, `goaway ${code}`);
  }

  private finish(id: number, call: Call, failure: string): void {
    this.calls.delete(id);
    this.events.onEnd(this, call.startMs, failure !== '' ? failure : this.judge(call));
  }

  private judge(call: Call): string {
    if (call.httpStatus !== 200) return `http ${call.httpStatus}`;
    if (call.grpcStatus !== 0) return `grpc-status ${call.grpcStatus}`;
    const answer = call.answer;
    const expected = ANSWERS[this.options.kind];
    if (answer.messages !== expected.messages || !answer.isAtBorder) return `${answer.messages} messages`;
    if (this.options.call !== undefined) return '';
    if (answer.lastBytes !== expected.bytes || !answer.uniform) return `message of ${answer.lastBytes} bytes`;
    return '';
  }

  private lose(): void {
    if (this.closed) return;
    this.closed = true;
    for (const call of this.calls.values()) {
      this.events.onEnd(this, call.startMs, this.abandoned ? 'abandoned' : 'connection lost');
    }
    this.calls.clear();
    this.events.onClosed(this);
  }
}
