import { ErrorCode } from '../http2/constants.js';
import type { Session } from './session.js';

/** Refusals in a row, without a response, after which a connection is replaced. */
const REFUSALS_IN_A_ROW = 5;
/** From one replacement to the next; doubles while replacements do not help. */
const FIRST_GAP_MS = 1_000;
const LONGEST_GAP_MS = 60_000;
/** A connection with so many responses did work: the next gap is the first again. */
const PROVEN_RESPONSES = 100;

/** What is known of one connection; the refused call is no longer among those in flight. */
type RefusingSession = Pick<Session, 'refusals' | 'responses' | 'inFlight'>;

/**
 * Finds connections on which the peer resets call after call, though it may serve others on a new one: an HTTP/2 server
 * that has lost the state of one connection answers every stream of it with ENHANCE_YOUR_CALM. Such a connection is
 * replaced, make before break. The evidence is a number of refusals in a row without a response, never the time; and a
 * server that refuses everywhere does not get one connection per call.
 */
export class RefusedStreams {
  private gapMs = 0;
  private replacedMs = Number.NEGATIVE_INFINITY;

  /** Notes a call that was reset with `code` before any response. True: the connection is to be replaced. */
  note(session: RefusingSession, code: number, nowMs: number): boolean {
    if (!this.isRefusal(session, code)) return false;
    session.refusals += 1;
    if (session.refusals < REFUSALS_IN_A_ROW) return false;
    const hasWorked = session.responses >= PROVEN_RESPONSES;
    const gapMs = hasWorked ? Math.min(this.gapMs, FIRST_GAP_MS) : this.gapMs;
    if (nowMs - this.replacedMs < gapMs) return false;
    this.gapMs = hasWorked ? FIRST_GAP_MS : Math.min(Math.max(gapMs * 2, FIRST_GAP_MS), LONGEST_GAP_MS);
    this.replacedMs = nowMs;
    session.refusals = 0;
    return true;
  }

  /**
   * A server at its capacity says REFUSED_STREAM while it serves others (RFC 9113 section 8.7): that alone says
   * something about the connection only when nothing else is under way on it.
   */
  private isRefusal(session: RefusingSession, code: number): boolean {
    if (code === ErrorCode.refusedStream) return session.inFlight === 0;
    return code === ErrorCode.enhanceYourCalm || code === ErrorCode.internalError;
  }
}
