/**
 * Connections to one endpoint: opened before they are needed, proved alive by the peer's SETTINGS, watched by PING
 * while calls are in flight, replaced (make before break) by age, by GOAWAY, worn out (by stream ids or resets sent)
 * or on request.
 * Which endpoint a call goes to is decided elsewhere.
 */

import type { Socket } from 'node:net';
import type { PoolConfig } from '../config/model.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { LocalSettings } from '../http2/settings.js';
import type { Stream } from '../http2/stream.js';
import { WheelEntry } from '../runtime/time/timing-wheel.js';
import { ConnectionWaiters, type HeldByCaller } from './connection-waiters.js';
import type { DataPlaneContext } from './context.js';
import { RefusedStreams } from './refused-streams.js';
import { Session, type SessionHandler } from './session.js';
import { isOwnShortage } from './socket-error.js';

/** Waits between failed connects: ±20 % around 50 ms × 1.6ⁿ, at most 4 s (gRPC's connection backoff, faster at first). */
const BACKOFF_FIRST_MS = 50;
const BACKOFF_FACTOR = 1.6;
/** With its jitter of a fifth: who comes back is called within 5 s. */
const BACKOFF_MAX_MS = 4000;
/** A waiting call hurries the next connect, but not more often than this. */
const MIN_RECONNECT_MS = 20;
/** Connections beyond the configured number when the peer's stream limit is reached (gRFC A105). */
const EXTRA_CONNECTIONS = 3;

/** An attempt that needs a connection. Exactly one of the two is called, once. */
export interface Waiter extends HeldByCaller {
  onSession(session: Session): void;
  /** @param whose whether it says something about the endpoint. */
  onConnectFailed(reason: string, whose: 'theirs' | 'ours'): void;
}

export interface PoolOptions {
  readonly config: PoolConfig;
  readonly settings: LocalSettings;
  /** Opens a socket that will connect; undefined while we have no identity to present. */
  readonly dial: () => Socket | undefined;
  /** Why `dial` gave nothing, for people. */
  readonly whyNot?: () => string;
  /** Between two failed connects, at most; absent: 4 s. */
  readonly backoffMaxMs?: number;
  /** Whether a connection may be made that replaces none; absent: always. */
  readonly mayOpen?: () => boolean;
  /** The state changed: connected or not. */
  readonly onChange: () => void;
}

export class Pool implements SessionHandler {
  readonly sessions: Session[] = [];
  /** Why there is no connection, in a few words; empty while there is one. */
  problem = 'not connected yet';
  failures = 0;
  connects = 0;
  private readonly waiters = new ConnectionWaiters<Waiter>();
  private readonly monitors = new Map<Session, SessionMonitor>();
  private readonly reconnect: ReconnectTimer;
  private readonly refusals = new RefusedStreams();
  private lastFailureMs = Number.NEGATIVE_INFINITY;
  private isStopped = false;
  /** Attempts wait for a stream, as `isExhausted` says; called at each arrival. */
  onExhausted: (() => void) | null = null;

  constructor(
    private readonly options: PoolOptions,
    private readonly context: DataPlaneContext,
  ) {
    this.reconnect = new ReconnectTimer(this);
  }

  start(): void {
    this.fill();
  }

  /** Whether a call could be sent at once, stream limits aside. */
  get isConnected(): boolean {
    for (const session of this.sessions) if (session.isUsable) return true;
    return false;
  }

  get isConnecting(): boolean {
    for (const session of this.sessions) if (!session.isAlive) return true;
    return false;
  }

  get connectionCount(): number {
    let n = 0;
    for (const session of this.sessions) if (session.isAlive) n++;
    return n;
  }

  /** The live connection with the fewest calls, or null. */
  acquire(): Session | null {
    let best: Session | null = null;
    for (const session of this.sessions) {
      if (!session.isAlive || session.capacity <= 0) continue;
      if (best === null || session.inFlight < best.inFlight) best = session;
    }
    if (best === null) return null;
    const watch = this.monitors.get(best)!;
    const pingMs = this.options.config.pingIntervalMs;
    watch.usedMs = this.context.nowMs;
    if (pingMs > 0 && !watch.isScheduled) this.context.wheel.add(watch, this.context.nowMs + pingMs);
    return best;
  }

  /** Queues for a connection, and hurries one. */
  wait(waiter: Waiter): void {
    this.waiters.add(waiter);
    if (this.isStopped) return this.failWaiters('stopped');
    this.connectSooner();
  }

  /** One connect at a time: the next one now, or one more beside those that are full. */
  private connectSooner(): void {
    if (this.isConnecting) return;
    const now = this.context.clock.now();
    const next = Math.max(now, this.lastFailureMs + MIN_RECONNECT_MS);
    if (this.isConnected) {
      const most = this.options.config.connections + EXTRA_CONNECTIONS;
      if (this.activeCount >= most || !this.mayOpen) this.onExhausted?.();
      else if (next <= now) this.open();
    } else if (!this.reconnect.isScheduled || this.reconnect.dueMs > next) {
      this.context.wheel.add(this.reconnect, next);
    }
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

  /** Nothing new on the connections that stand: what they were made with is over. Calls on them end in peace. */
  expire(): void {
    for (const session of [...this.sessions])
      if (session.isAlive && !session.isRetiring) this.retireSession(session);
    this.fill();
    this.options.onChange();
  }

  /** No more connects; calls in flight go on; connections close when they are done. */
  retire(): void {
    this.isStopped = true;
    this.context.wheel.cancel(this.reconnect);
    this.failWaiters('the endpoint left');
    for (const session of [...this.sessions]) {
      session.isRetiring = true;
      if (session.inFlight === 0) session.close('retired');
    }
  }

  stop(): void {
    this.isStopped = true;
    this.context.wheel.cancel(this.reconnect);
    this.failWaiters('stopped');
    for (const session of [...this.sessions]) session.destroy('stopped');
  }

  // ---- SessionHandler ----

  onStream(_link: Session, _stream: Stream, _block: HeaderBlock, _ended: boolean): void {}

  onAlive(session: Session): void {
    this.failures = 0;
    this.problem = '';
    this.connects++;
    const watch = this.monitors.get(session)!;
    this.context.wheel.cancel(watch);
    watch.isConnecting = false;
    const age = this.options.config.maxAgeMs;
    if (age > 0) {
      const retireAtMs = this.context.clock.now() + age * (0.9 + 0.2 * this.context.random());
      this.context.wheel.add(watch.age, retireAtMs);
    }
    for (const old of this.sessions) if (watch.replaces === old) this.retireSession(old);
    watch.replaces = null;
    this.serve();
    if (this.waiters.size > 0) this.connectSooner();
    this.fill();
    this.options.onChange();
  }

  onGoaway(session: Session): void {
    this.replace(session);
    if (session.inFlight === 0) session.close('the peer said GOAWAY');
    this.options.onChange();
  }

  onRoom(session: Session): void {
    if (session.isRetiring && session.inFlight === 0) return session.close('retired');
    if (this.waiters.size > 0) this.serve();
    if (session.connection.isExhausted && !session.isRetiring && !this.isBackingOff) this.replace(session);
  }

  onDown(session: Session, reason: string): void {
    this.sessions.splice(this.sessions.indexOf(session), 1);
    const watch = this.monitors.get(session)!;
    this.context.wheel.cancel(watch);
    this.context.wheel.cancel(watch.age);
    this.monitors.delete(session);
    if (!session.isAlive) {
      this.failures++;
      this.lastFailureMs = this.context.clock.now();
      if (!this.isConnected) this.problem = reason;
      if (!this.isConnected && !this.isConnecting)
        this.failWaiters(reason, isOwnShortage(reason) ? 'ours' : 'theirs');
      if (watch.replaces !== null) this.replaceLater(watch.replaces);
    } else if (!this.isConnected) {
      this.problem = reason;
    }
    if (!this.isStopped) this.fill();
    this.options.onChange();
  }

  /** @internal Opens what is missing, or plans to after a failure. */
  fill(): void {
    if (this.isStopped) return;
    const wanted = this.options.config.connections;
    if (this.activeCount >= wanted) return;
    if (this.isBackingOff) {
      if (!this.reconnect.isScheduled)
        this.context.wheel.add(this.reconnect, this.lastFailureMs + this.backoffMs());
      return;
    }
    while (this.activeCount < wanted) if (!this.mayOpen || !this.open()) return;
  }

  /** @internal */
  reconnectNow(): void {
    this.context.nowMs = this.context.clock.now();
    if (this.isStopped || this.isConnecting) return;
    if (this.waiters.size === 0 && this.activeCount >= this.options.config.connections) return;
    if (this.mayOpen) this.open();
    else if (!this.isConnected) this.failWaiters('there are as many connections as may be');
  }

  /** @internal The watch's time has come: a connect that took too long, or silence while calls wait. */
  watchFired(watch: SessionMonitor): void {
    const { session } = watch;
    const { config } = this.options;
    const now = this.context.clock.now();
    if (watch.isConnecting) return session.destroy('connect timeout');
    // Calls that gave up before the PING was due leave a silence to be explained all the same.
    if (session.inFlight === 0 && watch.usedMs <= session.lastReadMs) return;
    const silentMs = now - session.lastReadMs;
    if (watch.pingedMs > session.lastReadMs) {
      if (now - watch.pingedMs >= config.pingTimeoutMs && !this.context.hasStalled()) {
        return session.destroy('no answer to a PING');
      }
    } else if (silentMs >= config.pingIntervalMs) {
      watch.pingedMs = now;
      session.connection.ping();
    }
    const nextMs =
      watch.pingedMs > session.lastReadMs
        ? watch.pingedMs + config.pingTimeoutMs
        : session.lastReadMs + config.pingIntervalMs;
    this.context.wheel.add(watch, Math.max(nextMs, now + 4));
  }

  /** @internal Opens a replacement; the old connection is let go when the new one is alive. */
  replace(session: Session): void {
    if (this.isStopped) return;
    for (const watch of this.monitors.values()) if (watch.replaces === session) return;
    const fresh = this.open();
    if (fresh) this.monitors.get(fresh)!.replaces = session;
  }

  /** @internal Its age has come: replaced, or let go when it was one too many. */
  outlived(session: Session): void {
    if (this.activeCount > this.options.config.connections) this.retireSession(session);
    else this.replace(session);
  }

  /** The replacement did not come about. */
  private replaceLater(session: Session): void {
    const watch = this.monitors.get(session);
    if (watch === undefined || !session.isUsable) return;
    this.context.wheel.add(watch.age, this.context.clock.now() + BACKOFF_MAX_MS);
  }

  /** The peer has reset a call on `session` with `code` before any answer: a connection that only refuses is replaced. */
  noteRefusal(session: Session, code: number): void {
    if (session.isRetiring || session.isDown || !this.refusals.note(session, code, this.context.nowMs))
      return;
    this.context.stats.connectionsReplaced++;
    this.context.logger.warn({ code }, 'the peer resets every call on a connection, which is being replaced');
    this.replace(session);
  }

  private retireSession(session: Session): void {
    session.isRetiring = true;
    if (session.inFlight === 0) session.close('replaced');
  }

  private open(): Session | undefined {
    const socket = this.options.dial();
    if (socket === undefined) {
      this.problem = this.options.whyNot?.() ?? 'no identity to connect with yet';
      this.failWaiters(this.problem);
      return undefined;
    }
    const session = new Session(socket, 'client', this.options.settings, this, this.context);
    this.sessions.push(session);
    const watch = new SessionMonitor(session, this);
    this.monitors.set(session, watch);
    this.context.wheel.add(watch, this.context.clock.now() + this.options.config.connectTimeoutMs);
    return session;
  }

  /** A connect has failed, and the next one is not due yet. */
  private get isBackingOff(): boolean {
    return this.failures > 0 && this.context.clock.now() < this.lastFailureMs + this.backoffMs();
  }

  private backoffMs(): number {
    const { backoffMaxMs = BACKOFF_MAX_MS } = this.options;
    const base = Math.min(BACKOFF_FIRST_MS * BACKOFF_FACTOR ** (this.failures - 1), backoffMaxMs);
    return base * (0.8 + 0.4 * this.context.random());
  }

  private serve(): void {
    while (this.waiters.size > 0) {
      const session = this.acquire();
      if (session === null) return;
      this.waiters.take()!.onSession(session);
    }
  }

  private failWaiters(reason: string, whose: 'theirs' | 'ours' = 'ours'): void {
    for (const waiter of this.waiters.clear()) waiter.onConnectFailed(reason, whose);
  }
}

class SessionMonitor extends WheelEntry {
  isConnecting = true;
  pingedMs = 0;
  /** When the last call took it. */
  usedMs = 0;
  /** The connection this one stands in for once it is alive. */
  replaces: Session | null = null;
  readonly age: AgeTimer;

  constructor(
    readonly session: Session,
    private readonly pool: Pool,
  ) {
    super();
    this.age = new AgeTimer(session, pool);
  }
  fire(): void {
    this.pool.watchFired(this);
  }
}

class AgeTimer extends WheelEntry {
  constructor(
    private readonly session: Session,
    private readonly pool: Pool,
  ) {
    super();
  }
  fire(): void {
    this.pool.outlived(this.session);
  }
}

class ReconnectTimer extends WheelEntry {
  constructor(private readonly pool: Pool) {
    super();
  }
  fire(): void {
    this.pool.reconnectNow();
  }
}
