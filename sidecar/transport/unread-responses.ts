import { giveUpAtMs, type ReadLimits } from '../core/deadline/unread-response.js';
import type { Connection } from '../http2/connection.js';
import { ErrorCode } from '../http2/constants.js';
import type { Stream } from '../http2/stream.js';
import { WheelEntry } from '../runtime/time/timing-wheel.js';
import type { DataPlaneContext } from './context.js';

const LOOK_MS = 1_000;
/** Of a stream whose owner has none of its own. */
const NO_LIMITS: ReadLimits = { deadlineMs: Number.POSITIVE_INFINITY, idleTimeoutMs: 0 };

/** A response that waits for its reader. */
interface Stall {
  readonly pendingBytes: number;
  /** When the reader had last taken something, as far as was looked. */
  readonly sinceMs: number;
}

/**
 * Looks after the responses of one connection that are complete on our side and wait for the peer to read them. Their calls
 * are over, and have no timer any more. A response that is not read in time is reset, so that its bytes and its stream are
 * free. Looks once a second, and only while there are any.
 */
export class UnreadResponses extends WheelEntry {
  private stalls = new Map<Stream, Stall>();

  constructor(
    private readonly connection: Connection,
    private readonly context: DataPlaneContext,
  ) {
    super();
  }

  /** There is one more, or may be. */
  watch(): void {
    const { clock, wheel } = this.context;
    if (!this.isScheduled) wheel.add(this, clock.now() + LOOK_MS);
  }

  stop(): void {
    this.context.wheel.cancel(this);
    this.stalls.clear();
  }

  fire(): void {
    const { context, connection, stalls: before } = this;
    const now = context.clock.now();
    context.nowMs = now;
    this.stalls = new Map();
    for (const stream of connection.state.table.all()) {
      if (!connection.isUnread(stream)) continue;
      const { pendingBytes, owner } = stream;
      const known = before.get(stream);
      const stall = known?.pendingBytes === pendingBytes ? known : { pendingBytes, sinceMs: now };
      if (now < giveUpAtMs(owner.readLimits ?? NO_LIMITS, stall.sinceMs)) this.stalls.set(stream, stall);
      else {
        context.stats.unreadResponses++;
        connection.reset(stream, ErrorCode.cancel);
      }
    }
    if (this.stalls.size > 0) context.wheel.add(this, now + LOOK_MS);
  }
}
