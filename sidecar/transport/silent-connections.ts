import type net from 'node:net';
import type { TLSSocket } from 'node:tls';
import { WheelTimer } from '../runtime/time/timing-wheel.js';
import type { DataPlaneContext } from './context.js';

/**
 * Connections of a TLS listener on which nothing has come yet. They have cost no handshake and have no identity, so they
 * count apart from all others: many of them take neither the connections nor the handshakes of peers that speak. When
 * there are too many, the one that has been silent longest is closed.
 */
export class SilentConnections {
  /** Oldest first. */
  private readonly silent = new Map<net.Socket, WheelTimer>();

  /** @param most silent connections at once. @param timeoutMs until the first octet, ms. */
  constructor(
    private readonly most: number,
    private readonly timeoutMs: number,
    private readonly context: DataPlaneContext,
  ) {}

  get size(): number {
    return this.silent.size;
  }

  /**
   * Waits until `socket`, which is paused, has something to read, and reads nothing: a TLS handshake can begin on it as if it had
   * just been accepted. The end of the connection counts as something. False: this Node cannot, and nothing was done.
   */
  addUnread(socket: net.Socket, onArrival: () => void): boolean {
    const isWatched = watchArrival(socket, () => {
      this.remove(socket);
      onArrival();
    });
    if (isWatched) this.add(socket);
    return isWatched;
  }

  /** Reads what has arrived on a socket of `addUnread`, as `addReading` does. */
  addArrived(socket: net.Socket, onFirst: (octet: number) => void): void {
    this.add(socket);
    readArrived(socket, (octet) => {
      this.remove(socket);
      onFirst(octet);
    });
  }

  /**
   * Reads the first octet of `socket`, which is paused; it is reported and stays in the socket, paused. A socket that ends before
   * is forgotten.
   */
  addReading(socket: net.Socket, onFirst: (octet: number) => void): void {
    this.add(socket);
    socket.once('data', (first: Buffer) => {
      this.remove(socket);
      socket.pause();
      socket.unshift(first);
      onFirst(first[0]!);
    });
    socket.resume();
  }

  private add(socket: net.Socket): void {
    if (this.silent.size >= this.most) this.dropOldest();
    const timer = new WheelTimer(() => this.timeOut(socket));
    this.silent.set(socket, timer);
    this.context.wheel.add(timer, this.context.clock.now() + this.timeoutMs);
    socket.once('close', () => this.remove(socket));
  }

  private remove(socket: net.Socket): void {
    const timer = this.silent.get(socket);
    if (timer === undefined) return;
    this.context.wheel.cancel(timer);
    this.silent.delete(socket);
  }

  private timeOut(socket: net.Socket): void {
    this.context.stats.countLimit('handshake-timeout');
    this.context.stats.countHandshakeFailure('handshake-timeout');
    socket.destroy();
  }

  private dropOldest(): void {
    const [oldest] = this.silent.keys();
    if (oldest === undefined) return;
    this.context.stats.countLimit('silent-connections');
    this.remove(oldest);
    oldest.destroy();
  }
}

/** What of a socket's handle is used here; all of it is undocumented. */
interface Handle {
  readonly bytesRead: number;
  onread: () => void;
  readStart(): unknown;
  readStop(): unknown;
  useUserBuffer(buffer: Buffer): unknown;
}

const NO_ROOM = Buffer.alloc(0);
/** The first octets of a handshake; the others are read by the TLS session. */
const FIRST_BYTES = 1024;

/**
 * Calls `onArrival` once when `socket` has something to read, and leaves it there. False: this Node has not what it needs, and
 * nothing was done.
 *
 * A socket that gave its first octets to JavaScript and got them back is slow ever after: Node hands them to OpenSSL in a first
 * input buffer of their size, 1 KiB, and by turns reads into this one and one of 16 KiB, where it would have read 64 KiB at once.
 * Node has no event for readable sockets that are not read, but a read into a buffer without room is refused before it begins
 * (libuv: ENOBUFS), once there is something to read. The buffer of the TLS session takes the place of this one.
 */
export function watchArrival(socket: net.Socket, onArrival: () => void): boolean {
  const handle = handleOf(socket);
  if (handle === null) return false;
  readOnce(handle, NO_ROOM, onArrival);
  return true;
}

/** Reads the first octets of a watched socket on which something has arrived; one that has only ended is closed. */
function readArrived(socket: net.Socket, onFirst: (octet: number) => void): void {
  const handle = handleOf(socket);
  if (handle === null) return void socket.destroy();
  const first = Buffer.alloc(FIRST_BYTES);
  const before = handle.bytesRead;
  readOnce(handle, first, () => {
    const n = handle.bytesRead - before;
    if (n === 0) return void socket.destroy();
    socket.unshift(first.subarray(0, n));
    onFirst(first[0]!);
  });
}

/** One read into `buffer`, whatever comes of it; then the handle is as it was, but for its buffer. */
function readOnce(handle: Handle, buffer: Buffer, then: () => void): void {
  const { onread } = handle;
  handle.useUserBuffer(buffer);
  handle.onread = () => {
    handle.readStop();
    handle.onread = onread;
    then();
  };
  handle.readStart();
}

/** The handle of an open socket; null: it has none, or another Node gave it another one. */
function handleOf(socket: net.Socket): Handle | null {
  const { _handle: handle } = socket as unknown as { readonly _handle: Partial<Handle> | null };
  const methods = [handle?.useUserBuffer, handle?.readStart, handle?.readStop, handle?.onread];
  const isKnown = methods.every((each) => typeof each === 'function') && handle?.bytesRead !== undefined;
  return isKnown ? (handle as Handle) : null;
}

/** Whether the peer of a failed handshake has sent nothing at all. */
export function saidNothing(socket: TLSSocket): boolean {
  const { _parent: below } = socket as unknown as { readonly _parent?: net.Socket | null };
  return below?.bytesRead === 0;
}
