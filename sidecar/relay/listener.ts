/**
 * Accepts connections on TCP or a Unix socket, plain or TLS, within limits: how many, how often, and how long a
 * newcomer may take to say who it is. What a connection carries is its handler's business.
 */

import net from 'node:net';
import tls from 'node:tls';
import type { Address } from '../config/model.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { Meter } from '../http2/limits.js';
import type { LocalSettings } from '../http2/settings.js';
import type { Stream } from '../http2/stream.js';
import { ListenSockets } from '../runtime/listen-sockets.js';
import { WheelEntry } from '../runtime/timing-wheel.js';
import { Link, type LinkHost } from './link.js';
import { withPort } from './read-port.js';
import type { Relay } from './relay.js';

export interface ListenerLimits {
  readonly maxConnections: number;
  readonly handshakeTimeoutMs: number;
  readonly handshakesPerSecond: number;
  /** Sockets with this descriptor or a higher one are refused: what is left is for connections of our own. Absent: none is. */
  readonly firstReservedDescriptor?: number;
}

/** TLS of a listener. `server` keeps its context current; `admit` judges a peer after each handshake. */
export interface ListenerTls {
  readonly options: tls.TlsOptions;
  /** Called with the server, so that rotation can reach it. Returns how to stop. */
  attach(server: tls.Server): () => void;
  /** Who the peer is, or why it may not come in. */
  admit(socket: tls.TLSSocket): { readonly identity: unknown } | { readonly refused: string };
  /** Why a handshake failed, as a stable short name. */
  fault(error: Error, socket: tls.TLSSocket): string;
  /** `true`: peers that do not begin with a TLS handshake are let in as well, without identity. */
  readonly alsoPlaintext: boolean;
}

export interface ListenerOptions {
  readonly address: Address;
  readonly settings: LocalSettings;
  readonly limits: ListenerLimits;
  readonly tls?: ListenerTls;
  /** Where its socket may come from, and by which name. Absent: it makes one. */
  readonly socket?: { readonly name: string; readonly from: ListenSockets };
  onStream(link: Link, stream: Stream, block: HeaderBlock, ended: boolean): void;
}

/** A frame or header block that has begun must be whole after this long. */
const STALLED_FRAME_MS = 10_000;
/** That descriptors run short is logged once in this time. */
const SHORTAGE_GAP_MS = 60_000;
/**
 * First GOAWAY to second: at least this long, and until a PING that followed the first has come back, because a peer that
 * stands still has not read it and opens streams meanwhile. A peer that answers none is waited for this long.
 */
const GOAWAY_GAP_MS = 250;
const GOAWAY_UNHEARD_MS = 3_000;

export class Listener implements LinkHost {
  readonly links = new Set<Link>();
  private readonly plain: net.Server;
  private readonly sockets: ListenSockets;
  private readonly secure: tls.Server | undefined;
  private readonly detach: (() => void) | undefined;
  private readonly guards = new Map<Link, Guard>();
  private readonly handshakes: Meter;
  /** Sockets of a TLS listener from accept to close: those that are still to say who they are, and those under links. */
  private readonly raw = new Set<net.Socket>();
  private isDraining = false;
  private shortageToldMs = Number.NEGATIVE_INFINITY;
  private onEmpty: (() => void) | undefined;

  constructor(
    private readonly options: ListenerOptions,
    private readonly relay: Relay,
  ) {
    const perSecond = options.limits.handshakesPerSecond;
    this.sockets = options.socket?.from ?? new ListenSockets();
    this.handshakes = new Meter({ burst: perSecond, perSecond });
    this.plain = net.createServer({ noDelay: true, pauseOnConnect: options.tls === undefined }, (socket) =>
      this.onSocket(socket),
    );
    if (options.tls) {
      this.secure = tls.createServer({
        ...options.tls.options,
        handshakeTimeout: options.limits.handshakeTimeoutMs,
      });
      this.detach = options.tls.attach(this.secure);
      this.secure.on('secureConnection', (socket) => this.onSecure(socket));
      this.secure.on('tlsClientError', (error, socket) => this.onTlsError(error, socket));
    }
  }

  /** Resolves with the bound address; rejects with the system's error (EADDRINUSE, EACCES). */
  listen(): Promise<Address> {
    const { address, socket } = this.options;
    return this.sockets.listen(socket?.name ?? '', this.plain, address).then((bound) => {
      this.plain.on('error', (error) => this.relay.logger.warn({ error: error.message }, 'listener error'));
      return bound;
    });
  }

  /** Judges every connection again; those that `keep` refuses are closed. */
  review(keep: (link: Link) => boolean): void {
    for (const link of [...this.links]) if (!keep(link)) link.close('no longer trusted');
  }

  /** Tells every peer to go (two-phase GOAWAY) and goes on accepting: what these connections were made with is over. */
  renew(): void {
    for (const link of this.links) this.retire(link);
  }

  /** Stops accepting, tells every peer to go (two-phase GOAWAY), and resolves when the last call has ended. */
  drain(): Promise<void> {
    if (!this.isDraining) {
      this.isDraining = true;
      this.sockets.close(this.plain);
      for (const link of this.links) this.retire(link);
    }
    if (this.links.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const before = this.onEmpty;
      this.onEmpty = () => {
        before?.();
        resolve();
      };
    });
  }

  /** Ends everything now. */
  stop(): void {
    this.isDraining = true;
    this.sockets.close(this.plain);
    this.detach?.();
    for (const link of [...this.links]) link.destroy('stopped');
    for (const socket of this.raw) socket.destroy();
  }

  // ---- LinkHost ----

  onStream(link: Link, stream: Stream, block: HeaderBlock, ended: boolean): void {
    this.options.onStream(link, stream, block, ended);
  }

  onAlive(_link: Link): void {}

  onGoaway(link: Link): void {
    // A client that is leaving: nothing to do but to let its calls end.
    if (link.inFlight === 0) link.close('the client said GOAWAY');
  }

  onRoom(link: Link): void {
    if (link.isRetiring && link.inFlight === 0 && !link.isDown) {
      const guard = this.guards.get(link);
      if (guard === undefined || guard.phase !== 'goaway') link.close('drained');
    }
  }

  onDown(link: Link, _reason: string): void {
    this.links.delete(link);
    const guard = this.guards.get(link);
    if (guard !== undefined) this.relay.wheel.cancel(guard);
    this.guards.delete(link);
    this.relay.tally.connectionsOpen--;
    if (this.links.size === 0) this.onEmpty?.();
  }

  // ---- accepting ----

  private onSocket(socket: net.Socket): void {
    socket.on('error', ignore);
    if (this.isDraining) return void socket.destroy();
    if (descriptorOf(socket) >= (this.options.limits.firstReservedDescriptor ?? Number.POSITIVE_INFINITY))
      return this.refuseForShortage(socket);
    const open = this.secure === undefined ? this.links.size : this.raw.size;
    if (open >= this.options.limits.maxConnections) {
      this.relay.tally.limit('connections');
      return void socket.destroy();
    }
    if (this.secure === undefined) return this.accept(withPort(socket), null);
    if (!this.handshakes.take(this.relay.clock.now())) {
      this.relay.tally.limit('handshake-rate');
      return void socket.destroy();
    }
    this.raw.add(socket);
    socket.once('close', () => this.raw.delete(socket));
    if (this.options.tls?.alsoPlaintext) this.sniff(socket);
    else this.secure.emit('connection', socket);
  }

  /** Those inside keep what they have, and so do our own connections. */
  private refuseForShortage(socket: net.Socket): void {
    socket.destroy();
    this.relay.tally.limit('descriptors');
    const now = this.relay.clock.now();
    if (now < this.shortageToldMs + SHORTAGE_GAP_MS) return;
    this.shortageToldMs = now;
    this.relay.logger.warn(
      { reserved: this.options.limits.firstReservedDescriptor },
      'nearly out of file descriptors: new connections are refused (raise the limit: ulimit -n, LimitNOFILE=)',
    );
  }

  /** Migration mode: the first octet tells a TLS handshake (22) from an HTTP/2 preface. */
  private sniff(socket: net.Socket): void {
    const impatience = new Impatience(socket, this.relay);
    this.relay.wheel.add(impatience, this.relay.clock.now() + this.options.limits.handshakeTimeoutMs);
    socket.once('close', () => this.relay.wheel.cancel(impatience));
    socket.once('data', (first: Buffer) => {
      this.relay.wheel.cancel(impatience);
      socket.pause();
      socket.unshift(first);
      if (first[0] === 22) this.secure?.emit('connection', socket);
      else this.accept(socket, null);
      socket.resume();
    });
  }

  private onSecure(socket: tls.TLSSocket): void {
    socket.on('error', ignore);
    const verdict = this.options.tls!.admit(socket);
    if ('refused' in verdict) {
      this.relay.tally.handshakeFailed(verdict.refused);
      this.relay.logger.info({ reason: verdict.refused }, 'peer refused');
      socket.destroy();
      return;
    }
    this.accept(socket, verdict.identity);
  }

  private onTlsError(error: Error, socket: tls.TLSSocket): void {
    socket.on('error', ignore);
    const reason = this.options.tls!.fault(error, socket);
    this.relay.tally.handshakeFailed(reason);
    if (reason === 'handshake-timeout') this.relay.tally.limit('handshake-timeout');
    socket.destroy();
  }

  /** Takes a connected socket whose peer is known as far as it will be: one accepted here, or handed over. */
  accept(socket: net.Socket, identity: unknown): void {
    if (socket.destroyed) return;
    // Its handshake took until the drain had begun.
    if (this.isDraining) return void socket.destroy();
    const link = new Link(socket, 'server', this.options.settings, this, this.relay);
    link.identity = identity;
    this.links.add(link);
    this.relay.tally.connectionsAccepted++;
    this.relay.tally.connectionsOpen++;
    const guard = new Guard(link, this);
    this.guards.set(link, guard);
    this.relay.wheel.add(guard, this.relay.clock.now() + this.options.limits.handshakeTimeoutMs);
  }

  private retire(link: Link): void {
    if (link.isDown) return;
    link.isRetiring = true;
    link.connection.announceGoaway();
    const guard = this.guards.get(link)!;
    const now = this.relay.clock.now();
    guard.phase = 'goaway';
    guard.secondFromMs = now + GOAWAY_GAP_MS;
    guard.secondByMs = now + GOAWAY_UNHEARD_MS;
    this.relay.wheel.add(guard, guard.secondFromMs);
    link.ping(() => this.heardGoaway(guard));
  }

  private heardGoaway(guard: Guard): void {
    guard.isHeard = true;
    if (guard.phase !== 'goaway') return;
    this.relay.wheel.add(guard, Math.max(this.relay.clock.now(), guard.secondFromMs));
  }

  /** @internal The guard's time has come. */
  check(guard: Guard): void {
    const link = guard.link;
    const now = this.relay.clock.now();
    const connection = link.connection;
    if (guard.phase === 'handshake') {
      if (!connection.state.gotSettings || !connection.state.settingsAcked) {
        this.relay.tally.limit('handshake-timeout');
        link.destroy('no preface, SETTINGS or acknowledgement in time');
        return;
      }
      guard.phase = 'watch';
    } else if (guard.phase === 'goaway') {
      if (!guard.isHeard && now < guard.secondByMs) {
        this.relay.wheel.add(guard, guard.secondByMs);
        return;
      }
      guard.phase = 'drain';
      connection.finalGoaway();
      if (link.inFlight === 0) link.close('drained');
      return;
    }
    guard.look(now);
  }

  /** @internal A frame has been standing half-read. */
  stalled(link: Link): void {
    this.relay.tally.limit('stalled-frame');
    link.destroy('a frame was begun and not finished');
  }
}

/** Watches one connection: the handshake, then frames that never end; sleeps when nothing is pending. */
class Guard extends WheelEntry {
  phase: 'handshake' | 'watch' | 'goaway' | 'drain' = 'handshake';
  /** When the second GOAWAY may be sent to a peer that has read the first, and when to any. */
  secondFromMs = 0;
  secondByMs = 0;
  /** The peer has answered the PING that followed the first. */
  isHeard = false;
  private midFrameSinceMs = 0;

  constructor(
    readonly link: Link,
    private readonly listener: Listener,
  ) {
    super();
  }

  fire(): void {
    if (!this.link.isDown) this.listener.check(this);
  }

  /** Called again as long as there is something to watch. */
  look(nowMs: number): void {
    const wheel = this.link.relay.wheel;
    const unfinishedMs = this.link.connection.unfinishedSinceMs;
    if (unfinishedMs > 0 && nowMs - unfinishedMs >= STALLED_FRAME_MS) return this.listener.stalled(this.link);
    if (this.link.connection.isMidFrame) {
      if (this.midFrameSinceMs === 0) this.midFrameSinceMs = nowMs;
      else if (nowMs - this.midFrameSinceMs >= STALLED_FRAME_MS && nowMs - this.link.lastReadMs >= 1000) {
        return this.listener.stalled(this.link);
      }
    } else {
      this.midFrameSinceMs = 0;
    }
    if (this.link.inFlight > 0 || this.midFrameSinceMs > 0) wheel.add(this, nowMs + STALLED_FRAME_MS / 2);
    else wheel.add(this, nowMs + 60_000);
  }
}

class Impatience extends WheelEntry {
  constructor(
    private readonly socket: net.Socket,
    private readonly relay: Relay,
  ) {
    super();
  }
  fire(): void {
    this.relay.tally.limit('handshake-timeout');
    this.socket.destroy();
  }
}

/** −1 where the system has none. */
function descriptorOf(socket: net.Socket): number {
  const { _handle } = socket as unknown as { readonly _handle: { readonly fd?: number } | null };
  return _handle?.fd ?? -1;
}

function ignore(): void {}
