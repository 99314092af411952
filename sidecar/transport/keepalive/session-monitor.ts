import type { PoolConfig } from '../../config/model.js';
import { WheelEntry, WheelTimer } from '../../runtime/time/timing-wheel.js';
import type { Session } from '../session.js';
import type { PingRation } from './ping-ration.js';

/** A socket that holds so many bytes takes no more before they are sent: Node's mark. The kernel has what it can hold by then. */
const FULL_BYTES = 16 * 1024;
/** A connection that has lived for so long was of use. */
const SHORT_LIFE_MS = 1000;

/**
 * Watches one connection of a pool with one timer: the time that its connect may take, then its silence. When no bytes
 * come for `pingIntervalMs` while calls wait, a PING is sent; without an answer for `pingTimeoutMs` the connection is closed
 * (gRPC keepalive), as far as the peer bears PINGs (`PingRation`). A call that got no answer in time does not wait for that: it has the PING sent at once (decision 0095). A
 * second timer is for the age at which the connection is replaced.
 */
export class SessionMonitor extends WheelEntry {
  readonly age: WheelTimer;
  /** The connection that this one replaces once it is alive. */
  replaces: Session | null = null;
  /** Its end has been noted. */
  isEnding = false;
  /** Null: the peer bears every PING. */
  ration: PingRation | null = null;
  /** When the peer's SETTINGS came, monotonic ms. */
  aliveMs = 0;
  private isConnecting = true;
  private pingedMs = 0;
  /** When the last call took the connection. */
  private usedMs = 0;

  constructor(
    private readonly session: Session,
    private readonly config: PoolConfig,
    onAge: () => void,
  ) {
    super();
    this.age = new WheelTimer(onAge, session);
    session.context.wheel.add(this, session.context.clock.now() + config.connectTimeoutMs);
  }

  /** The peer's SETTINGS have come. */
  onAlive(): void {
    const { wheel, clock, random } = this.session.context;
    wheel.cancel(this);
    this.isConnecting = false;
    this.aliveMs = clock.now();
    const { maxAgeMs } = this.config;
    if (maxAgeMs > 0) wheel.add(this.age, clock.now() + maxAgeMs * (0.9 + 0.2 * random()));
  }

  /** It has answered a call, or lived for a while. */
  wasOfUse(nowMs: number): boolean {
    return this.session.responses > 0 || nowMs - this.aliveMs >= SHORT_LIFE_MS;
  }

  /** A call takes the connection. */
  onUse(): void {
    const { nowMs, wheel } = this.session.context;
    const { pingIntervalMs } = this.config;
    this.usedMs = nowMs;
    if (pingIntervalMs > 0 && !this.isScheduled) wheel.add(this, nowMs + pingIntervalMs);
  }

  /**
   * A call has got no answer in time. Where nothing has come from the peer since the call began, at `sinceMs`, the PING of a
   * longer silence is sent now. A socket that is full explains a silence, and would hold the PING up as well.
   */
  onNoAnswer(sinceMs: number): void {
    const { session, config } = this;
    const { lastReadMs, context } = session;
    if (this.isConnecting || session.isDown || config.pingIntervalMs === 0) return;
    if (lastReadMs >= sinceMs || this.pingedMs > lastReadMs) return;
    if (session.socket.writableLength >= FULL_BYTES || context.hasStalled()) return;
    this.sendPing(context.clock.now());
    context.wheel.add(this, this.pingedMs + config.pingTimeoutMs);
  }

  /** An exception of this timer ends the connection. */
  giveUp(): void {
    this.session.giveUp();
  }

  onDown(): void {
    this.session.context.wheel.cancel(this);
    this.session.context.wheel.cancel(this.age);
  }

  fire(): void {
    const { session, config } = this;
    const { context } = session;
    if (this.isConnecting) return session.destroy('connect timeout');
    // Calls that gave up before the PING was due leave a silence to be explained all the same.
    if (session.inFlight === 0 && this.usedMs <= session.lastReadMs) return;
    const now = context.clock.now();
    if (session.lastReadMs > session.lastPongMs) this.ration?.onSign();
    const isPinged = this.pingedMs > session.lastReadMs;
    if (isPinged) {
      if (now - this.pingedMs >= config.pingTimeoutMs && !context.hasStalled())
        return session.destroy('no answer to a PING');
    } else if (now >= this.pingDueMs) {
      this.sendPing(now);
    }
    // A sign of life meanwhile makes the next PING due sooner.
    const nextMs =
      this.pingedMs > session.lastReadMs
        ? this.pingedMs + config.pingTimeoutMs
        : Math.min(this.pingDueMs, now + config.pingIntervalMs);
    context.wheel.add(this, Math.max(nextMs, now + 4));
  }

  /** When the present silence is to be explained by a PING. */
  private get pingDueMs(): number {
    const dueMs = this.session.lastReadMs + this.config.pingIntervalMs;
    return this.ration === null ? dueMs : this.ration.notBefore(dueMs);
  }

  private sendPing(nowMs: number): void {
    this.ration?.onPing(nowMs);
    this.pingedMs = nowMs;
    this.session.connection.ping();
  }
}
