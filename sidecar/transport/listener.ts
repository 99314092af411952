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
import { withReadBuffer } from './shared-read-buffer.js';
import { SilentConnections } from './silent-connections.js';

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
  onStream(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): void;
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
  readonly sessions = new Set<Session>();
  private readonly plain: net.Server;
  private readonly sockets: ListenSockets;
  private readonly secure: tls.Server | undefined;
  private readonly stopRotation: (() => void) | undefined;
  private readonly guards = new Map<Session, SessionGuard>();
  private readonly handshakes: Meter;
  /** Sockets of a TLS listener from accept to close: those that are still to say who they are, and those under sessions. */
  private readonly tlsSockets = new Set<net.Socket>();
  /** Those among them that have said nothing yet. */
  private readonly silent: SilentConnections;
  private isDraining = false;
  private shortageToldMs = Number.NEGATIVE_INFINITY;
  private onEmpty: (() => void) | undefined;

  constructor(
    private readonly options: ListenerOptions,
    private readonly context: DataPlaneContext,
  ) {
    const { handshakesPerSecond: perSecond, maxConnections, handshakeTimeoutMs } = options.limits;
    this.silent = new SilentConnections(maxConnections, handshakeTimeoutMs, context);
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
      this.stopRotation = options.tls.attach(this.secure);
      this.secure.on('secureConnection', (socket) => this.onSecure(socket));
      this.secure.on('tlsClientError', (error, socket) => this.onTlsError(error, socket));
    }
  }

  /** Resolves with the bound address; rejects with the system's error (EADDRINUSE, EACCES). */
  listen(): Promise<Address> {
    const { address, socket } = this.options;
    return this.sockets.listen(socket?.name ?? '', this.plain, address).then((bound) => {
      this.plain.on('error', (error) => this.context.logger.warn({ error: error.message }, 'listener error'));
      return bound;
    });
  }

  /** Judges every connection again; those that `keep` refuses are closed. */
  review(keep: (session: Session) => boolean): void {
    for (const session of [...this.sessions]) if (!keep(session)) session.close('no longer trusted');
  }

  /** Tells every peer to go (two-phase GOAWAY) and goes on accepting: what these connections were made with is over. */
  renew(): void {
    for (const session of this.sessions) this.retire(session);
  }

  /** Stops accepting, tells every peer to go (two-phase GOAWAY), and resolves when the last call has ended. */
  drain(): Promise<void> {
    if (!this.isDraining) {
      this.isDraining = true;
      this.sockets.close(this.plain);
      for (const session of this.sessions) this.retire(session);
    }
    if (this.sessions.size === 0) return Promise.resolve();
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
    this.stopRotation?.();
    for (const session of [...this.sessions]) session.destroy('stopped');
    for (const socket of this.tlsSockets) socket.destroy();
  }

  // ---- SessionHandler ----

  onStream(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): void {
    this.options.onStream(session, stream, block, ended);
  }

  onAlive(_link: Session): void {}

  onGoaway(session: Session): void {
    // A client that is leaving: nothing to do but to let its calls end.
    if (session.inFlight === 0) session.close('the client said GOAWAY');
  }

  onRoom(session: Session): void {
    if (session.isRetiring && session.inFlight === 0 && !session.isDown) {
      const guard = this.guards.get(session);
      if (guard === undefined || guard.phase !== 'goaway') session.close('drained');
    }
  }

  onDown(session: Session, _reason: string): void {
    this.sessions.delete(session);
    const guard = this.guards.get(session);
    if (guard !== undefined) this.context.wheel.cancel(guard);
    this.guards.delete(session);
    this.context.stats.connectionsOpen--;
    if (this.sessions.size === 0) this.onEmpty?.();
  }

  // ---- accepting ----

  private onSocket(socket: net.Socket): void {
    socket.on('error', ignore);
    if (this.isDraining) return void socket.destroy();
    if (descriptorOf(socket) >= (this.options.limits.firstReservedDescriptor ?? Number.POSITIVE_INFINITY))
      return this.refuseForShortage(socket);
    const { secure } = this;
    if (secure === undefined) {
      if (this.sessions.size < this.options.limits.maxConnections)
        return this.accept(withReadBuffer(socket), null);
      return this.refuse(socket, 'connections');
    }
    if (this.speaking >= this.options.limits.maxConnections) return this.refuse(socket, 'connections');
    this.tlsSockets.add(socket);
    socket.once('close', () => this.tlsSockets.delete(socket));
    this.silent.add(socket, (octet) => this.onFirst(socket, secure, octet));
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
    if (!this.handshakes.take(this.context.clock.now())) return this.refuse(socket, 'handshake-rate');
    // It reads by itself: resuming the socket would lose what is in it.
    secure.emit('connection', socket);
  }

  /** Connections of a TLS listener whose peers have said something. */
  private get speaking(): number {
    return this.tlsSockets.size - this.silent.size;
  }

  private refuse(socket: net.Socket, limit: 'connections' | 'handshake-rate'): void {
    this.context.stats.countLimit(limit);
    const { maxConnections, handshakesPerSecond } = this.options.limits;
    const words =
      limit === 'connections'
        ? { found: 'one more', allowed: `${maxConnections}`, option: 'limits.max_connections' }
        : { found: 'one more', allowed: `${handshakesPerSecond}`, option: 'limits.handshakes_per_second' };
    logLimit(this.context, limit, words, socket, '');
    socket.destroy();
  }

  /** Those inside keep what they have, and so do our own connections. */
  private refuseForShortage(socket: net.Socket): void {
    socket.destroy();
    this.context.stats.countLimit('descriptors');
    const now = this.context.clock.now();
    if (now < this.shortageToldMs + SHORTAGE_GAP_MS) return;
    this.shortageToldMs = now;
    this.context.logger.warn(
      { reserved: this.options.limits.firstReservedDescriptor },
      'nearly out of file descriptors: new connections are refused (raise the limit: ulimit -n, LimitNOFILE=)',
    );
  }

  private onSecure(socket: tls.TLSSocket): void {
    socket.on('error', ignore);
    const verdict = this.options.tls!.admit(socket);
    if ('refused' in verdict) {
      this.context.stats.countHandshakeFailure(verdict.refused);
      this.context.logger.info({ reason: verdict.refused }, 'peer refused');
      socket.destroy();
      return;
    }
    this.accept(socket, verdict.identity, verdict);
  }

  private onTlsError(error: Error, socket: tls.TLSSocket): void {
    socket.on('error', ignore);
    const reason = this.options.tls!.fault(error, socket);
    this.context.stats.countHandshakeFailure(reason);
    if (reason === 'handshake-timeout') this.context.stats.countLimit('handshake-timeout');
    socket.destroy();
  }

  /** Takes a connected socket whose peer is known as far as it will be: one accepted here, or handed over. */
  accept(socket: net.Socket, identity: unknown, certificate?: Omit<Admitted, 'identity'>): void {
    if (socket.destroyed) return;
    // Its handshake took until the drain had begun.
    if (this.isDraining) return void socket.destroy();
    const session = new Session(socket, 'server', this.options.settings, this, this.context);
    session.identity = identity;
    if (certificate !== undefined) {
      session.subject = certificate.subject;
      session.notAfterMs = certificate.notAfterMs;
    }
    this.sessions.add(session);
    this.context.stats.connectionsAccepted++;
    this.context.stats.connectionsOpen++;
    const guard = new SessionGuard(session, this);
    this.guards.set(session, guard);
    guard.handshakeByMs = this.context.clock.now() + this.options.limits.handshakeTimeoutMs;
    guard.wakeBy(guard.handshakeByMs);
  }

  private retire(session: Session): void {
    if (session.isDown) return;
    session.isRetiring = true;
    session.connection.announceGoaway();
    const guard = this.guards.get(session)!;
    const now = this.context.clock.now();
    guard.phase = 'goaway';
    guard.secondFromMs = now + GOAWAY_GAP_MS;
    guard.secondByMs = now + GOAWAY_UNHEARD_MS;
    this.context.wheel.add(guard, guard.secondFromMs);
    session.ping(() => this.heardGoaway(guard));
  }

  private heardGoaway(guard: SessionGuard): void {
    guard.isHeard = true;
    if (guard.phase !== 'goaway') return;
    this.context.wheel.add(guard, Math.max(this.context.clock.now(), guard.secondFromMs));
  }

  /** @internal The guard's time has come. */
  check(guard: SessionGuard): void {
    const session = guard.session;
    const now = this.context.clock.now();
    const connection = session.connection;
    if (guard.phase === 'handshake') {
      if (now < guard.handshakeByMs && !this.isExpired(session)) return guard.wakeBy(guard.handshakeByMs);
      if (!connection.state.gotSettings || !connection.state.settingsAcked) {
        this.context.stats.countLimit('handshake-timeout');
        session.destroy('no preface, SETTINGS or acknowledgement in time');
        return;
      }
      guard.phase = 'watch';
    } else if (guard.phase === 'goaway') {
      if (!guard.isHeard && now < guard.secondByMs) {
        this.context.wheel.add(guard, guard.secondByMs);
        return;
      }
      guard.phase = 'drain';
      connection.finalGoaway();
      if (session.inFlight === 0) return session.close('drained');
    }
    if (session.notAfterMs !== Number.POSITIVE_INFINITY && this.isExpired(session))
      this.onExpired(guard, now);
    else guard.look(now);
  }

  private isExpired(session: Session): boolean {
    return this.context.clock.wallNow() >= session.notAfterMs + EXPIRY_LEEWAY_MS;
  }

  /**
   * No new calls; those in flight have a while to end, and longer as long as the peer has shown on another connection that
   * it has a valid certificate of the same identity.
   */
  private onExpired(guard: SessionGuard, now: number): void {
    const { session } = guard;
    if (guard.phase === 'watch') {
      const { subject: peer, notAfterMs } = session;
      this.context.stats.countLimit('expired-certificate');
      this.context.logger.info(
        { peer, notAfter: new Date(notAfterMs).toISOString() },
        'the certificate of a peer has expired: its connection ends',
      );
      this.retire(session);
      // Whether it has heard or not.
      guard.secondByMs = guard.secondFromMs;
    } else if (
      guard.endByMs === Number.POSITIVE_INFINITY ||
      (now >= guard.endByMs && this.hasRenewed(session))
    ) {
      guard.endByMs = now + EXPIRED_CALLS_MS;
      this.context.wheel.add(guard, guard.endByMs);
    } else if (now >= guard.endByMs) {
      session.close('its certificate has expired');
    } else {
      this.context.wheel.add(guard, guard.endByMs);
    }
  }

  /** Whether the same peer, from the same address, is here with a certificate that has not expired. */
  private hasRenewed(session: Session): boolean {
    const wallNow = this.context.clock.wallNow();
    for (const other of this.sessions) {
      const isSame = other.subject === session.subject && addressOf(other) === addressOf(session);
      if (isSame && other.notAfterMs > wallNow && !other.isDown) return true;
    }
    return false;
  }

  /** @internal A frame has been standing half-read. */
  stalled(session: Session): void {
    this.context.stats.countLimit('stalled-frame');
    session.destroy('a frame was begun and not finished');
  }
}

/** Watches one connection: the handshake, then frames that never end; sleeps when nothing is pending. */
class SessionGuard extends WheelEntry {
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
    readonly session: Session,
    private readonly listener: Listener,
  ) {
    super();
  }

  fire(): void {
    if (!this.session.isDown) this.listener.check(this);
  }

  /** Called again as long as there is something to watch. */
  look(nowMs: number): void {
    const unfinishedMs = this.session.connection.unfinishedSinceMs;
    if (unfinishedMs > 0 && nowMs - unfinishedMs >= STALLED_FRAME_MS)
      return this.listener.stalled(this.session);
    if (this.session.connection.isMidFrame) {
      if (this.midFrameSinceMs === 0) this.midFrameSinceMs = nowMs;
      else if (nowMs - this.midFrameSinceMs >= STALLED_FRAME_MS && nowMs - this.session.lastReadMs >= 1000) {
        return this.listener.stalled(this.session);
      }
    } else {
      this.midFrameSinceMs = 0;
    }
    const isBusy = this.session.inFlight > 0 || this.midFrameSinceMs > 0;
    this.wakeBy(nowMs + (isBusy ? STALLED_FRAME_MS / 2 : LOOK_EVERY_MS));
  }

  /** Wakes at `dueMs`, or when the peer's certificate has expired by then. */
  wakeBy(dueMs: number): void {
    const { clock, wheel } = this.session.context;
    const leftMs = this.session.notAfterMs + EXPIRY_LEEWAY_MS - clock.wallNow();
    wheel.add(this, Math.min(dueMs, clock.now() + Math.max(0, leftMs)));
  }
}

function addressOf(session: Session): string | undefined {
  return session.socket.remoteAddress;
}

/** −1 where the system has none. */
function descriptorOf(socket: net.Socket): number {
  const { _handle } = socket as unknown as { readonly _handle: { readonly fd?: number } | null };
  return _handle?.fd ?? -1;
}

function ignore(): void {}
