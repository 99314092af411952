import type { PoolConfig } from '../config/model.js';
import { WheelEntry, WheelTimer } from '../runtime/time/timing-wheel.js';
import type { Session } from './session.js';

/** A socket that holds so many octets takes no more before they are sent: Node's mark. The kernel has what it can hold by then. */
const FULL_BYTES = 16 * 1024;

/**
 * Watches one connection of a pool with one timer: the time that its connect may take, then its silence. When no octets
 * come for `pingIntervalMs` while calls wait, a PING is sent; without an answer for `pingTimeoutMs` the connection is closed
 * (gRPC keepalive). A call that got no answer in time does not wait for that: it has the PING sent at once (decision 0095). A
 * second timer is for the age at which the connection is replaced.
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
      this.sendPing(now);
    }
    const nextMs =
      this.pingedMs > session.lastReadMs
        ? this.pingedMs + config.pingTimeoutMs
        : session.lastReadMs + config.pingIntervalMs;
    context.wheel.add(this, Math.max(nextMs, now + 4));
  }

  private sendPing(nowMs: number): void {
    this.pingedMs = nowMs;
    this.session.connection.ping();
  }
}
