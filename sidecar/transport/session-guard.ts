import { WheelEntry } from '../runtime/time/timing-wheel.js';
import { IdleWatch, PONG_MS } from './keepalive/idle-watch.js';
import type { Session } from './session.js';

/** A frame or header block that has begun must be complete after this long. */
const STALLED_FRAME_MS = 10_000;
/** An idle connection is looked at this often. */
const LOOK_EVERY_MS = 60_000;
/**
 * First GOAWAY to second: at least this long, and until a PING that followed the first has come back, because a peer that
 * stands still has not read it and opens streams meanwhile. A peer that answers no PING is waited for `GOAWAY_UNHEARD_MS`.
 */
const GOAWAY_GAP_MS = 250;
const GOAWAY_UNHEARD_MS = 3_000;
/** A certificate is taken as expired this long after it is: clocks differ, and peers renew at the last moment. */
export const EXPIRY_LEEWAY_MS = 2_000;
/** How long the calls in flight on the connection of an expired certificate may take to end. */
export const EXPIRED_CALLS_MS = 10_000;

/**
 * Watches one accepted connection with one timer: the time of its handshake, frames that are begun and not finished, the
 * expiry of the peer's certificate, connections without a use, peers that are gone (`IdleWatch`), and the two phases of a
 * GOAWAY (RFC 9113 section 6.8).
 */
export class SessionGuard extends WheelEntry {
  private phase: 'handshake' | 'watch' | 'goaway' | 'drain' = 'handshake';
  private readonly handshakeByMs: number;
  /** When the connection of an expired certificate ends, with calls in flight or not. */
  private endByMs = Number.POSITIVE_INFINITY;
  /** When the second GOAWAY may be sent to a peer that has read the first, and when to any. */
  private secondFromMs = 0;
  private secondByMs = 0;
  /** The peer has answered the PING that followed the first GOAWAY. */
  private isHeard = false;
  /** When a look found the present frame incomplete, and how many bytes had been read when its last one is here. */
  private midFrameSinceMs = 0;
  private frameEndsAt = 0;
  private readonly idle: IdleWatch;

  /** `listener`: what has accepted it. */
  constructor(
    private readonly session: Session,
    private readonly listener: { readonly sessions: ReadonlySet<Session>; readonly isDraining: boolean },
    handshakeTimeoutMs: number,
  ) {
    super();
    this.idle = new IdleWatch(session.context.clock.now());
    this.handshakeByMs = session.context.clock.now() + handshakeTimeoutMs;
    this.wakeBy(this.handshakeByMs);
  }

  /** Between the first GOAWAY and the second. */
  get isGoawayPending(): boolean {
    return this.phase === 'goaway';
  }

  /** An exception of this timer ends the connection. */
  giveUp(): void {
    this.session.giveUp();
  }

  /** Sends the first GOAWAY, which takes no stream away, and plans the second. */
  retire(): void {
    const { session } = this;
    if (session.isDown) return;
    session.isRetiring = true;
    session.connection.announceGoaway();
    const { clock, wheel } = session.context;
    this.phase = 'goaway';
    this.secondFromMs = clock.now() + GOAWAY_GAP_MS;
    this.secondByMs = clock.now() + GOAWAY_UNHEARD_MS;
    wheel.add(this, this.secondFromMs);
    session.ping(() => {
      this.isHeard = true;
      if (this.phase === 'goaway') wheel.add(this, Math.max(clock.now(), this.secondFromMs));
    });
  }

  fire(): void {
    const { session } = this;
    if (session.isDown) return;
    const now = session.context.clock.now();
    if (this.phase === 'handshake') {
      if (now < this.handshakeByMs && !this.isExpired) return this.wakeBy(this.handshakeByMs);
      const { gotSettings, settingsAcked } = session.connection.state;
      if (!gotSettings || !settingsAcked)
        return this.destroy('handshake-timeout', 'no preface, SETTINGS or acknowledgement in time');
      this.phase = 'watch';
    } else if (this.phase === 'goaway') {
      if (!this.isHeard && now < this.secondByMs) return session.context.wheel.add(this, this.secondByMs);
      this.phase = 'drain';
      session.connection.finalGoaway();
      if (session.inFlight === 0) return session.close('drained');
    }
    if (session.notAfterMs !== Number.POSITIVE_INFINITY && this.isExpired) this.onExpired(now);
    else this.checkFrames(now);
  }

  private get isExpired(): boolean {
    const { context, notAfterMs } = this.session;
    return context.clock.wallNow() >= notAfterMs + EXPIRY_LEEWAY_MS;
  }

  /**
   * No new calls; those in flight have `EXPIRED_CALLS_MS` to end, and longer as long as the peer has shown on another
   * connection that it has a valid certificate of the same identity. A listener that drains takes no such connection, so the
   * peer cannot show it: the end of the drain is the bound then.
   */
  private onExpired(nowMs: number): void {
    const { session } = this;
    const { context, subject: peer, notAfterMs } = session;
    if (this.phase === 'watch') {
      context.stats.countLimit('expired-certificate');
      context.logger.info(
        { peer, notAfter: new Date(notAfterMs).toISOString() },
        'the certificate of a peer has expired: its connection ends',
      );
      this.retire();
      // Whether the peer has answered the PING or not.
      this.secondByMs = this.secondFromMs;
      return;
    }
    const isFirst = this.endByMs === Number.POSITIVE_INFINITY;
    const isOver = !isFirst && nowMs >= this.endByMs;
    if (isFirst || (isOver && (this.listener.isDraining || this.hasRenewed())))
      this.endByMs = nowMs + EXPIRED_CALLS_MS;
    else if (isOver) return session.close('its certificate has expired');
    context.wheel.add(this, this.endByMs);
  }

  /** Whether the same peer, from the same address, has another connection with a certificate that has not expired. */
  private hasRenewed(): boolean {
    const { context, subject, socket } = this.session;
    const wallNow = context.clock.wallNow();
    for (const other of this.listener.sessions) {
      const isSame = other.subject === subject && other.socket.remoteAddress === socket.remoteAddress;
      if (isSame && other.notAfterMs > wallNow && !other.isDown) return true;
    }
    return false;
  }

  /**
   * Ends a connection on which a frame has been begun and not finished; sleeps long when nothing is pending. On a slow path each
   * look at an upload finds a frame incomplete: by the bytes read since, it is another one.
   */
  private checkFrames(nowMs: number): void {
    const { session } = this;
    const { unfinishedSinceMs, isMidFrame, missingBytes } = session.connection;
    if (!isMidFrame) this.midFrameSinceMs = 0;
    else if (this.midFrameSinceMs === 0 || session.bytesRead >= this.frameEndsAt) {
      this.midFrameSinceMs = nowMs;
      this.frameEndsAt = session.bytesRead + missingBytes;
    }
    const isUnfinished = unfinishedSinceMs > 0 && nowMs - unfinishedSinceMs >= STALLED_FRAME_MS;
    const isStalled = this.midFrameSinceMs > 0 && nowMs - this.midFrameSinceMs >= STALLED_FRAME_MS;
    if (isUnfinished || (isStalled && nowMs - session.lastReadMs >= 1000))
      return this.destroy('stalled-frame', 'a frame was begun and not finished');
    this.checkUse(nowMs);
  }

  /** Ends a connection that nobody uses, or whose peer is gone; else plans the next look. */
  private checkUse(nowMs: number): void {
    const { session } = this;
    const { context, lastReadMs, inFlight: calls } = session;
    const { lastPeerId: lastStreamId } = session.connection.state;
    const hasStalled = context.hasStalled();
    const verdict = this.idle.look({ nowMs, lastReadMs, calls, lastStreamId, hasStalled });
    if (verdict === 'dead') return this.destroy('keepalive', 'no answer to a PING');
    if (verdict === 'idle' && this.phase === 'watch') {
      context.stats.countLimit('idle');
      return this.retire();
    }
    if (verdict === 'ping') {
      session.connection.ping();
      return this.wakeBy(nowMs + PONG_MS);
    }
    const isBusy = calls > 0 || this.midFrameSinceMs > 0;
    this.wakeBy(nowMs + (isBusy ? STALLED_FRAME_MS / 2 : LOOK_EVERY_MS));
  }

  private destroy(limit: 'handshake-timeout' | 'stalled-frame' | 'keepalive', reason: string): void {
    this.session.context.stats.countLimit(limit);
    this.session.destroy(reason);
  }

  /** Wakes at `dueMs`, or when the peer's certificate has expired by then. */
  private wakeBy(dueMs: number): void {
    const { context, notAfterMs } = this.session;
    const leftMs = notAfterMs + EXPIRY_LEEWAY_MS - context.clock.wallNow();
    context.wheel.add(this, Math.min(dueMs, context.clock.now() + Math.max(0, leftMs)));
  }
}
