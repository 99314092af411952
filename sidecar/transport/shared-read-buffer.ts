import net from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type OwnedBuffer, ownBuffer } from '../http2/owned-buffer.js';

const READ_BYTES = 128 * 1024;
/** Smaller reads that may follow on one in bulk before a socket gives its own buffer up. */
const PATIENCE = 8;

/** How a socket reads in bulk. */
interface BulkReads {
  /** A read of this size or more makes it begin, bytes. */
  readonly from: number;
  /** With less room than this, the next read goes into another buffer, bytes. */
  readonly leastRoom: number;
}
/** A read of a plain socket gets a buffer of its own, so that it can be large. */
const PLAIN_READS: BulkReads = { from: 32 * 1024, leastRoom: READ_BYTES };
/** With TLS a read is a record, of 16 KiB at most (RFC 8446 section 5.1): several lie side by side in one buffer. */
const RECORD_READS: BulkReads = { from: 8 * 1024, leastRoom: 16 * 1024 };

/** Small reads share buffers of this size; see chunk-list.ts for what may be pinned. */
const SLAB_BYTES = 16 * 1024;
/** Tiny ones share smaller buffers, so that a call of which little has come keeps little memory alive. */
const TINY_SLAB_BYTES = 4 * 1024;
const TINY_BYTES = 512;

/** Free bytes in front of a large read: what begins inside a frame gets a header there when it is sent on. */
const HEADROOM_BYTES = 9;

const incoming = Buffer.allocUnsafeSlow(READ_BYTES);

/** A buffer that reads are copied into, one behind the other, until it is full. */
class Slab {
  private buffer: Buffer;
  private at = 0;

  constructor(private readonly size: number) {
    this.buffer = Buffer.allocUnsafeSlow(size);
  }

  /** Bytes `[0, n)` of `source`, a quarter of a slab at most, in a buffer that stays valid when `source` is read into again. */
  copy(source: Buffer, n: number): OwnedBuffer {
    if (this.at + n > this.size) {
      this.buffer = Buffer.allocUnsafeSlow(this.size);
      this.at = 0;
    }
    const kept = this.buffer.subarray(this.at, this.at + n);
    kept.set(source.subarray(0, n));
    this.at += n;
    return ownBuffer(kept);
  }
}

const slab = new Slab(SLAB_BYTES);
const tinySlab = new Slab(TINY_SLAB_BYTES);

/** The same in a buffer of its own, behind free bytes. */
function copyWithHeadroom(source: Buffer, n: number): OwnedBuffer {
  const own = ownBuffer(Buffer.allocUnsafeSlow(HEADROOM_BYTES + n));
  source.copy(own, HEADROOM_BYTES, 0, n);
  return own;
}

/**
 * Takes over what was read: bytes `[start, end)` of `chunk`, and the nine before them, which may be written over. The other
 * bytes of `chunk` belong to other reads, each to one taker.
 */
export type TakeRead = (chunk: OwnedBuffer, start: number, end: number) => void;

/**
 * Reads without an allocation per read: all sockets read into one buffer, which is handled, synchronously, before the
 * next read. What was read is copied next to earlier small reads, so that it may be kept. A socket that reads much at a
 * time gets buffers of its own for as long as it does, and what it reads is not copied at all. (Node's own way is a new 64
 * KiB buffer for every read, cut down afterwards.) Made before the socket, or for one that has ended its TLS handshake, and
 * given to its session as the source.
 */
export class SharedReadBuffer {
  private take: TakeRead | undefined;
  private early: OwnedBuffer[] = [];
  /** A buffer of this socket's alone, while it reads in bulk; what is read into it is handed on where it lies. */
  private own: OwnedBuffer | null = null;
  /** Of it, the part behind the headroom of the next read, which the socket has. */
  private room: Buffer | null = null;
  /** Where that headroom begins. */
  private ownAt = 0;
  /** Small reads that may follow before it is given up; 0: the socket does not read in bulk. */
  private patience = 0;
  private readonly bulk: BulkReads;

  readonly onread = {
    buffer: (): Buffer => this.nextBuffer(),
    callback: (n: number, buffer: Uint8Array): boolean => {
      this.onRead(n, buffer);
      return true;
    },
  };

  /** `reads`: records of TLS, which Node hands on one by one, or whatever the kernel has. */
  constructor(reads: 'records' | 'bytes') {
    this.bulk = reads === 'records' ? RECORD_READS : PLAIN_READS;
  }

  /** What the socket had read before it got this buffer. */
  hasRead(chunk: OwnedBuffer): void {
    this.early.push(chunk);
  }

  /** From now on `take` gets every chunk, those first that came before. */
  deliver(take: TakeRead): void {
    this.take = take;
    for (const chunk of this.early.splice(0)) take(chunk, 0, chunk.length);
  }

  private onRead(n: number, buffer: Uint8Array): void {
    const source = buffer === this.room ? this.room : incoming;
    if (n >= this.bulk.from) this.patience = PATIENCE;
    else if (this.patience > 0) this.patience--;
    if (this.take === undefined) this.early.push(ownBuffer(Buffer.from(source.subarray(0, n))));
    else if (n <= TINY_BYTES) this.take(tinySlab.copy(source, n), 0, n);
    else if (n <= SLAB_BYTES / 4) this.take(slab.copy(source, n), 0, n);
    else if (n < this.bulk.from || source === incoming)
      this.take(copyWithHeadroom(source, n), HEADROOM_BYTES, HEADROOM_BYTES + n);
    else this.takeOwn(this.own!, n);
  }

  /** The next read goes behind this one, its headroom between them, while there is room. */
  private takeOwn(own: OwnedBuffer, n: number): void {
    const start = this.ownAt + HEADROOM_BYTES;
    this.ownAt = start + n;
    this.room = null;
    if (this.ownAt + HEADROOM_BYTES + this.bulk.leastRoom > own.length) this.own = null;
    this.take!(own, start, start + n);
  }

  /** Asked for after every read. */
  private nextBuffer(): Buffer {
    if (this.patience === 0) {
      this.own = null;
      this.room = null;
      return incoming;
    }
    if (this.own === null) {
      this.own = ownBuffer(Buffer.allocUnsafeSlow(HEADROOM_BYTES + READ_BYTES));
      this.ownAt = 0;
      this.room = null;
    }
    this.room ??= this.own.subarray(this.ownAt + HEADROOM_BYTES);
    return this.room;
  }
}

/** The read buffers of sockets, for their sessions; a socket that has none reads in Node's own way. */
export const readBuffers = new WeakMap<net.Socket, SharedReadBuffer>();

interface WithHandle {
  _handle: { readonly readStart?: unknown; useUserBuffer?(buffer: Buffer): unknown } | null;
}

/**
 * An accepted socket (from a server with `pauseOnConnect`), made to read through a port. Node offers `onread` to
 * sockets that connect only, so the handle is moved to a new socket; a Node without these internals gets its socket
 * back as it was.
 */
export function withReadBuffer(accepted: net.Socket): net.Socket {
  const holder = accepted as unknown as WithHandle;
  const handle = holder._handle;
  if (handle === null || handle === undefined || typeof handle.useUserBuffer !== 'function') {
    accepted.resume();
    return accepted;
  }
  const port = new SharedReadBuffer('bytes');
  const options = { handle, onread: port.onread } as unknown as net.SocketConstructorOpts;
  const socket = new net.Socket(options);
  holder._handle = null;
  accepted.removeAllListeners();
  readBuffers.set(socket, port);
  socket.read(0);
  return socket;
}

/** Where a socket of Node has what it was given as `onread`: properties under symbols of these names. */
const PLACES = ['kBuffer', 'kBufferGen', 'kBufferCb'] as const;

/**
 * Makes an accepted socket whose TLS handshake has just ended read through a port. Its handle belongs to OpenSSL's session
 * and cannot be moved, so the port is put where Node would have put the `onread` of a socket that connects; with a Node
 * without these internals, the socket goes on as it is.
 */
export function readRecordsInto(socket: TLSSocket): void {
  const { _handle: handle } = socket as unknown as WithHandle;
  const places = placesOf(socket);
  if (typeof handle?.useUserBuffer !== 'function' || places === null) return;
  const port = new SharedReadBuffer('records');
  const early: unknown = socket.read();
  if (Buffer.isBuffer(early)) port.hasRead(ownBuffer(early));
  const { buffer: next, callback } = port.onread;
  const first = next();
  handle.useUserBuffer(first);
  Object.assign(socket, {
    [places.kBuffer]: first,
    [places.kBufferGen]: next,
    [places.kBufferCb]: callback,
  });
  readBuffers.set(socket, port);
}

/** The symbols of these properties; null: they are not there, or in use. */
function placesOf(socket: net.Socket): Readonly<Record<(typeof PLACES)[number], symbol>> | null {
  const symbols = Object.getOwnPropertySymbols(socket);
  const [kBuffer, kBufferGen, kBufferCb] = PLACES.map((name) =>
    symbols.find((symbol) => symbol.description === name),
  );
  if (kBuffer === undefined || kBufferGen === undefined || kBufferCb === undefined) return null;
  const isInUse = (socket as unknown as Readonly<Record<symbol, unknown>>)[kBuffer] !== null;
  return isInUse ? null : { kBuffer, kBufferGen, kBufferCb };
}
