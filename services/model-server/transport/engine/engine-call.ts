import { parseGrpcTimeout } from '../../../../sidecar/core/deadline/grpc-timeout.js';
import type { ReadLimits } from '../../../../sidecar/core/deadline/unread-response.js';
import { ErrorCode } from '../../../../sidecar/http2/constants.js';
import { metadataValue } from '../../../../sidecar/http2/header-view.js';
import type { HeaderField } from '../../../../sidecar/http2/hpack/field.js';
import type { HeaderBlock, StableList } from '../../../../sidecar/http2/hpack/header-list.js';
import { NO_FIELDS, type Stream, type StreamOwner } from '../../../../sidecar/http2/stream.js';
import { WheelEntry } from '../../../../sidecar/runtime/time/timing-wheel.js';
import { WIDE_WINDOW } from '../../../../sidecar/transport/memory-budget.js';
import type { Session } from '../../../../sidecar/transport/session.js';
import type { ServedMethod, StreamCall, StreamReceiver } from '../../protocol/call.js';
import { decodeRequest, toRpcError } from '../../protocol/decode.js';
import { RpcError, status } from '../../rpc.js';
import { MAX_MESSAGE_BYTES } from '../transport.js';
import { inflated } from './inflate.js';
import { MessageReader, PREFIX_BYTES, unpinned } from './message-reader.js';
import { HEAD, metadataFields, OK, statusFields, trailersOf, trailersOnlyOf } from './response-fields.js';

/** A response stream is not writable while so much of it waits to be sent, bytes. */
const FULL_BYTES = 64 * 1024;

/**
 * One call on one stream of our HTTP/2 engine: request bytes → messages → the handler of its method, and what the handler
 * gives → DATA and trailers, which leave together at the end of the turn (sidecar/transport/flush-scheduler.ts). It fires
 * when its deadline has passed. Ends once; nothing is sent or handed on after that.
 */
export class EngineCall extends WheelEntry implements StreamOwner, StreamCall<unknown> {
  deadlineMs = Number.POSITIVE_INFINITY;
  cancelled = false;
  private readonly reader = new MessageReader(MAX_MESSAGE_BYTES);
  private receiver: StreamReceiver<unknown> | null = null;
  /** The message of a method that takes one: it is handled when the caller has ended its side. */
  private only: Buffer | null = null;
  private requestEnded = false;
  private isEndTold = false;
  /** The deadline again, monotonic ms. */
  private readByMs = Number.POSITIVE_INFINITY;
  private headSent = false;
  private headFields: readonly HeaderField[] = NO_FIELDS;
  private isOver = false;
  private isPaused = false;
  private isInflating = false;
  /** Bytes that came while nothing was read: their credit returns when reading goes on. */
  private uncredited = 0;
  /** Bytes of whole messages that are still needed: the one of a unary call until it ends, those of a stream as `hold` says. */
  private heldBytes = 0;
  /** Bytes of the message that is being inflated, compressed and inflated. */
  private inflatingBytes = 0;
  /** Bytes counted in the memory budget. */
  private counted = 0;
  private cancelListeners: (() => void)[] | null = null;
  private writableListeners: (() => void)[] | null = null;

  constructor(
    private readonly session: Session,
    private readonly stream: Stream,
    private readonly block: HeaderBlock,
    private readonly served: ServedMethod,
  ) {
    super();
  }

  /** Begins: its deadline, then the handler of a stream, then what came with the headers. */
  start(ended: boolean): void {
    const timeout = metadataValue(this.block, 'grpc-timeout');
    try {
      if (timeout !== undefined) this.setDeadline(timeout);
      if (this.served.kind === 'stream') this.receiver = this.served.open(this);
    } catch (error) {
      return this.fail(toRpcError(error));
    }
    if (ended) this.endRequest();
  }

  // ---- Call, StreamCall ----

  onCancelled(listener: () => void): void {
    this.cancelListeners ??= [];
    this.cancelListeners.push(listener);
  }

  header(name: string): string | undefined {
    return metadataValue(this.block, name);
  }

  get writable(): boolean {
    return this.stream.pendingBytes < FULL_BYTES;
  }

  onWritable(listener: () => void): void {
    this.writableListeners ??= [];
    this.writableListeners.push(listener);
  }

  announce(metadata: Readonly<Record<string, string>>): void {
    this.headFields = metadataFields(metadata);
  }

  /** Throws what the message's writer throws: nothing of it has been sent then. */
  write(response: unknown): void {
    if (this.isOver) return;
    this.sendMessage(this.served.method.responseSerialize(response));
  }

  end(error?: RpcError): void {
    if (this.isOver) return;
    if (error === undefined) this.finish(OK, NO_FIELDS);
    else this.finish(this.statusList(error.code), statusFields(error));
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.readOn();
  }

  hold(bytes: number): void {
    this.heldBytes = bytes;
    this.count();
  }

  // ---- StreamOwner ----

  onHeaders(): void {}

  onData(stream: Stream, buffer: Buffer, start: number, end: number, ended: boolean): void {
    if (this.isOver) return;
    this.reader.push(buffer, start, end);
    if (ended) this.requestEnded = true;
    else if (this.isReading) this.session.connection.credit(stream, end - start, WIDE_WINDOW);
    else this.uncredited += end - start;
    this.readAll();
  }

  onTrailers(): void {
    this.endRequest();
  }

  onEnding(): void {
    this.cancel();
  }

  onSent(stream: Stream): void {
    if (this.writableListeners === null || stream.pendingBytes >= FULL_BYTES) return;
    const listeners = this.writableListeners;
    this.writableListeners = null;
    // They run models, perhaps: not in the middle of a write.
    setImmediate(() => {
      for (const listener of listeners) listener();
    });
  }

  get readLimits(): ReadLimits {
    return { deadlineMs: this.readByMs, idleTimeoutMs: 0 };
  }

  bufferedBytes(stream: Stream): number {
    return stream.pendingBytes + this.counted;
  }

  shed(stream: Stream): void {
    if (stream.pendingBytes === 0 && !this.isOver)
      return this.fail(new RpcError(status.RESOURCE_EXHAUSTED, 'the server is short of memory'));
    this.session.connection.reset(stream, ErrorCode.enhanceYourCalm);
    this.cancel();
  }

  /** The deadline has passed. */
  fire(): void {
    this.session.context.nowMs = this.session.context.clock.now();
    // Behind what its caller does not read, a status might wait for ever.
    if (this.session.cannotSend(this.stream)) {
      this.session.connection.reset(this.stream, ErrorCode.cancel);
      return this.cancel();
    }
    this.fail(new RpcError(status.DEADLINE_EXCEEDED, 'Deadline exceeded'));
  }

  // ---- the request ----

  private setDeadline(timeout: string): void {
    const ms = parseGrpcTimeout(timeout);
    if (Number.isNaN(ms)) throw new RpcError(status.INTERNAL, `Invalid grpc-timeout value "${timeout}"`);
    const { clock, wheel } = this.session.context;
    this.deadlineMs = clock.wallNow() + ms;
    this.readByMs = clock.now() + ms;
    wheel.add(this, this.readByMs);
  }

  private get isReading(): boolean {
    return !this.isPaused && !this.isInflating;
  }

  private endRequest(): void {
    if (this.isOver) return;
    this.requestEnded = true;
    this.readAll();
  }

  private readOn(): void {
    if (this.isOver || !this.isReading) return;
    if (this.uncredited > 0) this.session.connection.credit(this.stream, this.uncredited, WIDE_WINDOW);
    this.uncredited = 0;
    this.readAll();
  }

  /** Hands on every message that is whole, as long as it may. */
  private readAll(): void {
    try {
      while (this.isReading && !this.isOver) {
        const message = this.reader.next();
        if (message === undefined) break;
        if (message.isCompressed) this.inflate(message.bytes);
        else this.take(message.bytes);
      }
      if (this.requestEnded && this.isReading && !this.isOver) this.tellEnd();
    } catch (error) {
      this.fail(toRpcError(error));
    }
    this.reader.park();
    this.count();
  }

  private inflate(bytes: Buffer): void {
    this.isInflating = true;
    this.inflatingBytes = bytes.length;
    inflated(bytes, this.header('grpc-encoding'), MAX_MESSAGE_BYTES, (soFar) => {
      this.inflatingBytes = bytes.length + soFar;
      this.countNow();
      return !this.isOver;
    })
      .then((message) => {
        this.isInflating = false;
        this.inflatingBytes = 0;
        if (!this.isOver) this.take(message);
        this.readOn();
      })
      .catch((error: unknown) => this.fail(toRpcError(error)));
  }

  private take(message: Buffer): void {
    const { served } = this;
    const bytes = unpinned(message);
    if (served.method.requestStream)
      return this.receiver!.request(decodeRequest(served.method, bytes), bytes.length);
    if (this.only !== null)
      throw new RpcError(status.UNIMPLEMENTED, `${served.method.path}: found a second message, expected one`);
    this.only = bytes;
    this.heldBytes = bytes.length;
  }

  private tellEnd(): void {
    if (this.isEndTold) return;
    this.isEndTold = true;
    if (this.reader.isMidMessage)
      throw new RpcError(status.INTERNAL, 'the request ended in the middle of a message');
    const { served, only } = this;
    if (!served.method.requestStream) {
      if (only === null)
        throw new RpcError(status.UNIMPLEMENTED, `${served.method.path}: found no message, expected one`);
      this.only = null;
      const request = decodeRequest(served.method, only);
      if (served.kind === 'unary') return served.handle(request, this, this.reply);
      this.receiver!.request(request, only.length);
    }
    this.receiver!.end();
  }

  /**
   * Counts in the memory budget what is kept of the request: what waits for the rest of its message, what is being inflated, and
   * messages that are whole, as the tensors of a request lie where its message does.
   */
  private count(): void {
    const bytes = this.isOver ? 0 : this.reader.bytes + this.inflatingBytes + this.heldBytes;
    if (bytes === this.counted) return;
    const { memory } = this.session.context;
    if (bytes > this.counted) memory.force(bytes - this.counted);
    else memory.release(this.counted - bytes);
    this.counted = bytes;
  }

  /** The same outside of a read, after which the session looks at the budget. */
  private countNow(): void {
    this.count();
    const { context } = this.session;
    context.nowMs = context.clock.now();
    if (context.memory.isAlarmed) context.memory.review(context.flushes, context.nowMs);
  }

  // ---- the response ----

  private readonly reply = (
    error: RpcError | undefined,
    response?: unknown,
    trailers?: Readonly<Record<string, string>>,
  ): void => {
    if (this.isOver) return;
    if (error !== undefined) return this.end(error);
    this.sendMessage(this.served.method.responseSerialize(response));
    this.finish(OK, trailers === undefined ? NO_FIELDS : metadataFields(trailers));
  };

  private sendMessage(message: Buffer): void {
    const { stream } = this;
    const { connection } = this.session;
    if (!this.headSent) connection.sendHeaders(stream, HEAD, this.headFields, false);
    this.headSent = true;
    const prefix = Buffer.allocUnsafe(PREFIX_BYTES);
    prefix[0] = 0;
    prefix.writeUInt32BE(message.length, 1);
    connection.sendData(stream, prefix, 0, PREFIX_BYTES, false);
    connection.sendData(stream, message, 0, message.length, false);
  }

  private statusList(code: number): StableList {
    return this.headSent ? trailersOf(code) : trailersOnlyOf(code);
  }

  private finish(list: StableList, fields: readonly HeaderField[]): void {
    const { connection } = this.session;
    if (this.headSent) connection.sendTrailers(this.stream, list, fields);
    else {
      const only = list === OK ? trailersOnlyOf(status.OK) : list;
      connection.sendHeaders(this.stream, only, [...this.headFields, ...fields], true);
    }
    this.close();
  }

  /** The call ends before its handler has ended it, which is told. */
  private fail(error: RpcError): void {
    if (this.isOver) return;
    this.end(error);
    this.tellCancelled();
  }

  /** The caller has gone. */
  private cancel(): void {
    if (this.isOver) return;
    this.close();
    this.tellCancelled();
  }

  private close(): void {
    this.isOver = true;
    this.only = null;
    this.session.context.wheel.cancel(this);
    this.count();
  }

  private tellCancelled(): void {
    this.cancelled = true;
    const listeners = this.cancelListeners;
    this.cancelListeners = null;
    for (const listener of listeners ?? []) listener();
  }
}
