import type { Socket } from 'node:net';
import type { PoolConfig } from '../config/model.js';
import { Readiness } from '../http2/constants.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { LocalSettings } from '../http2/settings.js';
import type { Stream } from '../http2/stream.js';
import { WheelTimer } from '../runtime/time/timing-wheel.js';
import { BACKOFF_MAX_MS, ConnectBackoff } from './connect-backoff.js';
import { ConnectionWaiters, type HeldByCaller } from './connection-waiters.js';
import type { DataPlaneContext } from './context.js';
import { isTooManyPings, PingRation } from './keepalive/ping-ration.js';
import { SessionMonitor } from './keepalive/session-monitor.js';
import { RefusedStreams } from './refused-streams.js';
import { Session, type SessionHandler } from './session.js';
import { isOwnShortage, REFUSED } from './socket-error.js';

/** Connections beyond the configured number when the peer's stream limit is reached (gRFC A105). */
const EXTRA_CONNECTIONS = 3;

/** An attempt that needs a connection. Exactly one of the two is called, once. */
export interface Waiter extends HeldByCaller {
  onSession(session: Session): void;
  /** @param whose `theirs`: it says something about the endpoint; `ours`: this side could not connect. */
  onConnectFailed(reason: string, whose: 'theirs' | 'ours'): void;
}

/** What the connections to one endpoint need from outside. */
export interface PoolOptions {
  readonly config: PoolConfig;
  readonly settings: LocalSettings;
  /** Opens a socket that will connect; undefined while there is no identity to present. */
  readonly dial: () => Socket | undefined;
  /** Why `dial` returned nothing, for messages. */
  readonly whyNot?: () => string;
  /** Between two failed connects, at most; absent: 4 s. */
  readonly backoffMaxMs?: number;
  /** From a `dial` that returned nothing to the next one; absent: 4 s. */
  readonly redialMs?: number;
  /** Whether a connection may be made that replaces none; absent: always. */
  readonly mayOpen?: () => boolean;
  /** The peer may be a gRPC server, which ends connections for PINGs; absent: it bears them. */
  readonly rationsPings?: boolean;
  /** Whether the peer would be accepted now; absent: it proves nothing. */
  readonly stillTrusts?: (session: Session) => boolean;
  /** A connection that was alive since `sinceMs` has been cut, with so many calls on it. Absent: nobody wants to know. */
  readonly onCut?: (sinceMs: number, lostCalls: number) => void;
  /** The state changed: connected or not, loading or not. */
  readonly onChange: () => void;
}

/**
 * Connections to one endpoint: opened before they are needed, proved alive by the peer's SETTINGS, and replaced, make
 * before break, by age, by GOAWAY, when worn out (by stream ids or resets sent) or on request. Which endpoint a call goes
 * to is the cluster's decision.
 */
export class Pool implements SessionHandler {
  readonly sessions: Session[] = [];
  /** Why there is no connection, in a few words; empty while there is one. */
  problem = 'not connected yet';
  connects = 0;
  /** When the peer last refused a connection, monotonic ms: nothing listens there. */
  refusedMs = Number.NEGATIVE_INFINITY;
  private readonly backoff: ConnectBackoff;
  private readonly waiters = new ConnectionWaiters<Waiter>();
  private readonly monitors = new Map<Session, SessionMonitor>();
  private readonly reconnect = new WheelTimer(() => this.onReconnect(), this);
  private readonly refusals = new RefusedStreams();
  /** The peer has ended the last connection by GOAWAY, and the first attempt to make another one has not failed: the peer may well be there. */
  isRenewing = false;
  private isStopped = false;
  private isServing = false;
  private rationsPings: boolean;
  /** Attempts wait for a stream, as `isExhausted` says; called at each arrival. */
  onExhausted: (() => void) | null = null;

  constructor(
    private readonly options: PoolOptions,
    private readonly context: DataPlaneContext,
  ) {
    this.backoff = new ConnectBackoff(options.backoffMaxMs, context.random);
    this.rationsPings = options.rationsPings === true;
  }

  /** Failed connects in a row. */
  get failures(): number {
    return this.backoff.failures;
  }

  start(): void {
    this.fill();
  }

  /** Whether a call could be sent at once, stream limits aside. */
  get isConnected(): boolean {
    for (const session of this.sessions) if (session.isUsable) return true;
    return false;
  }

  /** What the peer says of its model, where all connections agree on it; `serving` where they do not, or there is none. */
  get readiness(): Readiness {
    let said: Readiness | undefined;
    for (const session of this.sessions) {
      if (!session.isUsable) continue;
      if (said !== undefined && session.readiness !== said) return Readiness.serving;
      said = session.readiness;
    }
    return said ?? Readiness.serving;
  }

  get isConnecting(): boolean {
    for (const session of this.sessions) if (!session.isAlive) return true;
    return false;
  }

  get connectionCount(): number {
    return this.sessions.filter((session) => session.isAlive).length;
  }

  /** The live connection with the fewest calls, or null. */
  acquire(): Session | null {
    let best: Session | null = null;
    for (const session of this.sessions) {
      if (!session.isAlive || session.capacity <= 0) continue;
      if (best === null || session.inFlight < best.inFlight) best = session;
    }
    if (best === null) return null;
    this.monitors.get(best)!.onUse();
    return best;
  }

  /** Queues for a connection, and hurries one. */
  wait(waiter: Waiter): void {
    this.waiters.add(waiter);
    if (this.isStopped) return this.failWaiters('stopped');
    this.connectSooner();
  }

  /** One connect at a time, as soon as may be after a failure: the next one, or one more beside those that are full. */
  private connectSooner(): void {
    if (this.isConnecting) return;
    const now = this.context.clock.now();
    const next = this.backoff.soonestMs(now);
    if (this.isConnected) {
      const most = this.options.config.connections + EXTRA_CONNECTIONS;
      if (this.activeCount >= most || !this.mayOpen) return void this.onExhausted?.();
      if (next <= now) return void this.open();
    }
    if (!this.reconnect.isScheduled || this.reconnect.dueMs > next)
      this.context.wheel.add(this.reconnect, next);
  }

  private get mayOpen(): boolean {
    return this.options.mayOpen === undefined || this.options.mayOpen();
  }

  /** Connections that are not on their way out. */
  get activeCount(): number {
    let n = 0;
    for (const session of this.sessions) if (!session.isRetiring) n++;
    return n;
  }

  /** Whether an attempt would get a connection at once. */
  get hasRoom(): boolean {
    for (const session of this.sessions) if (session.isAlive && session.capacity > 0) return true;
    return false;
  }

  /** Attempts wait for a stream: every connection is at its peer's limit, and there may be no more of them. */
  get isExhausted(): boolean {
    if (this.waiters.size === 0 || this.hasRoom || !this.isConnected || this.isConnecting) return false;
    return this.activeCount >= this.options.config.connections + EXTRA_CONNECTIONS || !this.mayOpen;
  }

  /** Whether attempts of any other caller wait. */
  hasWaitersBesides(holder: object): boolean {
    return this.waiters.hasOthersThan(holder);
  }

  /** Streams under way on all connections. */
  get inFlight(): number {
    let n = 0;
    for (const session of this.sessions) n += session.inFlight;
    return n;
  }

  /** Attempts that wait for a connection. */
  get waitingCount(): number {
    return this.waiters.size;
  }

  stopWaiting(waiter: Waiter): void {
    this.waiters.remove(waiter);
  }

  /** Replaces every connection, make before break: a new certificate, a new address. */
  refresh(): void {
    for (const session of this.sessions) if (session.isAlive && !session.isRetiring) this.replace(session);
    if (!this.isConnected && !this.isConnecting) this.fill();
  }

  /** No new calls on the open connections, whose certificate has expired; calls on them go on to their ends. */
  expire(): void {
    for (const session of [...this.sessions])
      if (session.isAlive && !session.isRetiring) this.retireSession(session);
    this.fill();
    this.options.onChange();
  }

  /**
   * The roots have changed: closes the connections whose peer is not trusted any more, with the calls on them. Those that only wait for
   * their last calls are no exception.
   */
  review(): void {
    const { stillTrusts } = this.options;
    if (stillTrusts === undefined) return;
    for (const session of [...this.sessions])
      if (!stillTrusts(session)) session.destroy('the certificate of the endpoint is not trusted any more');
  }

  /** No more connects; calls in flight go on; connections close when they are done. */
  retire(): void {
    this.end('the endpoint left');
    for (const session of [...this.sessions]) {
      session.isRetiring = true;
      if (session.inFlight === 0) session.close('retired');
    }
  }

  stop(): void {
    this.end('stopped');
    for (const session of [...this.sessions]) session.destroy('stopped');
  }

  private end(reason: string): void {
    this.isStopped = true;
    this.context.wheel.cancel(this.reconnect);
    this.failWaiters(reason);
  }

  // ---- SessionHandler ----

  onStream(_session: Session, _stream: Stream, _block: HeaderBlock, _ended: boolean): void {}

  onAlive(session: Session): void {
    this.backoff.reset();
    this.problem = '';
    this.isRenewing = false;
    this.connects++;
    const monitor = this.monitors.get(session)!;
    monitor.onAlive();
    for (const old of this.sessions) if (monitor.replaces === old) this.retireSession(old);
    monitor.replaces = null;
    this.serve();
    if (this.waiters.size > 0) this.connectSooner();
    this.fill();
    this.options.onChange();
  }

  onReadiness(): void {
    this.options.onChange();
  }

  /**
   * A graceful end has two GOAWAYs, the second after a round trip (gRFC A9): by then there is the replacement. One connection
   * too many, made for a burst, has none.
   */
  onGoaway(session: Session, code: number, debug: string): void {
    if (isTooManyPings(code, debug)) this.rationsPings = true;
    this.recordEnd(this.monitors.get(session)!);
    if (this.isBackingOff) this.fill();
    else if (this.activeCount < this.options.config.connections) this.replace(session);
    if (!this.isConnected) {
      this.problem = session.closeReason;
      this.isRenewing = this.isConnecting;
    }
    if (session.inFlight === 0) session.close('the peer said GOAWAY');
    // Without a replacement there is room for one more connection, which nothing else would make for those that wait already.
    if (this.waiters.size > 0) {
      if (this.isConnected) this.connectAgain();
      else this.connectSooner();
    }
    this.options.onChange();
  }

  onRoom(session: Session): void {
    if (session.isRetiring && session.inFlight === 0) return session.close('retired');
    if (this.waiters.size > 0) this.serve();
    if (session.connection.isExhausted && !session.isRetiring && !this.isBackingOff) this.replace(session);
  }

  onDown(session: Session, reason: string): void {
    const at = this.sessions.indexOf(session);
    if (at < 0) return;
    this.sessions.splice(at, 1);
    if (this.sessions.length === 0) this.context.connected.delete(this);
    const monitor = this.monitors.get(session)!;
    monitor.onDown();
    this.monitors.delete(session);
    if (!session.isAlive) {
      this.isRenewing = false;
      this.backoff.onFailure(this.context.clock.now());
      if (reason === REFUSED) this.refusedMs = this.context.clock.now();
      if (!this.isConnected) this.problem = reason;
      if (!this.isConnected && !this.isConnecting)
        this.failWaiters(reason, isOwnShortage(reason) ? 'ours' : 'theirs');
      if (monitor.replaces !== null) this.replaceLater(monitor.replaces);
    } else {
      if (!session.isRetiring) this.recordEnd(monitor);
      if (!this.isConnected) this.problem = reason;
      if (session.wasCut) this.options.onCut?.(monitor.aliveMs, session.lostCalls);
    }
    if (!this.isStopped) this.fill();
    if (this.waiters.size > 0) this.connectAgain();
    this.options.onChange();
  }

  /**
   * Attempts wait beside connections that are full, and the one made for them has not come about or has ended: the next one
   * comes after a pause, as their streams may last for hours and perhaps no other call arrives.
   */
  private connectAgain(): void {
    if (!this.isConnected || this.isConnecting) return;
    if (!this.isBackingOff) this.connectSooner();
    else if (!this.reconnect.isScheduled) this.context.wheel.add(this.reconnect, this.backoff.nextMs());
  }

  /** The peer ends a connection, once: a peer that ends each at once is not connected to without a pause. */
  private recordEnd(monitor: SessionMonitor): void {
    if (monitor.isEnding) return;
    monitor.isEnding = true;
    const now = this.context.clock.now();
    this.backoff.onEnd(monitor.wasOfUse(now), now);
  }

  /** Opens what is missing, or plans to after a failure. */
  private fill(): void {
    if (this.isStopped) return;
    const wanted = this.options.config.connections;
    if (this.activeCount >= wanted) return;
    if (this.isBackingOff) {
      const next = this.backoff.nextMs();
      if (!this.reconnect.isScheduled || this.reconnect.dueMs > next)
        this.context.wheel.add(this.reconnect, next);
      return;
    }
    while (this.activeCount < wanted) if (!this.mayOpen || !this.open()) return;
  }

  private onReconnect(): void {
    this.context.nowMs = this.context.clock.now();
    if (this.isStopped || this.isConnecting) return;
    const extra = this.waiters.size > 0 ? EXTRA_CONNECTIONS : 0;
    if (this.activeCount >= this.options.config.connections + extra) return;
    if (this.mayOpen) this.open();
    else if (!this.isConnected) this.failWaiters('there are as many connections as may be');
  }

  /** Opens a replacement; the old connection takes no more calls when the new one is alive. */
  private replace(session: Session): void {
    if (this.isStopped) return;
    for (const monitor of this.monitors.values()) if (monitor.replaces === session) return;
    const fresh = this.open();
    if (fresh) this.monitors.get(fresh)!.replaces = session;
  }

  /** A connection has reached its age: it is replaced, or retired when it is one too many. */
  private onAge(session: Session): void {
    if (this.activeCount > this.options.config.connections) this.retireSession(session);
    else this.replace(session);
  }

  /** The replacement did not come about. */
  private replaceLater(session: Session): void {
    const monitor = this.monitors.get(session);
    if (monitor === undefined || !session.isUsable) return;
    this.context.wheel.add(monitor.age, this.context.clock.now() + BACKOFF_MAX_MS);
  }

  /** The peer has reset a call on `session` with `code` before any response: a connection that only refuses is replaced. */
  recordRefusal(session: Session, code: number): void {
    if (session.isRetiring || session.isDown || !this.refusals.note(session, code, this.context.nowMs))
      return;
    this.context.stats.connectionsReplaced++;
    this.context.logger.warn({ code }, 'the peer resets every call on a connection, which is being replaced');
    this.replace(session);
  }

  /** A call that began at `sinceMs` on `session` got no answer in time: an otherwise silent connection is asked for a sign of life. */
  recordNoAnswer(session: Session, sinceMs: number): void {
    this.monitors.get(session)?.onNoAnswer(sinceMs);
  }

  private retireSession(session: Session): void {
    session.isRetiring = true;
    if (session.inFlight === 0) session.close('replaced');
  }

  private open(): Session | undefined {
    const socket = this.dial();
    if (socket === null) return undefined;
    if (socket === undefined) {
      this.problem = this.options.whyNot?.() ?? 'no identity to connect with yet';
      this.failWaiters(this.problem);
      // It may become valid again without a new one: a clock that was wrong is set.
      const { wheel, clock } = this.context;
      if (!this.isStopped && !this.reconnect.isScheduled)
        wheel.add(this.reconnect, clock.now() + (this.options.redialMs ?? BACKOFF_MAX_MS));
      return undefined;
    }
    const session = new Session(socket, 'client', this.options.settings, this, this.context);
    this.sessions.push(session);
    this.context.connected.add(this);
    const monitor = new SessionMonitor(session, this.options.config, () => this.onAge(session));
    if (this.rationsPings) monitor.ration = new PingRation();
    this.monitors.set(session, monitor);
    return session;
  }

  /** Undefined while there is no identity to present; null: it threw, and is tried again later. */
  private dial(): Socket | undefined | null {
    try {
      return this.options.dial();
    } catch (error) {
      this.context.containment.contain(this, error);
      return null;
    }
  }

  /** An exception on the way to a new connection counts as a failed connect. */
  giveUp(): void {
    const now = this.context.clock.now();
    this.backoff.onFailure(now);
    this.problem = 'internal error';
    if (!this.isStopped) this.context.wheel.add(this.reconnect, this.backoff.nextMs());
    if (!this.isConnected) this.failWaiters(this.problem);
  }

  private get isBackingOff(): boolean {
    return this.backoff.isActive(this.context.clock.now());
  }

  /** What gives its stream back at once makes room for the next one: that one is served here, not below. */
  private serve(): void {
    if (this.isServing) return;
    this.isServing = true;
    try {
      this.serveAll();
    } finally {
      this.isServing = false;
    }
  }

  private serveAll(): void {
    while (this.waiters.size > 0) {
      const session = this.acquire();
      if (session === null) return;
      const waiter = this.waiters.take()!;
      try {
        waiter.onSession(session);
      } catch (error) {
        this.context.containment.contain(waiter, error);
      }
    }
  }

  private failWaiters(reason: string, whose: 'theirs' | 'ours' = 'ours'): void {
    for (const waiter of this.waiters.clear()) {
      try {
        waiter.onConnectFailed(reason, whose);
      } catch (error) {
        this.context.containment.contain(waiter, error);
      }
    }
  }
}
