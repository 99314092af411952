/**
 * One end of an HTTP/2 connection in the simulation: legal, and unusual where its quirks say so. It shares only the wire
 * format with the product. What it receives goes to the owner of the stream, which gives credit back when it likes.
 */
import * as h2 from '../../kit/http2/h2-frames.js';
import { Flag, type Frame, FrameReader, FrameType, PREFACE, Setting } from '../../kit/http2/h2-frames.js';
import { type Field, HpackDecoder } from '../../kit/http2/hpack-lite.js';
import type { Dice } from '../dice.js';
import { HpackEncoder } from './hpack-encoder.js';
import type { SimSocket } from './sim-net.js';

/** What a legal peer may do and most do not. */
export interface Quirks {
  /** Window of each of its streams. */
  readonly initialWindow: number;
  /** Credit of the connection beyond the 65,535 bytes that it begins with. */
  readonly connectionCredit: number;
  readonly maxConcurrentStreams: number | null;
  /** Most bytes of a DATA frame that it sends. */
  readonly frameBytes: number;
  /** Share of its DATA frames that are padded. */
  readonly padding: number;
  /** Most bytes of a part of a header block: more are sent in CONTINUATION frames. */
  readonly headerPart: number;
  /** SETTINGS again in mid-stream, each so many frames; 0: never. */
  readonly settingsEvery: number;
  /** Trailers-only answers have their END_STREAM in a DATA frame of its own where that is legal. */
  readonly emptyFrames: number;
  /** A small window of its streams is raised by SETTINGS once the first has begun; absent: by WINDOW_UPDATE, for each. */
  readonly raisesBySettings?: boolean;
  /** Share of its header fields that it keeps in the dynamic table; absent or 0: it has none. */
  readonly indexing?: number;
  /** Sizes of the table that it allows the other side, one after the other, each with the SETTINGS in mid-stream. */
  readonly tableBytes?: readonly number[];
  /** It gives credit once half of a window is due, and not for each read. */
  readonly creditsLate?: boolean;
}

export const PLAIN: Quirks = {
  initialWindow: 65_535,
  connectionCredit: 0,
  maxConcurrentStreams: null,
  frameBytes: 16_384,
  padding: 0,
  headerPart: 16_384,
  settingsEvery: 0,
  emptyFrames: 0,
};

/** SETTINGS_HEADER_TABLE_SIZE where nothing else is said (RFC 7541 section 4.2). */
const DEFAULT_TABLE = 4_096;
/** RFC 9113 section 6.9.1. */
const MOST_WINDOW = 2 ** 31 - 1;
/** More than a sidecar lets any stream send ahead of its reader, bytes: credit was given twice. */
const MOST_AHEAD = 4 * 1024 * 1024;
/** Below it a reader would move by less than a frame at a time, bytes. */
const LEAST_WINDOW = 16_384;
/** Credit that is due is given from here on by a peer that gives it late, bytes: half of the smallest window of a connection, and of a stream. */
const LATE_CREDIT = 32_767;
const LATE_STREAM_CREDIT = LEAST_WINDOW / 2;
/** SETTINGS of a connection: more in a short time are an attack. */
const MOST_SETTINGS = 50;
/** Empty frames of a connection: more in a short time are an attack. */
const MOST_EMPTY = 50;
/** SETTINGS_MAX_FRAME_SIZE where nothing else is said (RFC 9113 section 6.5.2). */
const MOST_FRAME = 16_384;
const RAISED_WINDOW = 65_535;

/** Gets what arrives on a stream. */
export interface StreamOwner {
  onHeaders(fields: readonly Field[], ended: boolean): void;
  onData(bytes: Buffer, ended: boolean): void;
  /** By the peer, or with the connection (code −1). */
  onReset(code: number): void;
}

type Out =
  | { readonly kind: 'headers'; readonly fields: readonly Field[]; readonly ends: boolean }
  | { readonly kind: 'data'; readonly bytes: Buffer; readonly ends: boolean };

/** What the other side may send, of one stream or of the connection. */
class Room {
  /** Since when it has been able to send anything, ms of the clock. */
  sinceMs = 0;

  constructor(private bytes: number) {}

  take(bytes: number): void {
    this.bytes -= bytes;
  }

  add(bytes: number, nowMs: number): void {
    if (this.bytes <= 0 && this.bytes + bytes > 0) this.sinceMs = nowMs;
    this.bytes += bytes;
  }
}

export class SimStream {
  owner: StreamOwner | undefined;
  /** Credit of the other side for DATA of this one. */
  window: number;
  readonly out: Out[] = [];
  sent = 0;
  isOpen = true;
  hasEnded = false;
  peerEnded = false;
  /** Bytes received that its reader has not taken. */
  owed = 0;
  /** Of what it has taken: credit that is still to be given. */
  due = 0;
  readonly room: Room;

  constructor(
    readonly peer: SimPeer,
    readonly id: number,
  ) {
    this.window = peer.peerInitialWindow;
    this.room = new Room(peer.initialWindow);
  }

  /** Since when the other side has had credit for more of it, ms of the clock. */
  get hasRoomSinceMs(): number {
    return Math.max(this.room.sinceMs, this.peer.room.sinceMs);
  }

  headers(fields: readonly Field[], ends = false): void {
    this.out.push({ kind: 'headers', fields, ends });
    this.peer.flush(this);
  }

  data(bytes: Buffer, ends = false): void {
    if (bytes.length === 0 && !ends) return;
    this.out.push({ kind: 'data', bytes, ends });
    this.peer.flush(this);
  }

  /** Bytes that wait for credit. */
  get waiting(): number {
    return (
      this.out.reduce((sum, each) => sum + (each.kind === 'data' ? each.bytes.length : 0), 0) - this.sent
    );
  }

  /** The reader has taken so many bytes. */
  credit(bytes: number): void {
    const given = Math.min(bytes, this.owed);
    if (given <= 0) return;
    this.owed -= given;
    this.peer.giveBack(this, given);
  }

  reset(code: number): void {
    if (!this.isOpen) return;
    this.peer.send(h2.rstStream(this.id, code));
    this.peer.forget(this);
  }
}

export class SimPeer {
  readonly streams = new Map<number, SimStream>();
  peerInitialWindow = 65_535;
  peerMaxStreams = Number.POSITIVE_INFINITY;
  isClosed = false;
  /** The other side takes no new streams. */
  isLeaving = false;
  /** A server: a request has begun. */
  onStream: (stream: SimStream, fields: readonly Field[], ended: boolean) => void = () => {};
  onClose: () => void = () => {};
  /** A broken rule of the other side; the first. */
  problem = '';
  private window = 65_535;
  /** Credit of the connection that is still to be given. */
  private due = 0;
  private emptySent = 0;
  private nextId = 1;
  private readonly reader: FrameReader;
  private readonly hpack = new HpackDecoder();
  private readonly encoder: HpackEncoder;
  private settingsSent = 0;
  /** @internal Of its streams. */
  initialWindow: number;
  readonly room = new Room(65_535);
  /** Table sizes that the other side has not acknowledged yet. */
  private readonly unacknowledged: number[] = [];
  private block: { readonly streamId: number; readonly flags: number; readonly parts: Buffer[] } | undefined;
  private framesUntilSettings: number;

  constructor(
    readonly socket: SimSocket,
    readonly role: 'client' | 'server',
    private readonly quirks: Quirks,
    private readonly dice: Dice,
  ) {
    this.initialWindow = quirks.initialWindow;
    this.reader = new FrameReader(role === 'server' ? PREFACE.length : 0);
    this.framesUntilSettings = quirks.settingsEvery;
    this.encoder = new HpackEncoder(quirks.indexing ?? 0, dice.of('hpack'));
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => this.receive(chunk));
    socket.on('close', () => this.closed());
    if (role === 'client') this.send(PREFACE);
    this.send(this.settings());
    if (quirks.connectionCredit > 0) this.allow(0, this.room, quirks.connectionCredit);
  }

  private settings(): Buffer {
    const { maxConcurrentStreams, tableBytes = [] } = this.quirks;
    const values: (readonly [number, number])[] = [[Setting.initialWindowSize, this.initialWindow]];
    const allowed = tableBytes[this.settingsSent++ % Math.max(1, tableBytes.length)] ?? DEFAULT_TABLE;
    if (tableBytes.length > 0) values.push([Setting.headerTableSize, allowed]);
    this.unacknowledged.push(allowed);
    if (maxConcurrentStreams !== null) values.push([Setting.maxConcurrentStreams, maxConcurrentStreams]);
    return h2.settings(values);
  }

  get openStreams(): number {
    return this.streams.size;
  }

  /** Opens a stream; undefined: the other side takes no more now. */
  request(fields: readonly Field[], owner: StreamOwner, ends = false): SimStream | undefined {
    if (this.isClosed || this.isLeaving || this.streams.size >= this.peerMaxStreams) return undefined;
    const stream = new SimStream(this, this.nextId);
    this.nextId += 2;
    stream.owner = owner;
    this.streams.set(stream.id, stream);
    stream.headers(fields, ends);
    this.widen(stream);
    return stream;
  }

  /** A stream that begins with a window of almost nothing gets one at once. */
  private widen(stream: SimStream): void {
    if (this.initialWindow >= LEAST_WINDOW) return;
    if (this.quirks.raisesBySettings !== true) return this.allow(stream.id, stream.room, LEAST_WINDOW);
    for (const { room } of this.streams.values())
      room.add(RAISED_WINDOW - this.initialWindow, this.socket.process.now());
    this.initialWindow = RAISED_WINDOW;
    this.send(this.settings());
  }

  goaway(lastId: number, code = 0): void {
    this.send(h2.goaway(lastId, code));
  }

  send(bytes: Buffer): void {
    if (!this.isClosed && !this.socket.destroyed) this.socket.write(bytes);
  }

  /** Gives credit, for a stream or for the connection. */
  private allow(streamId: number, room: Room, bytes: number): void {
    room.add(bytes, this.socket.process.now());
    this.send(h2.windowUpdate(streamId, bytes));
  }

  giveBack(stream: SimStream, bytes: number): void {
    this.creditConnection(bytes);
    if (!stream.isOpen || stream.peerEnded) return;
    stream.due += bytes;
    if (this.quirks.creditsLate === true && stream.due < LATE_STREAM_CREDIT) return;
    this.allow(stream.id, stream.room, stream.due);
    stream.due = 0;
  }

  private creditConnection(bytes: number): void {
    this.due += bytes;
    if (this.quirks.creditsLate === true && this.due < LATE_CREDIT) return;
    this.allow(0, this.room, this.due);
    this.due = 0;
  }

  forget(stream: SimStream): void {
    if (!stream.isOpen) return;
    stream.isOpen = false;
    stream.out.length = 0;
    this.streams.delete(stream.id);
    // What it had not read is read now, for the connection.
    if (stream.owed > 0) this.creditConnection(stream.owed);
    stream.owed = 0;
  }

  private flushAll(): void {
    for (const stream of [...this.streams.values()]) this.flush(stream);
  }

  /** Sends of a stream what its windows allow. */
  flush(stream: SimStream): void {
    while (stream.isOpen && stream.out.length > 0) {
      const next = stream.out[0]!;
      if (next.kind === 'headers') {
        this.sendBlock(stream.id, this.encoder.encode(next.fields), next.ends);
        stream.out.shift();
        if (next.ends) this.ended(stream);
        continue;
      }
      const left = next.bytes.length - stream.sent;
      const { frameBytes, padding, emptyFrames } = this.quirks;
      if (emptyFrames > 0 && this.emptySent < MOST_EMPTY && this.dice.chance(emptyFrames)) {
        this.emptySent++;
        this.send(h2.data(stream.id, Buffer.alloc(0)));
      }
      const pad = padding > 0 && this.dice.chance(padding) ? this.dice.between(0, 255) : -1;
      const overhead = pad < 0 ? 0 : pad + 1;
      const room = Math.min(stream.window, this.window) - overhead;
      const size = Math.min(left, Math.max(1, Math.min(frameBytes, MOST_FRAME - overhead)), room);
      if (size < 0 || (size === 0 && left > 0)) return;
      const part = next.bytes.subarray(stream.sent, stream.sent + size);
      stream.sent += size;
      const isLast = stream.sent === next.bytes.length;
      const flags = isLast && next.ends ? Flag.endStream : 0;
      this.send(pad < 0 ? h2.data(stream.id, part, flags) : h2.paddedData(stream.id, part, pad, flags));
      stream.window -= size + overhead;
      this.window -= size + overhead;
      const isDue = this.quirks.settingsEvery > 0 && --this.framesUntilSettings === 0;
      if (isDue && this.settingsSent < MOST_SETTINGS) {
        this.framesUntilSettings = this.quirks.settingsEvery;
        this.send(this.settings());
      }
      if (!isLast) continue;
      stream.out.shift();
      stream.sent = 0;
      if (next.ends) this.ended(stream);
    }
  }

  private ended(stream: SimStream): void {
    stream.hasEnded = true;
    if (stream.peerEnded) this.forget(stream);
  }

  private sendBlock(id: number, block: Buffer, ends: boolean): void {
    const { headerPart } = this.quirks;
    for (let at = 0; at < block.length || at === 0; at += headerPart) {
      const part = block.subarray(at, at + headerPart);
      const last = at + headerPart >= block.length ? Flag.endHeaders : 0;
      const first = at === 0;
      const flags = last | (first && ends ? Flag.endStream : 0);
      this.send(first ? h2.headers(id, part, flags) : h2.continuation(id, part, last));
    }
  }

  // ---- what comes ----

  private receive(chunk: Buffer): void {
    for (const frame of this.reader.push(chunk)) this.take(frame);
  }

  private take(frame: Frame): void {
    const { type, flags, streamId, payload } = frame;
    const isAck = (flags & Flag.ack) !== 0;
    if (this.block !== undefined && type !== FrameType.continuation)
      this.problem ||= `frame of type ${type} inside a header block`;
    switch (type) {
      case FrameType.settings:
        return isAck ? this.acknowledged() : this.takeSettings(frame);
      case FrameType.ping:
        if (!isAck) this.send(h2.ping(payload, Flag.ack));
        return;
      case FrameType.windowUpdate:
        return this.takeCredit(streamId, payload.readUInt32BE(0));
      case FrameType.goaway:
        this.isLeaving = true;
        return;
      case FrameType.rstStream: {
        const stream = this.streams.get(streamId);
        if (stream === undefined) return;
        const code = payload.readUInt32BE(0);
        this.forget(stream);
        return stream.owner?.onReset(code);
      }
      case FrameType.headers:
        this.block = { streamId, flags, parts: [h2.contentOf(frame)] };
        return this.endBlock(flags);
      case FrameType.continuation:
        if (this.block?.streamId !== streamId) this.problem ||= 'CONTINUATION of no header block';
        this.block?.parts.push(payload);
        return this.endBlock(flags);
      case FrameType.data:
        return this.takeData(frame);
      default:
        return;
    }
  }

  private acknowledged(): void {
    this.hpack.maxTableBytes = this.unacknowledged.shift() ?? DEFAULT_TABLE;
  }

  private takeSettings(frame: Frame): void {
    const values = h2.settingsOf(frame);
    const tableBytes = values.get(Setting.headerTableSize);
    if (tableBytes !== undefined) this.encoder.allow(tableBytes);
    const initial = values.get(Setting.initialWindowSize);
    if (initial !== undefined) {
      for (const stream of this.streams.values()) stream.window += initial - this.peerInitialWindow;
      this.peerInitialWindow = initial;
    }
    this.peerMaxStreams = values.get(Setting.maxConcurrentStreams) ?? this.peerMaxStreams;
    this.send(h2.settingsAck());
    this.flushAll();
  }

  private takeCredit(streamId: number, bytes: number): void {
    if (streamId === 0) {
      this.window += bytes;
      if (this.window > MOST_WINDOW) this.problem ||= `the connection may send ${this.window} bytes`;
      return this.flushAll();
    }
    const stream = this.streams.get(streamId);
    if (stream === undefined) return;
    stream.window += bytes;
    if (stream.window > MOST_AHEAD) this.problem ||= `stream ${streamId} may send ${stream.window} bytes`;
    this.flush(stream);
  }

  private endBlock(flags: number): void {
    if ((flags & Flag.endHeaders) === 0 || this.block === undefined) return;
    const { streamId, flags: first, parts } = this.block;
    this.block = undefined;
    const fields = this.hpack.decode(Buffer.concat(parts));
    const ended = (first & Flag.endStream) !== 0;
    let stream = this.streams.get(streamId);
    if (stream === undefined) {
      // A client's own stream that it has left; a server's request.
      if (this.role === 'client') return;
      stream = new SimStream(this, streamId);
      this.streams.set(streamId, stream);
      if (ended) this.peerDone(stream);
      else this.widen(stream);
      return this.onStream(stream, fields, ended);
    }
    if (ended) this.peerDone(stream);
    stream.owner?.onHeaders(fields, ended);
  }

  private takeData(frame: Frame): void {
    const stream = this.streams.get(frame.streamId);
    const cost = frame.payload.length;
    if (frame.streamId === 0) this.problem ||= 'DATA on stream 0';
    this.room.take(cost);
    stream?.room.take(cost);
    if (stream === undefined) {
      if (cost > 0) this.creditConnection(cost);
      return;
    }
    const ended = (frame.flags & Flag.endStream) !== 0;
    const content = h2.contentOf(frame);
    stream.owed += cost;
    if (ended) this.peerDone(stream);
    stream.owner?.onData(content, ended);
    // Padding is nobody's to read.
    stream.credit(cost - content.length);
  }

  private peerDone(stream: SimStream): void {
    stream.peerEnded = true;
    if (stream.hasEnded) this.forget(stream);
  }

  private closed(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const stream of [...this.streams.values()]) {
      this.forget(stream);
      stream.owner?.onReset(-1);
    }
    this.onClose();
  }
}
