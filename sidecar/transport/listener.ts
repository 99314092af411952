import type net from 'node:net';
import tls from 'node:tls';
import type { Address } from '../config/model.js';
import { HandshakeBudget } from '../core/admission/handshake-budget.js';
import { Readiness } from '../http2/constants.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { LocalSettings } from '../http2/settings.js';
import type { Stream } from '../http2/stream.js';
import { ListenSockets } from '../runtime/process/listen-sockets.js';
import { AuditKind } from '../telemetry/audit/trail.js';
import { hasOddBinary, splitBinary } from './binary-metadata.js';
import { type ClientHello, TLS_HANDSHAKE } from './client-hello.js';
import { ConnectionPlaces } from './connection-places.js';
import type { DataPlaneContext } from './context.js';
import { refuseLongRequest } from './header-limit.js';
import { logLimit } from './limit-log.js';
import { Session, type SessionHandler } from './session.js';
import { SessionGuard } from './session-guard.js';
import { readRecordsInto, withReadBuffer } from './shared-read-buffer.js';
import { SilentConnections } from './silent-connections.js';

/** What a listener takes at most. */
export interface ListenerLimits {
  readonly maxConnections: number;
  readonly handshakeTimeoutMs: number;
  readonly handshakesPerSecond: number;
  /**
   * A socket with this descriptor or a higher one takes the place of a quiet connection, or is refused: what is left is for
   * outbound connections. Absent: none is reserved.
   */
  readonly firstReservedDescriptor?: number;
}

/** A peer that is admitted. */
export interface Admitted {
  readonly identity: unknown;
  /** Its SPIFFE ID. */
  readonly subject: string;
  /** Until when its certificate is valid, wall-clock ms. */
  readonly notAfterMs: number;
}

/** TLS of a listener. `attach` keeps the context of the server current; `admit` decides about a peer after each handshake. */
export interface ListenerTls {
  readonly options: tls.TlsOptions;
  /** Called with the server, so that rotation can reach it. Returns how to stop. */
  attach(server: tls.Server): () => void;
  admit(socket: tls.TLSSocket): Admitted | { readonly refused: string };
  /** Why a handshake failed, as a stable short name. `from`: the peer's address, which a socket that is closed has no more. */
  fault(error: Error, socket: tls.TLSSocket, from: string): string;
  /** Peers that do not begin with a TLS handshake are admitted as well, without identity. */
  readonly alsoPlaintext: boolean;
}

/** A listener of one side of the sidecar. */
export interface ListenerOptions {
  readonly address: Address;
  readonly settings: LocalSettings;
  readonly limits: ListenerLimits;
  readonly tls?: ListenerTls;
  /** Decides about peers whose connection has proved their identity before it is accepted here. Absent: peers of a plain listener have none. */
  readonly admit?: (socket: net.Socket) => Admitted | { readonly refused: string };
  /** Where its socket may come from (a takeover), and by which name. Absent: it makes one. */
  readonly socket?: { readonly name: string; readonly from: ListenSockets };
  onStream(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): void;
}

/** A socket that has sent something. `isShort`: it has a descriptor that is reserved. */
interface Newcomer {
  readonly hello: ClientHello;
  readonly isShort: boolean;
}

/** The address of a peer on a Unix socket, or of one that is gone before anything was read. */
const UNKNOWN = 'unknown';
/** Descriptors of the reserve that a listener may use, of 16 at least (runtime/process/descriptors.ts): there are several listeners. */
const MOST_IN_RESERVE = 4;
/** A shortage of descriptors is logged once in this time. */
const SHORTAGE_GAP_MS = 60_000;
/**
 * Accepts connections on TCP or a Unix socket, plain or TLS, within limits: how many, how often, and how long a new peer
 * may take to identify itself. What a connection carries is for `onStream`.
 */
export class Listener implements SessionHandler {
  readonly sessions = new Set<Session>();
  private readonly plain: net.Server;
  private readonly sockets: ListenSockets;
  private readonly secure: tls.Server | undefined;
  private readonly stopRotation: (() => void) | undefined;
  private readonly guards = new Map<Session, SessionGuard>();
  private readonly handshakes: HandshakeBudget;
  /** Sockets of a TLS listener from accept to close: those in or before their handshake, and those under sessions. */
  private readonly tlsSockets = new Set<net.Socket>();
  /** Where each handshake came from. A verdict of OpenSSL closes the socket before `tlsClientError` tells of it. */
  private readonly origins = new WeakMap<net.Socket, string>();
  /** Those among them on which no complete ClientHello has come yet. */
  private readonly silent: SilentConnections;
  private readonly places: ConnectionPlaces;
  /** Sockets that have descriptors of the reserve. */
  private readonly inReserve = new Set<net.Socket>();
  /** New connections are refused. */
  isDraining = false;
  /** With what new connections begin. */
  private settings: LocalSettings;
  private shortageLoggedMs = Number.NEGATIVE_INFINITY;
  /** Resolve the drains that wait for the last session. */
  private readonly drains: (() => void)[] = [];

  constructor(
    private readonly options: ListenerOptions,
    private readonly context: DataPlaneContext,
  ) {
    this.settings = options.settings;
    const { handshakesPerSecond: perSecond, maxConnections, handshakeTimeoutMs } = options.limits;
    this.silent = new SilentConnections(maxConnections, handshakeTimeoutMs, context);
    this.places = new ConnectionPlaces(this.sessions, maxConnections, context);
    this.sockets = options.socket?.from ?? new ListenSockets();
    this.handshakes = new HandshakeBudget(perSecond);
    this.plain = context.network.server({ pauseOnConnect: options.tls === undefined }, (socket) =>
      this.contained(socket, () => this.onSocket(socket)),
    );
    if (options.tls) {
      this.secure = tls.createServer({ ...options.tls.options, handshakeTimeout: handshakeTimeoutMs });
      this.stopRotation = options.tls.attach(this.secure);
      this.secure.on('secureConnection', (socket) => this.contained(socket, () => this.onSecure(socket)));
      this.secure.on('tlsClientError', (error, socket) =>
        this.contained(socket, () => this.onTlsError(error, socket)),
      );
    }
  }

  /** Resolves with the bound address; rejects with the system's error (EADDRINUSE, EACCES). */
  async listen(): Promise<Address> {
    const { address, socket } = this.options;
    const bound = await this.sockets.listen(socket?.name ?? '', this.plain, address);
    this.plain.on('error', (error) => this.context.logger.warn({ error: error.message }, 'listener error'));
    return bound;
  }

  /**
   * Tells every peer how the model behind this listener fares, so that calls go elsewhere while they can: those that are connected
   * now, and each new one with its first SETTINGS.
   */
  announceReadiness(readiness: Readiness): void {
    if (readiness === (this.settings.readiness ?? Readiness.serving)) return;
    this.settings = { ...this.settings, readiness };
    for (const { connection } of this.sessions) connection.announceReadiness(readiness);
  }

  /** Closes the connections that `keep` refuses. */
  review(keep: (session: Session) => boolean): void {
    for (const session of [...this.sessions]) if (!keep(session)) session.close('no longer trusted');
  }

  /** Sends every peer a GOAWAY, in two phases, and goes on accepting: the certificates of these connections have been replaced. */
  retireSessions(): void {
    for (const guard of this.guards.values()) guard.retire();
  }

  /** Stops accepting, sends every peer a GOAWAY, in two phases, and resolves when the last connection has ended, which its calls keep open. */
  drain(): Promise<void> {
    if (!this.isDraining) {
      this.isDraining = true;
      this.sockets.close(this.plain);
      this.retireSessions();
    }
    if (this.sessions.size === 0) return Promise.resolve();
    return new Promise((resolve) => void this.drains.push(resolve));
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
    session.lastCallMs = this.context.nowMs;
    if (block.overLimit) return refuseLongRequest(session, stream, block);
    const request = hasOddBinary(block) ? splitBinary(session, stream, block) : block;
    if (request !== null) this.options.onStream(session, stream, request, ended);
  }

  onAlive(_session: Session): void {}

  /** What a client says of a model means nothing here. */
  onReadiness(_session: Session): void {}

  onGoaway(session: Session): void {
    // A client that is leaving: its calls are left to end.
    if (session.inFlight === 0) this.closeUnused(session, 'the client said GOAWAY');
  }

  onRoom(session: Session): void {
    session.lastCallMs = this.context.nowMs;
    if (session.isRetiring && session.inFlight === 0 && !session.isDown)
      if (!this.guards.get(session)?.isGoawayPending) this.closeUnused(session, 'drained');
  }

  /** A stream that its peer opens all the same, as in the read that is being handled, is refused and not lost. */
  private closeUnused(session: Session, reason: string): void {
    session.connection.finalGoaway();
    session.close(reason);
  }

  onDown(session: Session, _reason: string): void {
    if (!this.sessions.delete(session)) return;
    this.places.forget(session);
    const guard = this.guards.get(session);
    if (guard !== undefined) this.context.wheel.cancel(guard);
    this.guards.delete(session);
    this.context.stats.connectionsOpen--;
    if (this.sessions.size === 0) for (const resolve of this.drains.splice(0)) resolve();
  }

  // ---- accepting ----

  /** An exception on the way of a socket to its session ends that socket. */
  private contained(socket: net.Socket, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.context.containment.contain({ giveUp: () => socket.destroy() }, error);
    }
  }

  private onSocket(socket: net.Socket): void {
    socket.on('error', ignore);
    if (this.isDraining) return void socket.destroy();
    const isShort = this.isShort(socket);
    const { secure } = this;
    if (secure === undefined) {
      if (this.findPlace(socket, this.sessions.size, isShort)) this.acceptPlain(socket, isShort);
      return;
    }
    if (!this.places.mayTake(this.speaking)) return this.refuse(socket, 'connections');
    if (isShort) {
      const isFree = this.silent.giveUpDescriptor() || this.places.mayTakeDescriptor();
      // One more than may stay: what it sends may prove worth the place of another.
      if (!isFree || this.inReserve.size > MOST_IN_RESERVE) return this.refuseForShortage(socket);
      this.useReserve(socket);
    }
    this.tlsSockets.add(socket);
    socket.once('close', () => this.tlsSockets.delete(socket));
    this.silent.add(socket, (hello) =>
      this.contained(socket, () => this.onHello(socket, secure, { hello, isShort })),
    );
  }

  /**
   * A place for a connection beside `open`. False: there is none, and the socket is closed. A newcomer to the reserve keeps its
   * own descriptor, and the one that it takes from another connection is for the next. So the reserve would be used up;
   * beyond a few, a newcomer only makes room for the next one, which mostly is its own second try.
   */
  private findPlace(socket: net.Socket, open: number, isShort: boolean): boolean {
    if (isShort) {
      const others = this.inReserve.size - Number(this.inReserve.has(socket));
      if (this.places.takeDescriptor() && others < MOST_IN_RESERVE) return true;
      this.refuseForShortage(socket);
    } else {
      if (this.places.take(open)) return true;
      this.refuse(socket, 'connections');
    }
    return false;
  }

  private useReserve(socket: net.Socket): void {
    this.inReserve.add(socket);
    socket.once('close', () => this.inReserve.delete(socket));
  }

  /** Whether it has one of the descriptors that are left for connections of the sidecar itself. */
  private isShort(socket: net.Socket): boolean {
    const { firstReservedDescriptor = Number.POSITIVE_INFINITY } = this.options.limits;
    const isShort = descriptorOf(socket) >= firstReservedDescriptor;
    if (isShort) this.logShortage(firstReservedDescriptor);
    return isShort;
  }

  /**
   * The ClientHello is complete, or there is none: from now on the socket counts as a connection. In permissive mode the first
   * byte tells a TLS handshake from an HTTP/2 preface. What is neither begins no handshake, and costs none.
   */
  private onHello(socket: net.Socket, secure: tls.Server, { hello, isShort }: Newcomer): void {
    const others = this.speaking - 1;
    if (!this.places.mayTake(others)) return this.refuse(socket, 'connections');
    if (hello.read[0] !== TLS_HANDSHAKE && this.options.tls?.alsoPlaintext) {
      if (!this.findPlace(socket, others, isShort)) return;
      this.accept(socket, null);
      return void socket.resume();
    }
    if (hello.state !== 'complete') {
      this.context.stats.countHandshakeFailure('tls-error');
      return void socket.destroy();
    }
    const from = socket.remoteAddress ?? UNKNOWN;
    if (!this.handshakes.take(from, this.context.clock.now())) return this.refuse(socket, 'handshake-rate');
    if (!this.findPlace(socket, others, isShort)) return;
    this.origins.set(socket, from);
    // The TLS socket reads by itself: resuming this one would lose what it has read.
    secure.emit('connection', socket);
  }

  /** Connections of a TLS listener that have sent a ClientHello, or something else. */
  private get speaking(): number {
    return this.tlsSockets.size - this.silent.size;
  }

  private refuse(socket: net.Socket, limit: 'connections' | 'handshake-rate'): void {
    this.context.stats.countLimit(limit);
    const { maxConnections, handshakesPerSecond } = this.options.limits;
    const [most, option] =
      limit === 'connections'
        ? [maxConnections, 'max_connections']
        : [handshakesPerSecond, 'handshakes_per_second'];
    const words = { found: 'one more', allowed: `${most}`, option: `limits.${option}` };
    logLimit(this.context, limit, words, socket, '');
    socket.destroy();
  }

  /** Connections that are at work keep their descriptors, and some are left for outbound connections. */
  private refuseForShortage(socket: net.Socket): void {
    socket.destroy();
    this.context.stats.countLimit('descriptors');
  }

  private logShortage(reserved: number): void {
    const now = this.context.clock.now();
    if (now < this.shortageLoggedMs + SHORTAGE_GAP_MS) return;
    this.shortageLoggedMs = now;
    this.context.logger.warn(
      { reserved },
      'nearly out of file descriptors: new connections take the place of quiet ones, or are refused (raise the limit: ulimit -n, LimitNOFILE=)',
    );
  }

  private acceptPlain(socket: net.Socket, isShort: boolean): void {
    const verdict = this.options.admit?.(socket);
    if (verdict !== undefined && 'refused' in verdict) return this.refusePeer(socket, verdict.refused);
    const reading = withReadBuffer(socket);
    if (isShort) this.useReserve(reading);
    if (verdict === undefined) this.accept(reading, null);
    else this.accept(reading, verdict.identity, verdict);
  }

  private onSecure(socket: tls.TLSSocket): void {
    socket.on('error', ignore);
    const verdict = this.options.tls!.admit(socket);
    if ('refused' in verdict) return this.refusePeer(socket, verdict.refused);
    readRecordsInto(socket);
    this.accept(socket, verdict.identity, verdict);
  }

  private refusePeer(socket: net.Socket, reason: string): void {
    this.context.stats.countHandshakeFailure(reason);
    this.context.audit.record(AuditKind.peerRefused, { reason });
    socket.destroy();
  }

  private onTlsError(error: Error, socket: tls.TLSSocket): void {
    socket.on('error', ignore);
    const reason = this.options.tls!.fault(error, socket, this.originOf(socket));
    this.context.stats.countHandshakeFailure(reason);
    if (reason === 'handshake-timeout') this.context.stats.countLimit('handshake-timeout');
    socket.destroy();
  }

  /** The address that a TLS socket came from, also when it is closed: Node has no public name for the socket below it. */
  private originOf(socket: tls.TLSSocket): string {
    const { _parent: below } = socket as unknown as { readonly _parent?: net.Socket | null };
    return (below && this.origins.get(below)) ?? UNKNOWN;
  }

  /** Takes a connected socket whose peer is known as far as it will be: one accepted here, or handed over. */
  accept(socket: net.Socket, identity: unknown, certificate?: Omit<Admitted, 'identity'>): void {
    if (socket.destroyed) return;
    // Its handshake took until the drain had begun.
    if (this.isDraining) return void socket.destroy();
    this.contained(socket, () => this.open(socket, identity, certificate));
  }

  private open(socket: net.Socket, identity: unknown, certificate?: Omit<Admitted, 'identity'>): void {
    const session = new Session(socket, 'server', this.settings, this, this.context);
    session.identity = identity;
    if (certificate !== undefined) {
      session.subject = certificate.subject;
      session.notAfterMs = certificate.notAfterMs;
    }
    this.sessions.add(session);
    this.context.stats.connectionsAccepted++;
    this.context.stats.connectionsOpen++;
    const { handshakeTimeoutMs } = this.options.limits;
    this.guards.set(session, new SessionGuard(session, this, handshakeTimeoutMs));
  }
}

/** −1 where the system has none. */
function descriptorOf(socket: net.Socket): number {
  const { _handle } = socket as unknown as { readonly _handle: { readonly fd?: number } | null };
  return _handle?.fd ?? -1;
}

function ignore(): void {}
