import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How many connections a server has at most. */
export interface PlaceLimits {
  readonly all: number;
  /** From one address; a Unix socket has none. Default: as many as in all. */
  readonly ofPeer?: number;
  /** A connection that waits, and on which nothing moves, is closed after this time, ms. */
  readonly idleMs: number;
}

/** One connection: the address of its peer, and requests that are being answered. */
interface Place {
  readonly peer: string;
  requests: number;
}

/**
 * The connections of an HTTP server. When all places are taken, a new connection gets the place of the one that has waited
 * longest: for the rest of a request, for the next one, or for its peer to read the answer. So connections that are slow
 * on purpose keep nobody out. A connection whose request is being answered, such as a tap or a drain, is never closed;
 * only where these take every place, the new connection is refused.
 */
export class ConnectionPlaces {
  private readonly places = new Map<Socket, Place>();
  /** Those that wait, the longest one first. */
  private readonly waiting = new Set<Socket>();
  private readonly ofPeer = new Map<string, number>();

  constructor(
    server: Server,
    private readonly limits: PlaceLimits,
  ) {
    server.on('connection', (socket: Socket) => this.add(socket));
    server.on('request', ({ socket }, response) => this.onRequest(socket, response));
    server.setTimeout(limits.idleMs, (socket: Socket) => {
      if (this.waiting.has(socket)) socket.destroy();
    });
  }

  get sockets(): Iterable<Socket> {
    return this.places.keys();
  }

  private add(socket: Socket): void {
    const { all, ofPeer = all } = this.limits;
    const peer = socket.remoteAddress ?? '';
    const isPeerFull = peer !== '' && (this.ofPeer.get(peer) ?? 0) >= ofPeer;
    const isFull = isPeerFull || this.places.size >= all;
    if (isFull && !this.evict(isPeerFull ? peer : undefined)) return void socket.destroy();
    this.places.set(socket, { peer, requests: 0 });
    this.waiting.add(socket);
    this.ofPeer.set(peer, (this.ofPeer.get(peer) ?? 0) + 1);
    socket.once('close', () => this.remove(socket));
  }

  /** Closes the connection that has waited longest, of this peer where one is named. False: none waits. */
  private evict(peer: string | undefined): boolean {
    for (const socket of this.waiting) {
      if (peer !== undefined && this.places.get(socket)?.peer !== peer) continue;
      socket.destroy();
      this.remove(socket);
      return true;
    }
    return false;
  }

  private onRequest(socket: Socket, response: ServerResponse): void {
    const place = this.places.get(socket);
    if (place === undefined) return;
    place.requests++;
    this.waiting.delete(socket);
    let isOver = false;
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      place.requests--;
      if (place.requests === 0 && this.places.has(socket)) this.waiting.add(socket);
    };
    // The whole answer is written; whether its peer reads it is another matter.
    response.once('prefinish', over).once('close', over);
  }

  private remove(socket: Socket): void {
    const place = this.places.get(socket);
    if (place === undefined) return;
    this.places.delete(socket);
    this.waiting.delete(socket);
    const left = (this.ofPeer.get(place.peer) ?? 1) - 1;
    if (left > 0) this.ofPeer.set(place.peer, left);
    else this.ofPeer.delete(place.peer);
  }
}
