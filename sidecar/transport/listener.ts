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
import { ListenSockets } from '../runtime/process/listen-sockets.js';
import { WheelEntry } from '../runtime/time/timing-wheel.js';
import type { DataPlaneContext } from './context.js';
import { logLimit } from './limit-log.js';
import { Session, type SessionHandler } from './session.js';
import { withPort } from './shared-read-buffer.js';
import { Arrivals } from './silent-connections.js';

export interface ListenerLimits {
  readonly maxConnections: number;
  readonly handshakeTimeoutMs: number;
  readonly handshakesPerSecond: number;
  /** Sockets with this descriptor or a higher one are refused: what is left is for connections of our own. Absent: none is. */
  readonly firstReservedDescriptor?: number;
}

/** A peer that is let in. */
export interface Admitted {
  readonly identity: unknown;
  /** Its SPIFFE id. */
  readonly subject: string;
  /** Until when its certificate is valid, wall-clock ms. */
  readonly notAfterMs: number;
}

/** TLS of a listener. `server` keeps its context current; `admit` judges a peer after each handshake. */
export interface ListenerTls {
  readonly options: tls.TlsOptions;
  /** Called with the server, so that rotation can reach it. Returns how to stop. */
  attach(server: tls.Server): () => void;
  admit(socket: tls.TLSSocket): Admitted | { readonly refused: string };
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
  onStream(link: Session, stream: Stream, block: HeaderBlock, ended: boolean): void;
}

/** A frame or header block that has begun must be whole after this long. */
const STALLED_FRAME_MS = 10_000;
/** An idle connection is looked at this often. */
const LOOK_EVERY_MS = 60_000;
/** Content type of the first TLS record (RFC 8446 section 5.1). */
const TLS_HANDSHAKE = 22;
/** That descriptors run short is logged once in this time. */
const SHORTAGE_GAP_MS = 60_000;
/**
 * First GOAWAY to second: at least this long, and until a PING that followed the first has come back, because a peer that
 * stands still has not read it and opens streams meanwhile. A peer that answers none is waited for this long.
 */
const GOAWAY_GAP_MS = 250;
const GOAWAY_UNHEARD_MS = 3_000;
/** A certificate is taken as expired this long after it is: clocks differ, and peers renew at the last moment. */
export const EXPIRY_LEEWAY_MS = 2_000;
/** How long the calls in flight on the connection of an expired certificate may take to end. */
export const EXPIRED_CALLS_MS = 10_000;

export class Listener implements SessionHandler {
  readonly links = new Set<Session>();
  private readonly plain: net.Server;
  private readonly sockets: ListenSockets;
  private readonly secure: tls.Server | undefined;
  private readonly detach: (() => void) | undefined;
  private readonly guards = new Map<Session, Guard>();
  private readonly handshakes: Meter;
  /** Sockets of a TLS listener from accept to close: those that are still to say who they are, and those under links. */
  private readonly raw = new Set<net.Socket>();
  /** Those among them that have said nothing yet. */
  private readonly arrivals: Arrivals;
  private isDraining = false;
  private shortageToldMs = Number.NEGATIVE_INFINITY;
  private onEmpty: (() => void) | undefined;

  constructor(
    private readonly options: ListenerOptions,
    private readonly relay: DataPlaneContext,
  ) {
    const { handshakesPerSecond: perSecond, maxConnections, handshakeTimeoutMs } = options.limits;
    this.arrivals = new Arrivals(maxConnections, handshakeTimeoutMs, relay);
    this.sockets = options.socket?.from ?? new ListenSockets();
    this.handshakes = new Meter({ burst: perSecond, perSecond });
    this.plain = net.createServer({ noDelay: true, pauseOnConnect: options.tls === undefined }, (socket) =>
      this.onSocket(socket),
    );
    if (options.tls) {
      this.secure = tls.createServer({
        ...options.tls.options,
        handshakeTimeout: handshakeTimeoutMs,
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
  review(keep: (link: Session) => boolean): void {
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

  // ---- SessionHandler ----

  onStream(link: Session, stream: Stream, block: HeaderBlock, ended: boolean): void {
    this.options.onStream(link, stream, block, ended);
  }

  onAlive(_link: Session): void {}

  onGoaway(link: Session): void {
    // A client that is leaving: nothing to do but to let its calls end.
    if (link.inFlight === 0) link.close('the client said GOAWAY');
  }

  onRoom(link: Session): void {
    if (link.isRetiring && link.inFlight === 0 && !link.isDown) {
      const guard = this.guards.get(link);
      if (guard === undefined || guard.phase !== 'goaway') link.close('drained');
    }
  }

  onDown(link: Session, _reason: string): void {
    this.links.delete(link);
    const guard = this.guards.get(link);
    if (guard !== undefined) this.relay.wheel.cancel(guard);
    this.guards.delete(link);
    this.relay.stats.connectionsOpen--;
    if (this.links.size === 0) this.onEmpty?.();
  }

  // ---- accepting ----

  private onSocket(socket: net.Socket): void {
    socket.on('error', ignore);
    if (this.isDraining) return void socket.destroy();
    if (descriptorOf(socket) >= (this.options.limits.firstReservedDescriptor ?? Number.POSITIVE_INFINITY))
      return this.refuseForShortage(socket);
    const { secure } = this;
    if (secure === undefined) {
      if (this.links.size < this.options.limits.maxConnections) return this.accept(withPort(socket), null);
      return this.refuse(socket, 'connections');
    }
    if (this.speaking >= this.options.limits.maxConnections) return this.refuse(socket, 'connections');
    this.raw.add(socket);
    socket.once('close', () => this.raw.delete(socket));
    this.arrivals.add(socket, (octet) => this.onFirst(socket, secure, octet));
  }

  /**
   * A peer has begun to speak: now it is a connection, and what it begins is a handshake. In migration mode the first
   * octet tells a TLS handshake (22) from an HTTP/2 preface.
   */
  private onFirst(socket: net.Socket, secure: tls.Server, octet: number): void {
    // This one included.
    if (this.speaking > this.options.limits.maxConnections) return this.refuse(socket, 'connections');
    if (octet !== TLS_HANDSHAKE && this.options.tls?.alsoPlaintext) {
      this.accept(socket, null);
      return void socket.resume();
    }
    if (!this.handshakes.take(this.relay.clock.now())) return this.refuse(socket, 'handshake-rate');
    // It reads by itself: resuming the socket would lose what is in it.
    secure.emit('connection', socket);
  }

  /** Connections of a TLS listener whose peers have said something. */
  private get speaking(): number {
    return this.raw.size - this.arrivals.size;
  }

  private refuse(socket: net.Socket, limit: 'connections' | 'handshake-rate'): void {
    this.relay.stats.limit(limit);
    const { maxConnections, handshakesPerSecond } = this.options.limits;
    const words =
      limit === 'connections'
        ? { found: 'one more', allowed: `${maxConnections}`, option: 'limits.max_connections' }
        : { found: 'one more', allowed: `${handshakesPerSecond}`, option: 'limits.handshakes_per_second' };
    logLimit(this.relay, limit, words, socket, '');
    socket.destroy();
  }

  /** Those inside keep what they have, and so do our own connections. */
  private refuseForShortage(socket: net.Socket): void {
    socket.destroy();
    this.relay.stats.limit('descriptors');
    const now = this.relay.clock.now();
    if (now < this.shortageToldMs + SHORTAGE_GAP_MS) return;
    this.shortageToldMs = now;
    this.relay.logger.warn(
      { reserved: this.options.limits.firstReservedDescriptor },
      'nearly out of file descriptors: new connections are refused (raise the limit: ulimit -n, LimitNOFILE=)',
    );
  }

  private onSecure(socket: tls.TLSSocket): void {
    socket.on('error', ignore);
    const verdict = this.options.tls!.admit(socket);
    if ('refused' in verdict) {
      this.relay.stats.handshakeFailed(verdict.refused);
      this.relay.logger.info({ reason: verdict.refused }, 'peer refused');
      socket.destroy();
      return;
    }
    this.accept(socket, verdict.identity, verdict);
  }

  private onTlsError(error: Error, socket: tls.TLSSocket): void {
    socket.on('error', ignore);
    const reason = this.options.tls!.fault(error, socket);
    this.relay.stats.handshakeFailed(reason);
    if (reason === 'handshake-timeout') this.relay.stats.limit('handshake-timeout');
    socket.destroy();
  }

  /** Takes a connected socket whose peer is known as far as it will be: one accepted here, or handed over. */
  accept(socket: net.Socket, identity: unknown, certificate?: Omit<Admitted, 'identity'>): void {
    if (socket.destroyed) return;
    // Its handshake took until the drain had begun.
    if (this.isDraining) return void socket.destroy();
    const link = new Session(socket, 'server', this.options.settings, this, this.relay);
    link.identity = identity;
    if (certificate !== undefined) {
      link.subject = certificate.subject;
      link.notAfterMs = certificate.notAfterMs;
    }
    this.links.add(link);
    this.relay.stats.connectionsAccepted++;
    this.relay.stats.connectionsOpen++;
    const guard = new Guard(link, this);
    this.guards.set(link, guard);
    guard.handshakeByMs = this.relay.clock.now() + this.options.limits.handshakeTimeoutMs;
    guard.wakeBy(guard.handshakeByMs);
  }

  private retire(link: Session): void {
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
      if (now < guard.handshakeByMs && !this.isExpired(link)) return guard.wakeBy(guard.handshakeByMs);
      if (!connection.state.gotSettings || !connection.state.settingsAcked) {
        this.relay.stats.limit('handshake-timeout');
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
      if (link.inFlight === 0) return link.close('drained');
    }
    if (link.notAfterMs !== Number.POSITIVE_INFINITY && this.isExpired(link)) this.onExpired(guard, now);
    else guard.look(now);
  }

  private isExpired(link: Session): boolean {
    return this.relay.clock.wallNow() >= link.notAfterMs + EXPIRY_LEEWAY_MS;
  }

  /**
   * No new calls; those in flight have a while to end, and longer as long as the peer has shown on another connection that
   * it has a valid certificate of the same identity.
   */
  private onExpired(guard: Guard, now: number): void {
    const { link } = guard;
    if (guard.phase === 'watch') {
      const { subject: peer, notAfterMs } = link;
      this.relay.stats.limit('expired-certificate');
      this.relay.logger.info(
        { peer, notAfter: new Date(notAfterMs).toISOString() },
        'the certificate of a peer has expired: its connection ends',
      );
      this.retire(link);
      // Whether it has heard or not.
      guard.secondByMs = guard.secondFromMs;
    } else if (
      guard.endByMs === Number.POSITIVE_INFINITY ||
      (now >= guard.endByMs && this.hasRenewed(link))
    ) {
      guard.endByMs = now + EXPIRED_CALLS_MS;
      this.relay.wheel.add(guard, guard.endByMs);
    } else if (now >= guard.endByMs) {
      link.close('its certificate has expired');
    } else {
      this.relay.wheel.add(guard, guard.endByMs);
    }
  }

  /** Whether the same peer, from the same address, is here with a certificate that has not expired. */
  private hasRenewed(link: Session): boolean {
    const wallNow = this.relay.clock.wallNow();
    for (const other of this.links) {
      const isSame = other.subject === link.subject && addressOf(other) === addressOf(link);
      if (isSame && other.notAfterMs > wallNow && !other.isDown) return true;
    }
    return false;
  }

  /** @internal A frame has been standing half-read. */
  stalled(link: Session): void {
    this.relay.stats.limit('stalled-frame');
    link.destroy('a frame was begun and not finished');
  }
}

/** Watches one connection: the handshake, then frames that never end; sleeps when nothing is pending. */
class Guard extends WheelEntry {
  phase: 'handshake' | 'watch' | 'goaway' | 'drain' = 'handshake';
  /** Until when the handshake may take. */
  handshakeByMs = 0;
  /** When the connection of an expired certificate ends, calls or not. */
  endByMs = Number.POSITIVE_INFINITY;
  /** When the second GOAWAY may be sent to a peer that has read the first, and when to any. */
  secondFromMs = 0;
  secondByMs = 0;
  /** The peer has answered the PING that followed the first. */
  isHeard = false;
  private midFrameSinceMs = 0;

  constructor(
    readonly link: Session,
    private readonly listener: Listener,
  ) {
    super();
  }

  fire(): void {
    if (!this.link.isDown) this.listener.check(this);
  }

  /** Called again as long as there is something to watch. */
  look(nowMs: number): void {
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
    const isBusy = this.link.inFlight > 0 || this.midFrameSinceMs > 0;
    this.wakeBy(nowMs + (isBusy ? STALLED_FRAME_MS / 2 : LOOK_EVERY_MS));
  }

  /** Wakes at `dueMs`, or when the peer's certificate has expired by then. */
  wakeBy(dueMs: number): void {
    const { clock, wheel } = this.link.relay;
    const leftMs = this.link.notAfterMs + EXPIRY_LEEWAY_MS - clock.wallNow();
    wheel.add(this, Math.min(dueMs, clock.now() + Math.max(0, leftMs)));
  }
}

function addressOf(link: Session): string | undefined {
  return link.socket.remoteAddress;
}

/** −1 where the system has none. */
function descriptorOf(socket: net.Socket): number {
  const { _handle } = socket as unknown as { readonly _handle: { readonly fd?: number } | null };
  return _handle?.fd ?? -1;
}

function ignore(): void {}
