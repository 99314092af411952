import type { ReadLimits } from '../core/deadline/unread-response.js';
import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { AttemptEnd } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { OwnedBuffer } from '../http2/owned-buffer.js';
import type { Stream, StreamOwner } from '../http2/stream.js';
import type { ChunkList } from '../transport/chunk-list.js';
import type { DataPlaneContext } from '../transport/context.js';
import { FIRST_WINDOW } from '../transport/memory-budget.js';
import type { Session } from '../transport/session.js';
import type { Attempt, AttemptOwner } from './attempt.js';
import { Call, type CallHandler, MessageWatch, NEVER } from './call.js';
import { stopAttempts } from './call-attempts.js';
import { CallEvent, step, takes } from './call-phase.js';
import { fireTimer } from './call-timeouts.js';
import { lastActivityMs, markActive } from './call-timer.js';
import { makeLocalReply, withoutMark } from './local-reply.js';
import { holdCredit } from './paused-call.js';
import {
  bufferRequest,
  bufferShared,
  creditRequest,
  reserveWideWindow,
  takeBack,
  widenResponse,
  withdrawRequestWindow,
  writeRequest,
} from './request-buffer.js';
import { findMessageEnd } from './request-messages.js';
import { beginStream, closeCall, commitResponse, failCall, forwardResponse, onMessages } from './response.js';

/**
 * A call as the owner of its stream and of its attempts: each event of the caller's connection, of an attempt and of the
 * timing wheel enters here, and goes to the function that acts on the record or to the call's handler.
 */
export class RelayedCall extends Call implements StreamOwner, AttemptOwner {
  constructor(
    context: DataPlaneContext,
    handler: CallHandler,
    session: Session,
    stream: Stream,
    block: HeaderBlock,
    ended: boolean,
  ) {
    super(context, handler, session, stream, block, ended);
    stream.owner = this;
  }

  // ---- StreamOwner: the caller's stream ----

  onHeaders(): void {}

  onData(_stream: Stream, buffer: OwnedBuffer, start: number, end: number, ended: boolean): void {
    if (!takes(this.phase, CallEvent.request)) return;
    const n = end - start;
    this.requestBytes += n;
    if (this.requestBytes >= this.messageEndsAt) findMessageEnd(this, buffer, start, end);
    this.requestEnded = ended;
    if (ended) withdrawRequestWindow(this);
    this.lastRequestMs = this.context.nowMs;
    if (this.isInactive && this.heldCredit < 0) markActive(this);
    const attempt = this.attempt;
    const open = attempt !== null && attempt.stream !== null && !attempt.isOver && !this.isRequestHeld;
    if (open) {
      if (n > 0 && this.isReplayable) bufferShared(this, buffer, start, end, true);
      attempt.session!.connection.passData(attempt.stream!, buffer, start, end, ended);
    } else if (n > 0) bufferRequest(this, buffer, start, end);
    // Half a window, so that the largest frame fits into the rest: not every sender divides its frames.
    if (
      ended ||
      this.isRequestAwaited ||
      this.requestBytes - this.creditedBytes >= this.context.memory.firstWindow >>> 1
    )
      this.handler.onRequestReady(this);
  }

  /** A call without a caller takes the request of another call, all of it: that one sends, or has sent, the same buffers. */
  takeRequest(request: ChunkList): void {
    this.requestEnded = true;
    this.requestBytes = request.bytes;
    for (let i = 0; i < request.count; i++) {
      const { buffer, start, end } = request.at(i);
      bufferShared(this, buffer, start, end, false);
    }
  }

  /** Request trailers carry nothing in gRPC: they only end the request. */
  onTrailers(): void {
    if (!takes(this.phase, CallEvent.request)) return;
    this.requestEnded = true;
    withdrawRequestWindow(this);
    this.lastRequestMs = this.context.nowMs;
    if (this.isInactive && this.heldCredit < 0) markActive(this);
    const attempt = this.attempt;
    if (attempt !== null && attempt.stream !== null && !attempt.isOver && !this.isRequestHeld) {
      attempt.session!.connection.sendData(attempt.stream, EMPTY, 0, 0, true);
    }
    this.handler.onRequestReady(this);
  }

  onEnding(): void {
    if (!takes(this.phase, CallEvent.cancel)) return;
    stopAttempts(this, AttemptEnd.cancelled);
    closeCall(this, Status.CANCELLED);
  }

  onSent(_stream: Stream, bytes: number): void {
    const { attempt, resumable, foreign } = this;
    if (this.heldCredit >= 0) return holdCredit(this, bytes);
    if (resumable !== null) attempt?.credit(resumable.own(bytes));
    else attempt?.credit(foreign === null ? bytes : foreign.own(bytes));
  }

  /**
   * An exception in its handling ends it, as a failure of ours. Attempts whose end was not told are told of here. Throws where its own
   * end did not come about: then what it held is not accounted for.
   */
  giveUp(): void {
    if (this.isFinished) {
      if (!this.isSettled) throw new Error('a call did not end');
      return;
    }
    const { attempt, hedge } = this;
    if (attempt?.isOver) this.handler.onStopped?.(this, attempt);
    if (hedge?.attempt.isOver) this.handler.onStopped?.(this, hedge.attempt);
    failCall(this, makeLocalReply(LocalReplyReasons.internal));
  }

  bufferedBytes(stream: Stream): number {
    const { attempt, hedge, engineCall } = this;
    let bytes = stream.pendingBytes + this.bufferCost + this.unbudgetedBytes;
    if (engineCall !== null) bytes += engineCall.heldBytes;
    if (attempt !== null) bytes += attempt.heldBytes + (attempt.stream?.pendingBytes ?? 0);
    if (hedge !== null) bytes += hedge.attempt.heldBytes;
    return bytes;
  }

  get readLimits(): ReadLimits {
    return { deadlineMs: this.deadlineMs, idleTimeoutMs: this.plan.idleTimeoutMs };
  }

  /** A caller that has no room in its window for the rest waits for us. */
  stalledSinceMs(stream: Stream): number {
    if (this.requestEnded || !this.isMidRequest || stream.recvWindow <= 0) return NEVER;
    const isOwed = this.requestBytes - this.creditedBytes >= FIRST_WINDOW >>> 1;
    // Not every sender divides its frames.
    return isOwed && this.session.connection.isNearlyClosed(stream) ? NEVER : lastActivityMs(this);
  }

  /** A message has begun and is not complete, or that of a unary call has not begun. */
  private get isMidRequest(): boolean {
    if (this.requestBytes > 0) return this.requestBytes < this.messageEndsAt;
    return this.plan.holdsResponse;
  }

  shed(): void {
    this.context.stats.shedCalls++;
    const reply = makeLocalReply(LocalReplyReasons.memoryBudget);
    // Its caller may have stopped in the middle of it, and would stop at another replica as well.
    const isOwed = !this.requestEnded && (this.plan.holdsResponse || this.isMidRequest);
    failCall(this, isOwed ? withoutMark(reply) : reply);
  }

  // ---- AttemptOwner ----

  get holder(): object {
    return this.session;
  }

  get holdsResponse(): boolean {
    return this.plan.holdsResponse;
  }

  get checksMessages(): boolean {
    return this.plan.watch === MessageWatch.described;
  }

  get holdBytes(): number {
    return this.plan.holdBytes;
  }

  onAttemptEnd(attempt: Attempt): void {
    step(this, CallEvent.end);
    if (this.context.recorder !== null) attempt.endedMs = this.context.nowMs;
    this.handler.onAttemptEnd(this, attempt);
  }

  writeRequest(attempt: Attempt, session: Session, stream: Stream): void {
    writeRequest(this, attempt, session, stream);
  }

  takeBack(stream: Stream): boolean {
    return takeBack(this, stream);
  }

  onRequestSent(sent: number): void {
    // The request for an endpoint that goes on may be longer than what the caller sent.
    creditRequest(this, Math.min(sent, this.requestBytes));
  }

  beginStream(attempt: Attempt): void {
    beginStream(this, attempt);
  }

  onMessages(attempt: Attempt): void {
    onMessages(this, attempt);
  }

  commitResponse(attempt: Attempt): void {
    commitResponse(this, attempt);
  }

  forwardResponse(buffer: OwnedBuffer, start: number, end: number): void {
    forwardResponse(this, buffer, start, end);
  }

  reserveWideWindow(bytes: number): boolean {
    return reserveWideWindow(this, bytes);
  }

  widenResponse(): boolean {
    return widenResponse(this);
  }

  // ---- WheelEntry ----

  fire(): void {
    if (takes(this.phase, CallEvent.timer)) fireTimer(this);
  }
}

const EMPTY = Buffer.alloc(0);
