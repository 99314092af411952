import { connectionsToClose, hasStalled } from '../core/admission/stalled-work.js';
import type { DataPlaneContext } from './context.js';
import { type LimitDetails, logLimit } from './limit-log.js';
import type { Session } from './session.js';

/** Connections found in one look, at most: each look walks over all of them. */
const FOUND = 64;
/** Where a look has found none, the next one comes after this time, ms. */
const LOOK_MS = 100;
/** Connections that are being closed and whose peers have not done so, at most. */
const MOST_LEAVING = 64;
/** The same where descriptors are short: a quarter of the smallest reserve (runtime/process/descriptors.ts), as there are several listeners. */
const MOST_LEAVING_IN_SHORTAGE = 4;

/**
 * The places of a listener's connections. When all are taken, a new connection gets the place of the one that has been quiet
 * longest: without a call for some seconds, or with calls only whose callers owe the rest of a message for as long. A
 * connection on which a call moves, or waits for its endpoint, is never closed; only where these take every place, the
 * new connection is refused. The peer gets a GOAWAY, so that a call that it sends meanwhile is tried again elsewhere.
 */
export class ConnectionPlaces {
  /** They have lost their places. Oldest first. */
  private readonly leaving = new Set<Session>();
  /** Those that may be closed, as the last look found them; the first to be closed comes last. */
  private quiet: Session[] = [];
  private nextLookMs = Number.NEGATIVE_INFINITY;

  /** `sessions`: all of the listener. */
  constructor(
    private readonly sessions: ReadonlySet<Session>,
    private readonly most: number,
    private readonly context: DataPlaneContext,
  ) {}

  /** Whether one more than `open` connections finds a place, be it that of another. */
  mayTake(open: number): boolean {
    return this.hasFree(open) || this.next() !== undefined;
  }

  /** Takes a place for one more than `open` connections. False: there is none. */
  take(open: number): boolean {
    if (this.hasFree(open)) return true;
    return this.displace(MOST_LEAVING, {
      found: 'no call that moves, longer than on any other connection',
      allowed: `${this.most} connections`,
      option: 'limits.max_connections',
    });
  }

  /** Whether a new connection finds the descriptor of another one. */
  mayTakeDescriptor(): boolean {
    return this.next() !== undefined;
  }

  /** Takes the descriptor of another connection, where they are short. False: each of them is at work. */
  takeDescriptor(): boolean {
    return this.displace(MOST_LEAVING_IN_SHORTAGE, {
      found: 'no call that moves, longer than on any other connection',
      allowed: 'the file descriptors that the process may have',
      option: 'ulimit -n',
    });
  }

  private displace(mostLeaving: number, words: LimitDetails): boolean {
    const session = this.next();
    if (session === undefined) return false;
    this.quiet.pop();
    this.close(session, mostLeaving, words);
    return true;
  }

  /** The connection is closed. */
  forget(session: Session): void {
    this.leaving.delete(session);
  }

  private hasFree(open: number): boolean {
    return open - this.leaving.size < this.most;
  }

  /** The connection to be closed first; it is the last one of `quiet`. */
  private next(): Session | undefined {
    const nowMs = this.context.clock.now();
    const found = this.lastQuiet(nowMs);
    if (found !== undefined || nowMs < this.nextLookMs) return found;
    const staying = [...this.sessions].filter((session) => !this.leaving.has(session));
    this.quiet = connectionsToClose(staying, FOUND, nowMs).reverse();
    if (this.quiet.length === 0) this.nextLookMs = nowMs + LOOK_MS;
    return this.quiet.at(-1);
  }

  /** Drops those that have moved since they were found. */
  private lastQuiet(nowMs: number): Session | undefined {
    for (;;) {
      const last = this.quiet.at(-1);
      if (last === undefined || (!last.isDown && hasStalled(last.quietSinceMs, nowMs))) return last;
      this.quiet.pop();
    }
  }

  private close(session: Session, mostLeaving: number, words: LimitDetails): void {
    const { context, leaving } = this;
    const [oldest] = leaving;
    if (oldest !== undefined && leaving.size >= mostLeaving) oldest.destroy('its place is taken');
    leaving.add(session);
    context.stats.countLimit('displaced-connections');
    logLimit(context, 'displaced-connections', words, session.socket, session.subject);
    session.isRetiring = true;
    session.connection.finalGoaway();
    session.close('its place is taken');
  }
}
