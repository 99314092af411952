import type net from 'node:net';
import type { LimitName } from '../http2/limits.js';
import { WheelTimer } from '../runtime/time/timing-wheel.js';
import { ClientHello } from './client-hello.js';
import type { DataPlaneContext } from './context.js';

/** A connection whose ClientHello is awaited. */
interface Silent {
  readonly timer: WheelTimer;
  readonly hello: ClientHello;
  /** Of the memory budget, bytes. */
  held: number;
  readonly onData: (chunk: Buffer) => void;
}

/**
 * Connections of a TLS listener that have not sent a complete ClientHello. They have cost no handshake and have no identity,
 * so they count apart from all others: many of them take neither the connections nor the handshakes of peers that speak.
 * When there are too many, the one that has been silent longest is closed.
 */
export class SilentConnections {
  /** Oldest first. */
  private readonly silent = new Map<net.Socket, Silent>();

  /** @param most silent connections at once. @param timeoutMs until the ClientHello is complete, ms. */
  constructor(
    private readonly most: number,
    private readonly timeoutMs: number,
    private readonly context: DataPlaneContext,
  ) {}

  get size(): number {
    return this.silent.size;
  }

  /**
   * Waits until it is known whether the connection begins with a ClientHello. What was read stays in the socket, paused. A
   * socket that ends before is forgotten.
   */
  add(socket: net.Socket, onHello: (hello: ClientHello) => void): void {
    if (this.silent.size >= this.most) this.dropOldest('silent-connections');
    const timer = new WheelTimer(() => this.timeOut(socket), { giveUp: () => socket.destroy() });
    const onData = (chunk: Buffer): void => this.read(socket, chunk, onHello);
    this.silent.set(socket, { timer, hello: new ClientHello(), held: 0, onData });
    this.context.wheel.add(timer, this.context.clock.now() + this.timeoutMs);
    socket.once('close', () => this.remove(socket));
    socket.on('data', onData);
  }

  private read(socket: net.Socket, chunk: Buffer, onHello: (hello: ClientHello) => void): void {
    const silent = this.silent.get(socket);
    if (silent === undefined) return;
    const { hello } = silent;
    const state = hello.add(chunk);
    if (state === 'incomplete') {
      const more = hello.heldBytes - silent.held;
      if (more > 0 && !this.context.memory.reserve(more)) return this.drop(socket, 'silent-connections');
      silent.held += more;
      return;
    }
    this.remove(socket);
    socket.pause();
    socket.unshift(hello.read);
    onHello(hello);
  }

  private remove(socket: net.Socket): void {
    const silent = this.silent.get(socket);
    if (silent === undefined) return;
    this.context.wheel.cancel(silent.timer);
    this.context.memory.release(silent.held);
    socket.off('data', silent.onData);
    this.silent.delete(socket);
  }

  private timeOut(socket: net.Socket): void {
    this.context.stats.countLimit('handshake-timeout');
    this.context.stats.countHandshakeFailure('handshake-timeout');
    socket.destroy();
  }

  /** Closes the one that has been silent longest, for want of a descriptor. False: there is none. */
  giveUpDescriptor(): boolean {
    if (this.silent.size === 0) return false;
    this.dropOldest('descriptors');
    return true;
  }

  private dropOldest(limit: LimitName): void {
    const [oldest] = this.silent.keys();
    if (oldest !== undefined) this.drop(oldest, limit);
  }

  private drop(socket: net.Socket, limit: LimitName): void {
    this.context.stats.countLimit(limit);
    this.remove(socket);
    socket.destroy();
  }
}
