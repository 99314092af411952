import net from 'node:net';

const READ_BYTES = 64 * 1024;
/** Small reads share buffers of this size; see chunk-list.ts for what may be pinned. */
const SLAB_BYTES = 16 * 1024;

const incoming = Buffer.allocUnsafeSlow(READ_BYTES);
let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let slabAt = 0;

/** Octets `[0, n)` of `source`, as a buffer that stays valid when `source` is read into again. */
function copyToSlab(source: Buffer, n: number): Buffer {
  if (n > SLAB_BYTES / 4) {
    const own = Buffer.allocUnsafeSlow(n);
    source.copy(own, 0, 0, n);
    return own;
  }
  if (slabAt + n > SLAB_BYTES) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    slabAt = 0;
  }
  const kept = slab.subarray(slabAt, slabAt + n);
  kept.set(source.subarray(0, n));
  slabAt += n;
  return kept;
}

/**
 * Reads without an allocation per read: all sockets read into one buffer, which is handled, synchronously, before the
 * next read. What was read is copied next to earlier small reads, so that it may be kept. A socket that fills the buffer
 * gets buffers of its own for as long as it does, and what it reads is not copied at all. (Node's own way is a new 64
 * KiB buffer for every read, cut down afterwards.) Made before the socket, given to it as `onread`, and to the session
 * as its source.
 */
export class SharedReadBuffer {
  private take: ((chunk: Buffer) => void) | undefined;
  private early: Buffer[] = [];
  /** A buffer of this socket's alone, while it reads in bulk; what is read into it is handed on where it lies. */
  private own: Buffer | null = null;
  private isBulk = false;

  readonly onread = {
    buffer: (): Buffer => this.nextBuffer(),
    callback: (n: number, buffer: Uint8Array): boolean => {
      const chunk = this.chunkOf(n, buffer);
      if (this.take !== undefined) this.take(chunk);
      else this.early.push(chunk);
      return true;
    },
  };

  /** From now on `take` gets every chunk, those first that came before. */
  deliver(take: (chunk: Buffer) => void): void {
    this.take = take;
    for (const chunk of this.early.splice(0)) take(chunk);
  }

  private chunkOf(n: number, buffer: Uint8Array): Buffer {
    if (buffer !== this.own) {
      this.isBulk = n === READ_BYTES;
      return copyToSlab(incoming, n);
    }
    this.isBulk = n > READ_BYTES / 4;
    return this.isBulk ? this.own.subarray(0, n) : copyToSlab(this.own, n);
  }

  /** Asked for after every read. */
  private nextBuffer(): Buffer {
    this.own = this.isBulk ? Buffer.allocUnsafeSlow(READ_BYTES) : null;
    return this.own ?? incoming;
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
