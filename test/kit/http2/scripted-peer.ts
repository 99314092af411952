/**
 * One end of an HTTP/2 connection in a test's hands, without waiting: frames are written by the raw frame kit and read
 * as they come, never by the product's engine. Polite by default (acknowledges, answers PING, gives windows back).
 */
import type { Socket } from 'node:net';
import {
  contentOf,
  data,
  ErrorCode,
  Flag,
  type Frame,
  FrameReader,
  FrameType,
  frame,
  goaway,
  headers,
  PREFACE,
  ping,
  rstStream,
  settings,
  settingsAck,
  windowUpdate,
} from './h2-frames.js';
import { encode, type Field, HpackDecoder } from './hpack-lite.js';
import type { MemorySocket } from './memory-net.js';
import { SendQueue } from './send-queue.js';

export interface PeerOptions {
  readonly role: 'client' | 'server';
  /** SETTINGS of the first frame; null: it never sends one. */
  readonly settings?: readonly (readonly [number, number])[] | null;
  readonly answersPings?: boolean;
  readonly replenishes?: boolean;
}

/** One stream as this end sees it. */
export class PeerStream {
  /** Header lists in the order they came. */
  readonly lists: Field[][] = [];
  readonly chunks: Buffer[] = [];
  bytes = 0;
  isEnded = false;
  resetCode: number | undefined;

  constructor(
    readonly peer: ScriptedPeer,
    readonly id: number,
  ) {}

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }
  /** The first value of a field in the first header list. */
  header(name: string): string | undefined {
    return this.lists[0]?.find(([key]) => key === name)?.[1];
  }
  /** Of the last header list. */
  trailer(name: string): string | undefined {
    return this.lists.at(-1)?.find(([key]) => key === name)?.[1];
  }
  get isTrailersOnly(): boolean {
    return this.isEnded && this.lists.length === 1 && this.chunks.length === 0;
  }
  /** Final gRPC status; −1 while there is none. */
  get status(): number {
    return this.isEnded ? Number(this.trailer('grpc-status') ?? -1) : -1;
  }
  get reason(): string | undefined {
    return this.trailer('outrider-reason');
  }
  get isOver(): boolean {
    return this.isEnded || this.resetCode !== undefined;
  }

  // ---- what this end says ----

  headers(fields: readonly Field[], flags = 0): this {
    this.peer.queue(this.id, headers(this.id, encode(fields), Flag.endHeaders | flags));
    return this;
  }
  /** Sent as frames of up to 16 KiB, as far as the windows reach. */
  data(body: Buffer, flags = 0): this {
    const max = 16_384;
    const frames: Buffer[] = [];
    for (let at = 0; at < body.length || at === 0; at += max) {
      const last = at + max >= body.length;
      frames.push(data(this.id, body.subarray(at, at + max), last ? flags : 0));
    }
    this.peer.queue(this.id, ...frames);
    return this;
  }
  end(): this {
    return this.data(Buffer.alloc(0), Flag.endStream);
  }
  begin(fields: readonly Field[] = []): this {
    return this.headers([[':status', '200'], ['content-type', 'application/grpc'], ...fields]);
  }
  trailers(status: number, fields: readonly Field[] = []): this {
    return this.headers([['grpc-status', String(status)], ...fields], Flag.endStream);
  }
  /** A whole unary answer. */
  reply(body: Buffer = Buffer.from('answer'), status = 0, fields: readonly Field[] = []): this {
    return this.begin().data(body).trailers(status, fields);
  }
  /** Trailers-only. */
  fail(status: number, fields: readonly Field[] = []): this {
    return this.headers(
      [[':status', '200'], ['content-type', 'application/grpc'], ['grpc-status', String(status)], ...fields],
      Flag.endStream,
    );
  }
  reset(code: number = ErrorCode.cancel): this {
    this.peer.send(rstStream(this.id, code));
    return this;
  }
  credit(bytes: number): this {
    this.peer.send(windowUpdate(this.id, bytes));
    return this;
  }
}

export class ScriptedPeer {
  readonly frames: Frame[] = [];
  readonly streams = new Map<number, PeerStream>();
  readonly goaways: Frame[] = [];
  pings = 0;
  isClosed = false;
  /** Server: a request's header list is complete. */
  onRequest: (stream: PeerStream) => void = () => {};
  /** Server: a request has ended. */
  onComplete: (stream: PeerStream) => void = () => {};
  private readonly reader: FrameReader;
  private readonly hpack = new HpackDecoder();
  private readonly sending = new SendQueue((bytes) => this.send(bytes));
  private block: Buffer[] = [];
  private blockStream = 0;
  private blockFlags = 0;
  private nextId = 1;
  private hasSpoken: boolean;
  readonly socket: MemorySocket;

  constructor(
    socket: MemorySocket | Socket,
    private readonly options: PeerOptions,
  ) {
    this.socket = socket as MemorySocket;
    this.reader = new FrameReader(options.role === 'server' ? PREFACE.length : 0);
    this.socket.on('data', (chunk: Buffer) => this.receive(chunk));
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
    });
    if (options.role === 'client') this.send(PREFACE);
    this.hasSpoken = options.settings !== null;
    if (options.settings !== null) this.send(settings(options.settings ?? []));
  }

  send(bytes: Buffer): void {
    this.socket.write(bytes);
  }
  queue(id: number, ...frames: readonly Buffer[]): void {
    this.sending.push(id, frames);
  }
  goaway(lastId: number, code: number = ErrorCode.noError): void {
    this.send(goaway(lastId, code));
  }
  announce(values: readonly (readonly [number, number])[]): void {
    this.send(settings(values));
    if (!this.hasSpoken) this.send(settingsAck());
    this.hasSpoken = true;
  }

  /** Client: opens a stream with this header list. */
  request(fields: readonly Field[], flags = 0): PeerStream {
    const stream = new PeerStream(this, this.nextId);
    this.nextId += 2;
    this.streams.set(stream.id, stream);
    const block = encode(fields);
    const first = block.subarray(0, 16_384);
    const whole = block.length === first.length ? Flag.endHeaders : 0;
    this.queue(stream.id, headers(stream.id, first, flags | whole));
    for (let at = first.length; at < block.length; at += 16_384) {
      const last = at + 16_384 >= block.length ? Flag.endHeaders : 0;
      this.queue(stream.id, frame(FrameType.continuation, last, stream.id, block.subarray(at, at + 16_384)));
    }
    return stream;
  }

  count(type: number): number {
    return this.frames.filter((each) => each.type === type).length;
  }

  private receive(chunk: Buffer): void {
    for (const each of this.reader.push(chunk)) {
      if (each.type !== FrameType.data) this.frames.push(each);
      this.sending.notice(each);
      this.take(each);
    }
  }

  private take(each: Frame): void {
    const isAck = (each.flags & Flag.ack) !== 0;
    switch (each.type) {
      case FrameType.settings:
        if (!isAck && this.hasSpoken) this.send(settingsAck());
        return;
      case FrameType.ping:
        if (!isAck) this.pings++;
        if (!isAck && this.options.answersPings !== false) this.send(ping(each.payload, Flag.ack));
        return;
      case FrameType.goaway:
        this.goaways.push(each);
        return;
      case FrameType.rstStream: {
        const stream = this.streams.get(each.streamId);
        // NO_ERROR after a complete answer only asks us to stop sending.
        if (stream === undefined || (stream.isEnded && this.options.role === 'client')) return;
        stream.resetCode = each.payload.readUInt32BE(0);
        return;
      }
      case FrameType.headers:
      case FrameType.continuation:
        return this.takeBlock(each);
      case FrameType.data:
        return this.takeData(each);
    }
  }

  private takeBlock(each: Frame): void {
    if (each.type === FrameType.headers) {
      this.block = [];
      this.blockStream = each.streamId;
      this.blockFlags = each.flags;
    }
    this.block.push(each.type === FrameType.headers ? contentOf(each) : each.payload);
    if ((each.flags & Flag.endHeaders) === 0) return;
    const fields = this.hpack.decode(Buffer.concat(this.block));
    let stream = this.streams.get(this.blockStream);
    const isNew = stream === undefined;
    stream ??= new PeerStream(this, this.blockStream);
    this.streams.set(stream.id, stream);
    stream.lists.push(fields);
    if (isNew) this.onRequest(stream);
    if ((this.blockFlags & Flag.endStream) !== 0) this.ended(stream);
  }

  private takeData(each: Frame): void {
    const stream = this.streams.get(each.streamId);
    const content = contentOf(each);
    if (this.options.replenishes !== false && each.payload.length > 0) {
      this.send(windowUpdate(0, each.payload.length));
      if ((each.flags & Flag.endStream) === 0) this.send(windowUpdate(each.streamId, each.payload.length));
    }
    if (stream === undefined) return;
    if (content.length > 0) stream.chunks.push(content);
    stream.bytes += content.length;
    if ((each.flags & Flag.endStream) !== 0) this.ended(stream);
  }

  private ended(stream: PeerStream): void {
    stream.isEnded = true;
    if (this.options.role === 'server') this.onComplete(stream);
  }
}
