import net from 'node:net';

const READ_BYTES = 128 * 1024;
/** A read of this size or more makes the socket read in bulk, until so many smaller ones have followed. */
const BULK_BYTES = 32 * 1024;
const PATIENCE = 8;
/** Small reads share buffers of this size; see chunk-list.ts for what may be pinned. */
const SLAB_BYTES = 16 * 1024;

/** Free octets in front of a large read: what begins inside a frame gets a header there when it is sent on. */
const HEADROOM_BYTES = 9;

const incoming = Buffer.allocUnsafeSlow(READ_BYTES);
let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let slabAt = 0;

/**
 * Octets `[0, n)` of `source`, a quarter of a slab at most, in a buffer that stays valid when `source` is read into again.
 */
function copyToSlab(source: Buffer, n: number): Buffer {
  if (slabAt + n > SLAB_BYTES) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    slabAt = 0;
  }
  const kept = slab.subarray(slabAt, slabAt + n);
  kept.set(source.subarray(0, n));
  slabAt += n;
  return kept;
}

/** The same in a buffer of its own, behind free octets. */
function copyWithHeadroom(source: Buffer, n: number): Buffer {
  const own = Buffer.allocUnsafeSlow(HEADROOM_BYTES + n);
  source.copy(own, HEADROOM_BYTES, 0, n);
  return own;
}

/** Takes over what was read: octets from `start` to the end of `chunk`. What is before them may be written over. */
export type TakeRead = (chunk: Buffer, start: number) => void;

/**
 * Reads without an allocation per read: all sockets read into one buffer, which is handled, synchronously, before the
 * next read. What was read is copied next to earlier small reads, so that it may be kept. A socket that reads much at a
 * time gets buffers of its own for as long as it does, and what it reads is not copied at all. (Node's own way is a new 64
 * KiB buffer for every read, cut down afterwards.) Made before the socket, given to it as `onread`, and to the session
 * as its source.
 */
export class SharedReadBuffer {
  private take: TakeRead | undefined;
  private early: Buffer[] = [];
  /** A buffer of this socket's alone, while it reads in bulk; what is read into it is handed on where it lies. */
  private own: Buffer | null = null;
  /** Of it, the part behind the headroom, which the socket has. */
  private room: Buffer | null = null;
  /** Small reads that may follow before it is given up; 0: the socket does not read in bulk. */
  private patience = 0;

  readonly onread = {
    buffer: (): Buffer => this.nextBuffer(),
    callback: (n: number, buffer: Uint8Array): boolean => {
      this.onRead(n, buffer);
      return true;
    },
  };

  /** From now on `take` gets every chunk, those first that came before. */
  deliver(take: TakeRead): void {
    this.take = take;
    for (const chunk of this.early.splice(0)) take(chunk, 0);
  }

  private onRead(n: number, buffer: Uint8Array): void {
    const source = buffer === this.room ? this.room : incoming;
    if (n >= BULK_BYTES) this.patience = PATIENCE;
    else if (this.patience > 0) this.patience--;
    if (this.take === undefined) this.early.push(Buffer.from(source.subarray(0, n)));
    else if (n <= SLAB_BYTES / 4) this.take(copyToSlab(source, n), 0);
    else if (n < BULK_BYTES || source === incoming) this.take(copyWithHeadroom(source, n), HEADROOM_BYTES);
    else {
      const chunk = this.own!.subarray(0, HEADROOM_BYTES + n);
      this.own = null;
      this.take(chunk, HEADROOM_BYTES);
    }
  }

  /** Asked for after every read. */
  private nextBuffer(): Buffer {
    if (this.patience === 0) {
      this.own = null;
      this.room = null;
      return incoming;
    }
    if (this.own === null) {
      this.own = Buffer.allocUnsafeSlow(HEADROOM_BYTES + READ_BYTES);
      this.room = this.own.subarray(HEADROOM_BYTES);
    }
    return this.room!;
  }
}

/** The read buffers of sockets, for their sessions; a socket that has none reads in Node's own way. */
export const readBuffers = new WeakMap<net.Socket, SharedReadBuffer>();

interface WithHandle {
  _handle: { readonly readStart?: unknown; readonly useUserBuffer?: unknown } | null;
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
  const port = new SharedReadBuffer();
  const options = { handle, onread: port.onread } as unknown as net.SocketConstructorOpts;
  const socket = new net.Socket(options);
  holder._handle = null;
  accepted.removeAllListeners();
  readBuffers.set(socket, port);
  socket.read(0);
  return socket;
}
