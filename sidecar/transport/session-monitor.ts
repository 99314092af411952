import type { PoolConfig } from '../config/model.js';
import { WheelEntry, WheelTimer } from '../runtime/time/timing-wheel.js';
import type { Session } from './session.js';

/**
 * Watches one connection of a pool with one timer: the time that its connect may take, then its silence. When no octets
 * come for `pingIntervalMs` while calls wait, a PING is sent; without an answer for `pingTimeoutMs` the connection is closed
 * (gRPC keepalive). A second timer is for the age at which the connection is replaced.
 */
export class SessionMonitor extends WheelEntry {
  readonly age: WheelTimer;
  /** The connection that this one replaces once it is alive. */
  replaces: Session | null = null;
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
    this.age = new WheelTimer(onAge);
    session.context.wheel.add(this, session.context.clock.now() + config.connectTimeoutMs);
  }

  /** The peer's SETTINGS have come. */
  onAlive(): void {
    const { wheel, clock, random } = this.session.context;
    wheel.cancel(this);
    this.isConnecting = false;
    const { maxAgeMs } = this.config;
    if (maxAgeMs > 0) wheel.add(this.age, clock.now() + maxAgeMs * (0.9 + 0.2 * random()));
  }

  /** A call takes the connection. */
  onUse(): void {
    const { nowMs, wheel } = this.session.context;
    const { pingIntervalMs } = this.config;
    this.usedMs = nowMs;
    if (pingIntervalMs > 0 && !this.isScheduled) wheel.add(this, nowMs + pingIntervalMs);
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
    const isPinged = this.pingedMs > session.lastReadMs;
    if (isPinged) {
      if (now - this.pingedMs >= config.pingTimeoutMs && !context.hasStalled())
        return session.destroy('no answer to a PING');
    } else if (now - session.lastReadMs >= config.pingIntervalMs) {
      this.pingedMs = now;
      session.connection.ping();
    }
    const nextMs =
      this.pingedMs > session.lastReadMs
        ? this.pingedMs + config.pingTimeoutMs
        : session.lastReadMs + config.pingIntervalMs;
    context.wheel.add(this, Math.max(nextMs, now + 4));
  }
}
