/**
 * A network in memory: sockets that quack like `net.Socket` (write, cork, end, destroy, writableLength, 'data', 'drain',
 * 'end', 'close') and places to connect to. Nothing moves until `deliver` is called, so a test decides what happens in
 * which turn. An address that was not declared fails the test.
 */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';

/** What a socket holds before `write` answers false, as in Node. */
const HIGH_WATER_BYTES = 16 * 1024;
/** Most that one read brings, as in Node. */
const READ_BYTES = 64 * 1024;

export class MemorySocket extends EventEmitter {
  writableLength = 0;
  destroyed = false;
  writableEnded = false;
  connecting = false;
  /** Bytes this side has sent that the other has read. */
  delivered = 0;
  /** `false`: the application reads nothing, and what the other side writes stays with the writer. */
  isReading = true;
  /** `true`: a black hole; nothing more passes in either direction, and neither end is told. */
  isCut = false;
  /** @internal */
  other: MemorySocket | null = null;
  private readonly wire: Buffer[] = [];
  private isEndSent = false;
  private isEndRead = false;
  private needsDrain = false;
  private isClosed = false;

  constructor(private readonly net: MemoryNet) {
    super();
  }

  setNoDelay(): this {
    return this;
  }
  cork(): void {}
  uncork(): void {}

  write(chunk: Buffer): boolean {
    if (this.destroyed || this.writableEnded) return false;
    this.wire.push(chunk);
    this.writableLength += chunk.length;
    this.needsDrain ||= this.writableLength >= HIGH_WATER_BYTES;
    this.net.touch(this);
    return this.writableLength < HIGH_WATER_BYTES;
  }

  /** `done`: all that was written has been read. */
  end(done?: () => void): this {
    if (done !== undefined) this.once('finish', done);
    if (!this.destroyed) this.writableEnded = true;
    this.net.touch(this);
    return this;
  }

  destroy(): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.writableEnded = true;
    this.net.touch(this);
    return this;
  }

  pause(): this {
    this.isReading = false;
    return this;
  }

  resume(): this {
    this.isReading = true;
    if (this.other !== null) this.net.touch(this.other);
    return this;
  }

  /** The black hole closes: what was written meanwhile arrives. */
  heal(): void {
    this.isCut = false;
    this.net.touch(this);
  }

  /** The connection breaks as when the other host was reset: an error, then the end, on both sides. */
  break(code = 'ECONNRESET'): void {
    for (const side of [this, this.other]) side?.fail(code);
  }

  /** @internal An error, then 'close'. */
  fail(code: string): void {
    if (this.isClosed) return;
    this.wire.length = 0;
    this.isClosed = true;
    this.destroyed = true;
    this.emit('error', Object.assign(new Error(code), { code }));
    this.emit('close');
  }

  private close(): true {
    this.isClosed = true;
    this.destroyed = true;
    this.emit('close');
    return true;
  }

  /** @internal Moves what may be moved; true when something happened. */
  step(): boolean {
    if (this.isClosed) return false;
    if (this.connecting) return this.destroyed && this.close();
    const { other } = this;
    const isReached = other !== null && !this.isCut && !other.isCut && !other.isClosed;
    const moved = isReached && (this.pass(other) || this.passEnd(other));
    if (moved || this.isClosed) return moved;
    const hasSaidAll = this.isEndSent || (this.writableEnded && other?.isClosed === true);
    return (this.destroyed || (hasSaidAll && this.isEndRead)) && this.close();
  }

  private pass(other: MemorySocket): boolean {
    if (this.wire.length === 0 || !other.isReading || other.destroyed) return false;
    let size = 0;
    const parts: Buffer[] = [];
    while (this.wire.length > 0 && size < READ_BYTES) {
      const part = this.wire[0]!;
      const take = Math.min(part.length, READ_BYTES - size);
      parts.push(part.subarray(0, take));
      size += take;
      if (take === part.length) this.wire.shift();
      else this.wire[0] = part.subarray(take);
    }
    // As Node's reads do, each stands in memory of its own.
    const read = Buffer.allocUnsafeSlow(size);
    let at = 0;
    for (const part of parts) at += part.copy(read, at);
    this.writableLength -= size;
    this.delivered += size;
    other.emit('data', read);
    if (this.needsDrain && this.writableLength === 0 && !this.destroyed) {
      this.needsDrain = false;
      this.emit('drain');
    }
    return true;
  }

  private passEnd(other: MemorySocket): boolean {
    if (!this.writableEnded || this.isEndSent || this.wire.length > 0) return false;
    this.isEndSent = true;
    this.emit('finish');
    other.isEndRead = true;
    if (!other.destroyed) other.emit('end');
    other.end();
    return true;
  }
}

/** What is at an address. */
export interface Place {
  /** `silent`: the connect is never answered. */
  mode: 'accepts' | 'refuses' | 'silent';
  /** What `refuses` says; absent: ECONNREFUSED. */
  readonly refusal?: string;
  onSocket(socket: MemorySocket): void;
}

export class MemoryNet {
  private readonly places = new Map<string, Place>();
  private touched: MemorySocket[] = [];
  private connects: { readonly socket: MemorySocket; readonly place: Place }[] = [];
  /** Sockets dialled so far. */
  dialled = 0;

  declare(name: string, place: Place): void {
    this.places.set(name, place);
  }

  /** Like `net.connect`: the answer comes with a later `deliver`. */
  dial(name: string): Socket {
    const place = this.places.get(name);
    if (place === undefined) throw new Error(`${name} was not declared`);
    this.dialled++;
    const socket = new MemorySocket(this);
    socket.connecting = true;
    this.connects.push({ socket, place });
    return socket as unknown as Socket;
  }

  /** Two connected sockets. */
  pair(): [MemorySocket, MemorySocket] {
    const a = new MemorySocket(this);
    const b = new MemorySocket(this);
    a.other = b;
    b.other = a;
    return [a, b];
  }

  /** @internal */
  touch(socket: MemorySocket): void {
    if (!this.touched.includes(socket)) this.touched.push(socket);
  }

  /** One turn's reads: whatever has been written reaches the other side. False when nothing moved. */
  deliver(): boolean {
    let moved = false;
    for (const { socket, place } of this.connects.splice(0)) moved = this.connect(socket, place) || moved;
    const now = this.touched;
    this.touched = [];
    for (const socket of now) {
      while (socket.step()) moved = true;
      if (socket.other !== null) while (socket.other.step()) moved = true;
    }
    return moved;
  }

  private connect(socket: MemorySocket, place: Place): boolean {
    if (socket.destroyed || place.mode === 'silent') return false;
    if (place.mode === 'refuses') {
      socket.fail(place.refusal ?? 'ECONNREFUSED');
      return true;
    }
    const there = new MemorySocket(this);
    there.other = socket;
    socket.other = there;
    socket.connecting = false;
    socket.emit('connect');
    place.onSocket(there);
    this.touch(socket);
    return true;
  }
}
