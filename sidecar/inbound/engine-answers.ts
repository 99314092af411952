import type { AnswersSeen } from '../core/health/answer-silence.js';
import { waitsForReader } from '../relay/call-timer.js';
import type { InboundCall, Ticket } from './call.js';

/** A request of more bytes than this many times the largest may have a prompt that takes longer than any before. */
const UNUSUAL_SIZE = 2;

/** The answers that a language-model engine has not ended, silent ones included, and what they say of it. */
export class EngineAnswers {
  /** Few of them come and go in a second. */
  private readonly tickets = new Set<Ticket>();
  private lastByteMs = 0;
  /** Of the requests that it has begun to answer, bytes. */
  private largestBytes = 0;

  begin(ticket: Ticket): void {
    this.tickets.add(ticket);
  }

  end(ticket: Ticket): void {
    if (this.tickets.delete(ticket)) this.record(ticket.call);
  }

  seen(): AnswersSeen {
    for (const { call } of this.tickets) this.record(call);
    let isAwaited = false;
    let isUnusual = false;
    for (const { call } of this.tickets) {
      isAwaited ||= isAwaitedIn(call);
      isUnusual ||= !hasBegun(call) && call.requestBytes > UNUSUAL_SIZE * this.largestBytes;
    }
    return { lastByteMs: this.lastByteMs, isAwaited, isUnusual };
  }

  private record(call: InboundCall): void {
    if (!hasBegun(call)) return;
    this.lastByteMs = Math.max(this.lastByteMs, call.lastResponseMs);
    this.largestBytes = Math.max(this.largestBytes, call.requestBytes);
  }
}

function hasBegun({ isCommitted, responseBytes }: InboundCall): boolean {
  return isCommitted && responseBytes > 0;
}

/**
 * Whether the engine could send the next token. It cannot once it has filled the window of the response, or while the call is paused. An answer without
 * `stream` comes in one piece, however long that takes.
 */
function isAwaitedIn(call: InboundCall): boolean {
  const { attempt, heldCredit, requestEnded, tokens } = call;
  if (attempt === null || attempt.isOver || heldCredit >= 0 || !requestEnded) return false;
  const { isStreamed, hasEnd, isUnreadable } = tokens!.usage.answer;
  return isStreamed && !hasEnd && !isUnreadable && !waitsForReader(call);
}
