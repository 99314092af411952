/**
 * Reading without an allocation per read: all sockets read into one buffer, which is handled, synchronously, before
 * the next read. What was read is copied next to earlier small reads, so that it may be kept; a large read is copied
 * into a buffer of its own. (Node's own way is a fresh 64 KiB buffer for every read, cut down afterwards.)
 */

import net from 'node:net';

const READ_BYTES = 64 * 1024;
/** Small reads share buffers of this size; see pieces.ts for what may be pinned. */
const SHELF_BYTES = 16 * 1024;

const incoming = Buffer.allocUnsafeSlow(READ_BYTES);
let shelf = Buffer.allocUnsafeSlow(SHELF_BYTES);
let shelfAt = 0;

/** Octets `[0, n)` of the read buffer, as a buffer that stays valid. */
function keep(n: number): Buffer {
  if (n > SHELF_BYTES / 4) {
    const own = Buffer.allocUnsafeSlow(n);
    incoming.copy(own, 0, 0, n);
    return own;
  }
  if (shelfAt + n > SHELF_BYTES) {
    shelf = Buffer.allocUnsafeSlow(SHELF_BYTES);
    shelfAt = 0;
  }
  const kept = shelf.subarray(shelfAt, shelfAt + n);
  kept.set(incoming.subarray(0, n));
  shelfAt += n;
  return kept;
}

/** Where a socket's octets go: made before the socket, given to it as `onread`, and to the link as its source. */
export class ReadPort {
  private take: ((chunk: Buffer) => void) | undefined;
  private early: Buffer[] = [];

  readonly onread = {
    buffer: incoming,
    callback: (n: number): boolean => {
      const chunk = keep(n);
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
}

/** Sockets that read through a port. */
const ports = new WeakMap<net.Socket, ReadPort>();

export function portOf(socket: net.Socket): ReadPort | undefined {
  return ports.get(socket);
}

export function register(socket: net.Socket, port: ReadPort): void {
  ports.set(socket, port);
}

interface WithHandle {
  _handle: { readonly readStart?: unknown; readonly useUserBuffer?: unknown } | null;
}

/**
 * An accepted socket (from a server with `pauseOnConnect`), made to read through a port. Node offers `onread` to
 * sockets that connect only, so the handle is moved to a new socket; a Node without these internals gets its socket
 * back as it was.
 */
export function withPort(accepted: net.Socket): net.Socket {
  const holder = accepted as unknown as WithHandle;
  const handle = holder._handle;
  if (handle === null || handle === undefined || typeof handle.useUserBuffer !== 'function') {
    accepted.resume();
    return accepted;
  }
  const port = new ReadPort();
  const options = { handle, onread: port.onread } as unknown as net.SocketConstructorOpts;
  const socket = new net.Socket(options);
  holder._handle = null;
  accepted.removeAllListeners();
  register(socket, port);
  socket.read(0);
  return socket;
}
