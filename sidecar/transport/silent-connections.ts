import type net from 'node:net';
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

  /** Waits for the first octet, which is reported and stays in the socket, paused. A socket that ends before is forgotten. */
  add(socket: net.Socket, onFirst: (octet: number) => void): void {
    if (this.silent.size >= this.most) this.dropOldest();
    const timer = new WheelTimer(() => this.timeOut(socket));
    this.silent.set(socket, timer);
    this.context.wheel.add(timer, this.context.clock.now() + this.timeoutMs);
    socket.once('close', () => this.remove(socket));
    socket.once('data', (first: Buffer) => {
      this.remove(socket);
      socket.pause();
      socket.unshift(first);
      onFirst(first[0]!);
    });
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
