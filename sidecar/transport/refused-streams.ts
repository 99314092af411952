/**
 * A connection on which the peer resets call after call, though it may serve others on a new one: an HTTP/2 server that
 * has lost its books of one connection answers every stream of it with ENHANCE_YOUR_CALM, for ever. Such a connection is
 * replaced, make before break. Evidence is a row of refusals without an answer in between, never the time; and a server
 * that refuses everywhere is not sent one connection per call.
 */

import { ErrorCode } from '../http2/constants.js';

/** Refusals in a row, without any answer, that convict a connection. */
const ROW = 5;
/** From one replacement to the next; doubles while replacements do not help. */
const FIRST_GAP_MS = 1_000;
const LONGEST_GAP_MS = 60_000;
/** A connection that gave so many answers did work: the next gap is the first again. */
const WORKED = 100;

/** What is known of one connection; kept by it. */
export interface RefusingLink {
  /** Calls the peer has reset without an answer since the last answer. */
  refusals: number;
  /** Answers that have begun. */
  answers: number;
  /** Calls under way, the refused one no longer among them. */
  readonly inFlight: number;
}

export class Refusals {
  private gapMs = 0;
  private replacedMs = Number.NEGATIVE_INFINITY;

  /** Notes a call that was reset with `code` before any answer. True: the connection is to be replaced. */
  note(link: RefusingLink, code: number, nowMs: number): boolean {
    if (!this.isRefusal(link, code)) return false;
    link.refusals += 1;
    if (link.refusals < ROW) return false;
    const hasWorked = link.answers >= WORKED;
    const gapMs = hasWorked ? Math.min(this.gapMs, FIRST_GAP_MS) : this.gapMs;
    if (nowMs - this.replacedMs < gapMs) return false;
    this.gapMs = hasWorked ? FIRST_GAP_MS : Math.min(Math.max(gapMs * 2, FIRST_GAP_MS), LONGEST_GAP_MS);
    this.replacedMs = nowMs;
    link.refusals = 0;
    return true;
  }

  /**
   * A server at its capacity says REFUSED_STREAM while it serves others (RFC 9113 section 8.7): that alone says
   * something about the connection only when nothing else is under way on it.
   */
  private isRefusal(link: RefusingLink, code: number): boolean {
    if (code === ErrorCode.refusedStream) return link.inFlight === 0;
    return code === ErrorCode.enhanceYourCalm || code === ErrorCode.internalError;
  }
}
