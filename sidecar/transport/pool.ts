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
import { type Held, Waiters } from './connection-waiters.js';
import type { DataPlaneContext } from './context.js';
import { Refusals } from './refused-streams.js';
import { Session, type SessionHandler } from './session.js';
import { isOwnShortage } from './socket-error.js';

/** Waits between failed connects: ±20 % around 50 ms × 1.6ⁿ, at most 4 s (gRPC's connection backoff, faster at first). */
const BACKOFF_FIRST_MS = 50;
const BACKOFF_FACTOR = 1.6;
/** With its jitter of a fifth: who comes back is called within 5 s. */
const BACKOFF_MAX_MS = 4000;
/** A waiting call hurries the next connect, but not more often than this. */
const HURRY_MS = 20;
/** Connections beyond the configured number when the peer's stream limit is reached (gRFC A105). */
const EXTRA_CONNECTIONS = 3;

/** An attempt that needs a connection. Exactly one of the two is called, once. */
export interface Waiter extends Held {
  onLink(link: Session): void;
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
  readonly links: Session[] = [];
  /** Why there is no connection, in a few words; empty while there is one. */
  problem = 'not connected yet';
  failures = 0;
  connects = 0;
  private readonly waiters = new Waiters<Waiter>();
  private readonly watches = new Map<Session, Watch>();
  private readonly reconnect: Reconnect;
  private readonly refusals = new Refusals();
  private lastFailureMs = Number.NEGATIVE_INFINITY;
  private isStopped = false;
  /** Attempts wait for a stream, as `isShort` says; told at each arrival. */
  onShort: (() => void) | null = null;

  constructor(
    private readonly options: PoolOptions,
    private readonly relay: DataPlaneContext,
  ) {
    this.reconnect = new Reconnect(this);
  }

  start(): void {
    this.fill();
  }

  /** Whether a call could be sent at once, stream limits aside. */
  get isConnected(): boolean {
    for (const link of this.links) if (link.isUsable) return true;
    return false;
  }

  get isConnecting(): boolean {
    for (const link of this.links) if (!link.isAlive) return true;
    return false;
  }

  get connectionCount(): number {
    let n = 0;
    for (const link of this.links) if (link.isAlive) n++;
    return n;
  }

  /** The live connection with the fewest calls, or null. */
  acquire(): Session | null {
    let best: Session | null = null;
    for (const link of this.links) {
      if (!link.isAlive || link.capacity <= 0) continue;
      if (best === null || link.inFlight < best.inFlight) best = link;
    }
    if (best === null) return null;
    const watch = this.watches.get(best)!;
    const pingMs = this.options.config.pingIntervalMs;
    watch.usedMs = this.relay.nowMs;
    if (pingMs > 0 && !watch.isScheduled) this.relay.wheel.add(watch, this.relay.nowMs + pingMs);
    return best;
  }

  /** Queues for a connection, and hurries one. */
  wait(waiter: Waiter): void {
    this.waiters.add(waiter);
    if (this.isStopped) return this.failWaiters('stopped');
    this.hurry();
  }

  /** One connect at a time: the next one now, or one more beside those that are full. */
  private hurry(): void {
    if (this.isConnecting) return;
    const now = this.relay.clock.now();
    const next = Math.max(now, this.lastFailureMs + HURRY_MS);
    if (this.isConnected) {
      const most = this.options.config.connections + EXTRA_CONNECTIONS;
      if (this.current >= most || !this.mayOpen) this.onShort?.();
      else if (next <= now) this.open();
    } else if (!this.reconnect.isScheduled || this.reconnect.dueMs > next) {
      this.relay.wheel.add(this.reconnect, next);
    }
  }

  private get mayOpen(): boolean {
    return this.options.mayOpen === undefined || this.options.mayOpen();
  }

  /** Connections that are not on their way out. */
  get current(): number {
    let n = 0;
    for (const link of this.links) if (!link.isRetiring) n++;
    return n;
  }

  /** Whether an attempt would get a connection at once. */
  get hasRoom(): boolean {
    for (const link of this.links) if (link.isAlive && link.capacity > 0) return true;
    return false;
  }

  /** Attempts wait for a stream: every connection is at its peer's limit, and there may be no more of them. */
  get isShort(): boolean {
    if (this.waiters.size === 0 || this.hasRoom || !this.isConnected || this.isConnecting) return false;
    return this.current >= this.options.config.connections + EXTRA_CONNECTIONS || !this.mayOpen;
  }

  /** Whether attempts of any other caller wait. */
  hasWaitersBesides(holder: object): boolean {
    return this.waiters.hasOthersThan(holder);
  }

  /** Streams under way on all connections. */
  get inFlight(): number {
    let n = 0;
    for (const link of this.links) n += link.inFlight;
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
    for (const link of this.links) if (link.isAlive && !link.isRetiring) this.replace(link);
    if (!this.isConnected && !this.isConnecting) this.fill();
  }

  /** Nothing new on the connections that stand: what they were made with is over. Calls on them end in peace. */
  expire(): void {
    for (const link of [...this.links]) if (link.isAlive && !link.isRetiring) this.letGo(link);
    this.fill();
    this.options.onChange();
  }

  /** No more connects; calls in flight go on; connections close when they are done. */
  retire(): void {
    this.isStopped = true;
    this.relay.wheel.cancel(this.reconnect);
    this.failWaiters('the endpoint left');
    for (const link of [...this.links]) {
      link.isRetiring = true;
      if (link.inFlight === 0) link.close('retired');
    }
  }

  stop(): void {
    this.isStopped = true;
    this.relay.wheel.cancel(this.reconnect);
    this.failWaiters('stopped');
    for (const link of [...this.links]) link.destroy('stopped');
  }

  // ---- SessionHandler ----

  onStream(_link: Session, _stream: Stream, _block: HeaderBlock, _ended: boolean): void {}

  onAlive(link: Session): void {
    this.failures = 0;
    this.problem = '';
    this.connects++;
    const watch = this.watches.get(link)!;
    this.relay.wheel.cancel(watch);
    watch.isConnecting = false;
    const age = this.options.config.maxAgeMs;
    if (age > 0) {
      const retireAtMs = this.relay.clock.now() + age * (0.9 + 0.2 * this.relay.random());
      this.relay.wheel.add(watch.age, retireAtMs);
    }
    for (const old of this.links) if (watch.replaces === old) this.letGo(old);
    watch.replaces = null;
    this.serve();
    if (this.waiters.size > 0) this.hurry();
    this.fill();
    this.options.onChange();
  }

  onGoaway(link: Session): void {
    this.replace(link);
    if (link.inFlight === 0) link.close('the peer said GOAWAY');
    this.options.onChange();
  }

  onRoom(link: Session): void {
    if (link.isRetiring && link.inFlight === 0) return link.close('retired');
    if (this.waiters.size > 0) this.serve();
    if (link.connection.isWorn && !link.isRetiring && !this.isBackingOff) this.replace(link);
  }

  onDown(link: Session, reason: string): void {
    this.links.splice(this.links.indexOf(link), 1);
    const watch = this.watches.get(link)!;
    this.relay.wheel.cancel(watch);
    this.relay.wheel.cancel(watch.age);
    this.watches.delete(link);
    if (!link.isAlive) {
      this.failures++;
      this.lastFailureMs = this.relay.clock.now();
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
    if (this.current >= wanted) return;
    if (this.isBackingOff) {
      if (!this.reconnect.isScheduled)
        this.relay.wheel.add(this.reconnect, this.lastFailureMs + this.backoffMs());
      return;
    }
    while (this.current < wanted) if (!this.mayOpen || !this.open()) return;
  }

  /** @internal */
  reconnectNow(): void {
    this.relay.nowMs = this.relay.clock.now();
    if (this.isStopped || this.isConnecting) return;
    if (this.waiters.size === 0 && this.current >= this.options.config.connections) return;
    if (this.mayOpen) this.open();
    else if (!this.isConnected) this.failWaiters('there are as many connections as may be');
  }

  /** @internal The watch's time has come: a connect that took too long, or silence while calls wait. */
  watchFired(watch: Watch): void {
    const { link } = watch;
    const { config } = this.options;
    const now = this.relay.clock.now();
    if (watch.isConnecting) return link.destroy('connect timeout');
    // Calls that gave up before the PING was due leave a silence to be explained all the same.
    if (link.inFlight === 0 && watch.usedMs <= link.lastReadMs) return;
    const silentMs = now - link.lastReadMs;
    if (watch.pingedMs > link.lastReadMs) {
      if (now - watch.pingedMs >= config.pingTimeoutMs && !this.relay.hasStalled()) {
        return link.destroy('no answer to a PING');
      }
    } else if (silentMs >= config.pingIntervalMs) {
      watch.pingedMs = now;
      link.connection.ping();
    }
    const nextMs =
      watch.pingedMs > link.lastReadMs
        ? watch.pingedMs + config.pingTimeoutMs
        : link.lastReadMs + config.pingIntervalMs;
    this.relay.wheel.add(watch, Math.max(nextMs, now + 4));
  }

  /** @internal Opens a replacement; the old connection is let go when the new one is alive. */
  replace(link: Session): void {
    if (this.isStopped) return;
    for (const watch of this.watches.values()) if (watch.replaces === link) return;
    const fresh = this.open();
    if (fresh) this.watches.get(fresh)!.replaces = link;
  }

  /** @internal Its age has come: replaced, or let go when it was one too many. */
  outlived(link: Session): void {
    if (this.current > this.options.config.connections) this.letGo(link);
    else this.replace(link);
  }

  /** The replacement did not come about. */
  private replaceLater(link: Session): void {
    const watch = this.watches.get(link);
    if (watch === undefined || !link.isUsable) return;
    this.relay.wheel.add(watch.age, this.relay.clock.now() + BACKOFF_MAX_MS);
  }

  /** The peer has reset a call on `link` with `code` before any answer: a connection that only refuses is replaced. */
  noteRefusal(link: Session, code: number): void {
    if (link.isRetiring || link.isDown || !this.refusals.note(link, code, this.relay.nowMs)) return;
    this.relay.stats.connectionsConvicted++;
    this.relay.logger.warn({ code }, 'the peer resets every call on a connection, which is being replaced');
    this.replace(link);
  }

  private letGo(link: Session): void {
    link.isRetiring = true;
    if (link.inFlight === 0) link.close('replaced');
  }

  private open(): Session | undefined {
    const socket = this.options.dial();
    if (socket === undefined) {
      this.problem = this.options.whyNot?.() ?? 'no identity to connect with yet';
      this.failWaiters(this.problem);
      return undefined;
    }
    const link = new Session(socket, 'client', this.options.settings, this, this.relay);
    this.links.push(link);
    const watch = new Watch(link, this);
    this.watches.set(link, watch);
    this.relay.wheel.add(watch, this.relay.clock.now() + this.options.config.connectTimeoutMs);
    return link;
  }

  /** A connect has failed, and the next one is not due yet. */
  private get isBackingOff(): boolean {
    return this.failures > 0 && this.relay.clock.now() < this.lastFailureMs + this.backoffMs();
  }

  private backoffMs(): number {
    const { backoffMaxMs = BACKOFF_MAX_MS } = this.options;
    const base = Math.min(BACKOFF_FIRST_MS * BACKOFF_FACTOR ** (this.failures - 1), backoffMaxMs);
    return base * (0.8 + 0.4 * this.relay.random());
  }

  private serve(): void {
    while (this.waiters.size > 0) {
      const link = this.acquire();
      if (link === null) return;
      this.waiters.take()!.onLink(link);
    }
  }

  private failWaiters(reason: string, whose: 'theirs' | 'ours' = 'ours'): void {
    for (const waiter of this.waiters.clear()) waiter.onConnectFailed(reason, whose);
  }
}

class Watch extends WheelEntry {
  isConnecting = true;
  pingedMs = 0;
  /** When the last call took it. */
  usedMs = 0;
  /** The connection this one stands in for once it is alive. */
  replaces: Session | null = null;
  readonly age: Age;

  constructor(
    readonly link: Session,
    private readonly pool: Pool,
  ) {
    super();
    this.age = new Age(link, pool);
  }
  fire(): void {
    this.pool.watchFired(this);
  }
}

class Age extends WheelEntry {
  constructor(
    private readonly link: Session,
    private readonly pool: Pool,
  ) {
    super();
  }
  fire(): void {
    this.pool.outlived(this.link);
  }
}

class Reconnect extends WheelEntry {
  constructor(private readonly pool: Pool) {
    super();
  }
  fire(): void {
    this.pool.reconnectNow();
  }
}
