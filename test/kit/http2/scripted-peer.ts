/**
 * One end of an HTTP/2 connection in a test's hands, without waiting: frames are written by the raw frame kit and read
 * as they come, never by the product's engine. Polite by default (acknowledges, answers PING, gives windows back).
 */
import * as h2 from './h2-frames.js';
import { ErrorCode, Flag, type Frame, FrameType, PREFACE } from './h2-frames.js';
import { encode, type Field } from './hpack-lite.js';
import type { MemorySocket } from './memory-net.js';
import { RawPeer } from './raw-peer.js';
import { responseFields } from './raw-server.js';

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
  /** This end has reset it. */
  hasLeft = false;

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
    this.peer.queue(this.id, ...blockFrames(this.id, encode(fields), flags));
    return this;
  }
  /** Sent as frames of up to 16 KiB, as far as the windows reach. */
  data(body: Buffer, flags = 0): this {
    const frames: Buffer[] = [];
    for (let at = 0; at < body.length || at === 0; at += PIECE) {
      const last = at + PIECE >= body.length;
      frames.push(h2.data(this.id, body.subarray(at, at + PIECE), last ? flags : 0));
    }
    this.peer.queue(this.id, ...frames);
    return this;
  }
  end(): this {
    return this.data(Buffer.alloc(0), Flag.endStream);
  }
  begin(fields: readonly Field[] = []): this {
    return this.headers(responseFields(fields));
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
    return this.headers(responseFields([['grpc-status', String(status)], ...fields]), Flag.endStream);
  }
  reset(code: number = ErrorCode.cancel): this {
    this.hasLeft = true;
    this.peer.send(h2.rstStream(this.id, code));
    return this;
  }
  credit(bytes: number): this {
    this.peer.send(h2.windowUpdate(this.id, bytes));
    return this;
  }
}

/** The largest payload of a frame that is sent. */
const PIECE = 16_384;

/** A header block in as many frames as its size asks for. */
function blockFrames(id: number, block: Buffer, flags: number): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < block.length || at === 0; at += PIECE) {
    const last = at + PIECE >= block.length ? Flag.endHeaders : 0;
    const piece = block.subarray(at, at + PIECE);
    frames.push(at === 0 ? h2.headers(id, piece, flags | last) : h2.continuation(id, piece, last));
  }
  return frames;
}

export class ScriptedPeer extends RawPeer<MemorySocket> {
  readonly streams = new Map<number, PeerStream>();
  readonly goaways: Frame[] = [];
  pings = 0;
  /** Server: a request's header list is complete. */
  onRequest: (stream: PeerStream) => void = () => {};
  /** Server: a request has ended. */
  onComplete: (stream: PeerStream) => void = () => {};
  private nextId = 1;

  constructor(
    socket: MemorySocket,
    private readonly options: PeerOptions,
  ) {
    const {
      role,
      settings: values = [],
      answersPings: ackPings = true,
      replenishes: replenish = true,
    } = options;
    super(socket, { role, ackSettings: values !== null, ackPings, replenish, keepFrames: false });
    this.onFrame = (frame) => this.take(frame);
    if (role === 'client') this.send(PREFACE);
    if (values !== null) this.send(h2.settings(values));
  }

  goaway(lastId: number, code: number = ErrorCode.noError): void {
    this.send(h2.goaway(lastId, code));
  }
  announce(values: readonly (readonly [number, number])[]): void {
    this.send(h2.settings(values));
    if (!this.acksSettings) this.send(h2.settingsAck());
    this.acksSettings = true;
  }

  /** Client: opens a stream with this header list. */
  request(fields: readonly Field[], flags = 0): PeerStream {
    const stream = new PeerStream(this, this.nextId);
    this.nextId += 2;
    this.streams.set(stream.id, stream);
    this.queue(stream.id, ...blockFrames(stream.id, encode(fields), flags));
    return stream;
  }

  private take(frame: Frame): void {
    const stream = this.streams.get(frame.streamId);
    if (frame.type !== FrameType.data) this.frames.push(frame);
    if (frame.type === FrameType.ping && (frame.flags & Flag.ack) === 0) this.pings++;
    if (frame.type === FrameType.goaway) this.goaways.push(frame);
    if (stream === undefined) return;
    // NO_ERROR after a complete answer only asks us to stop sending.
    if (frame.type === FrameType.rstStream && !(stream.isEnded && this.options.role === 'client'))
      stream.resetCode = h2.errorCodeOf(frame);
    if (frame.type === FrameType.data) this.takeData(frame, stream);
  }

  private takeData(frame: Frame, stream: PeerStream): void {
    const content = h2.contentOf(frame);
    if (content.length > 0) stream.chunks.push(content);
    stream.bytes += content.length;
    if ((frame.flags & Flag.endStream) !== 0) this.ended(stream);
  }

  protected override onList({ streamId, flags }: Frame, fields: Field[]): void {
    const known = this.streams.get(streamId);
    const stream = known ?? new PeerStream(this, streamId);
    this.streams.set(streamId, stream);
    stream.lists.push(fields);
    if (known === undefined) this.onRequest(stream);
    if ((flags & Flag.endStream) !== 0) this.ended(stream);
  }

  private ended(stream: PeerStream): void {
    stream.isEnded = true;
    if (this.options.role === 'server') this.onComplete(stream);
  }
}
