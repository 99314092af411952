import { AttemptEnd, isNeverProcessed } from '../core/outcome/outcome.js';
import { Status, statusFromHttp, statusFromReset } from '../core/outcome/status.js';
import { type EngineSilence, NO_TRIAL } from '../core/stats/engine-silence.js';
import { ErrorCode } from '../http2/constants.js';
import { type HeaderView, headerViewOf } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { OwnedBuffer } from '../http2/owned-buffer.js';
import { Ending, LONG_LIST_BYTES, type Stream, type StreamOwner } from '../http2/stream.js';
import { ChunkList } from '../transport/chunk-list.js';
import { FIRST_WINDOW, WIDE_WINDOW } from '../transport/memory-budget.js';
import type { Pool, Waiter } from '../transport/pool.js';
import type { Session } from '../transport/session.js';
import type { MessageCounter } from './stream/message-counter.js';

/** So often an attempt moves to another connection: a peer that accepts connections only to end them is not tried for ever. */
const MAX_TRANSPARENT_RETRIES = 8;

/** An endpoint, or a local model. */
export interface Target {
  readonly pool: Pool;
  /** For logs and messages; absent: there is one target only. */
  readonly label?: string;
  /** The name of its instance, where it has one. */
  readonly id?: string;
}

/** The call, as far as an attempt needs it. */
export interface AttemptOwner {
  /** The caller's connection. */
  readonly holder: object;
  readonly holdsResponse: boolean;
  /** Of a response that is held: that it has one message is what its service says, and is checked. */
  readonly checksMessages: boolean;
  /** A held response longer than this commits, bytes, so that the caller does not wait for the rest. */
  readonly holdBytes: number;
  readonly isCommitted: boolean;
  /** All of the request so far is buffered, so that it can be written again. */
  readonly isReplayable: boolean;
  /** `stream` has ended before anything of it was written. True: what was to be sent on it is buffered again, all of the request so far. */
  takeBack?(stream: Stream): boolean;
  /** The attempt has its stream: the request, as far as it is known, goes onto it. */
  writeRequest(attempt: Attempt, session: Session, stream: Stream): void;
  /** `sent` bytes of the request have been passed on. */
  onRequestSent(sent: number): void;
  /** The response has begun, and is not held to its end: whether it is passed on at once is up to the call. */
  beginStream(attempt: Attempt): void;
  /** Bytes that complete a message are about to be passed on. Only while `attempt.counter` is set. */
  onMessages(attempt: Attempt): void;
  commitResponse(attempt: Attempt): void;
  /** Bytes of a committed response; takes `buffer` over. */
  forwardResponse(buffer: OwnedBuffer, start: number, end: number): void;
  onAttemptEnd(attempt: Attempt): void;
  /** An exception was thrown in the middle of an event. Absent: it has nothing to give up. */
  giveUp?(): void;
  /** Whether the memory budget allows windows of this call to grow by `bytes`; they are the call's until its end. */
  reserveWideWindow(bytes: number): boolean;
  /** The same for the window of a response that is passed on: the next attempt has it too, as it is credited what it sent itself. */
  widenResponse(): boolean;
}

/**
 * One attempt of a call at one endpoint: its stream, what of the response is held, and how it ended. Whether its end is
 * the call's end is decided by the call's handler.
 */
export class Attempt implements StreamOwner, Waiter {
  session: Session | null = null;
  stream: Stream | null = null;
  readonly startMs: number;
  /** Request bytes taken into the socket so far. */
  sentBytes = 0;

  /** The response so far, while nothing of it has been passed on. */
  head: HeaderBlock | null = null;
  /** Null: none of its bytes are held. */
  private held: ChunkList | null = null;
  /** What it has in the count of what waits, bytes: these, long headers, and what a resumed stream keeps back. */
  heldBytes = 0;
  private transparentRetries = 0;
  private isWide = false;
  /** Counts the messages of a stream, for as long as they matter; null: they do not. */
  counter: MessageCounter | null = null;
  trailers: HeaderBlock | null = null;
  isTrailersOnly = false;

  /** How it ended; −1 while it runs. */
  ended = -1;
  /** Final gRPC status, as far as there is one. */
  status = -1;
  reason = '';
  /** What it counts as, an `Outcome`; −1: not classified, or not yet. */
  outcome = -1;
  /** Of a call that is recorded: when the attempt ended, monotonic ms, and the attempt before it. */
  endedMs = 0;
  previous: Attempt | null = null;
  /** Its endpoint has said, or shown, that it did no work for it. */
  isRefused = false;
  /** It brought no further message in time. */
  isSilent = false;
  /** Its engine has given its answer up as it stops, and no Abort explains that. */
  isEngineStopping = false;
  /** Of the language-model engine that it asks for tokens; null: it asks for something else. */
  silence: EngineSilence | null = null;
  /** Bytes of that request, and whether it is larger than all before. */
  askedBytes = 0;
  isUnusual = false;
  /** The number of this trial of an engine that is known to hang; NO_TRIAL: it is none. */
  trial = NO_TRIAL;
  /** The engine has sent some of its answer. */
  isHeard = false;
  /** It was begun beside another one. */
  isHedge = false;
  /** It goes on with a stream of which the caller has so many messages; −1: it begins one. */
  resumedAfter = -1;
  /** It was sent so long after its start, whole ms, because no connection had room; 0: at once, or not yet. */
  waitedMs = 0;
  /** What its endpoint was told is the span above its own, 16 hexadecimal digits; empty: nothing. */
  spanId = '';
  /** The probe number when this is the one call that probes an ejected endpoint. */
  probe = 0;

  constructor(
    private readonly owner: AttemptOwner,
    readonly target: Target,
    nowMs: number,
  ) {
    this.startMs = nowMs;
  }

  get isOver(): boolean {
    return this.ended >= 0;
  }

  /** Its endpoint may have done something for the call: the request was written to it, or its beginning, and nothing says that it was refused. */
  get mayBeProcessed(): boolean {
    const { stream, ended, isRefused } = this;
    // A stream has an id once its headers have been written.
    if (stream === null || stream.id === 0 || isRefused) return false;
    return ended < 0 || !isNeverProcessed(ended as AttemptEnd);
  }

  /** Sends the call, now or as soon as there is a connection. */
  start(): void {
    const session = this.target.pool.acquire();
    if (session !== null) this.open(session);
    else this.target.pool.wait(this);
  }

  // ---- Waiter ----

  get holder(): object {
    return this.owner.holder;
  }

  onSession(session: Session): void {
    if (this.isOver) return;
    // A whole number: one with a fraction would be an object of its own in each attempt.
    this.waitedMs = Math.round(session.context.nowMs - this.startMs);
    this.open(session);
  }

  private open(session: Session): void {
    this.session = session;
    const stream = session.connection.openStream(this);
    this.stream = stream;
    this.owner.writeRequest(this, session, stream);
  }

  onConnectFailed(reason: string, whose: 'theirs' | 'ours'): void {
    this.reason = reason;
    this.finish(whose === 'ours' ? AttemptEnd.unconnected : AttemptEnd.connectError, -1);
  }

  // ---- StreamOwner: what the endpoint says ----

  onHeaders(_stream: Stream, block: HeaderBlock, ended: boolean): void {
    if (this.isOver) return;
    const session = this.session!;
    session.refusals = 0;
    session.responses++;
    const facts = headerViewOf(block);
    if (block.overLimit && !ended && facts.status === 200) return this.refuseHeaders(block);
    if (ended) {
      this.isTrailersOnly = true;
      if (facts.grpcStatus >= 0) this.trailers = block;
      else if (facts.status === 200 && !facts.isGrpc) return this.refuseAnswer(facts);
      return this.finishBy(facts.grpcStatus, facts.status);
    }
    if (facts.status !== 200 || !facts.isGrpc) {
      session.connection.reset(this.stream!, ErrorCode.cancel);
      return this.refuseAnswer(facts);
    }
    this.head = block;
    if (block.bytes > LONG_LIST_BYTES) this.hold(block.bytes);
    if (!this.owner.holdsResponse || this.owner.checksMessages) this.owner.beginStream(this);
  }

  /** It is no gRPC answer: its status is the one that HTTP's maps to, unless it has one all the same. */
  private refuseAnswer({ status, contentType, grpcStatus }: HeaderView): void {
    this.reason = `HTTP status ${status}, content-type "${contentType.slice(0, 40)}"`;
    this.finish(endOf(status), grpcStatus > 0 ? grpcStatus : statusFromHttp(status));
  }

  /**
   * The headers of the request are longer than the peer accepts, and are not sent: a server may end the connection for them, and with
   * it the calls of others.
   */
  refuseRequest(bytes: number, acceptedBytes: number): void {
    this.reason = `request headers of ${bytes} bytes are over the ${acceptedBytes} bytes that it accepts (SETTINGS_MAX_HEADER_LIST_SIZE)`;
    this.session!.connection.reset(this.stream!, ErrorCode.cancel);
    this.finish(AttemptEnd.headersTooLong, Status.RESOURCE_EXHAUSTED);
  }

  /** What the caller would get is not what the endpoint said. */
  private refuseHeaders({ bytes, count }: HeaderBlock): void {
    const session = this.session!;
    const { maxListBytes, maxListFields } = session.connection.state;
    this.reason = `response headers of ${bytes} bytes in ${count} fields are over the limit of ${maxListBytes} bytes and ${maxListFields} fields (limits.max_header_fields)`;
    session.connection.reset(this.stream!, ErrorCode.cancel);
    this.finish(AttemptEnd.headersTooLong, Status.RESOURCE_EXHAUSTED);
  }

  onData(_stream: Stream, buffer: OwnedBuffer, start: number, end: number, ended: boolean): void {
    if (this.isOver) return;
    if (this.counter !== null) this.count(this.counter, buffer, start, end);
    // Its first message may have ended the call, which holds nothing any more.
    if (this.isOver) return;
    if (this.silence !== null) this.hear(this.silence);
    if (this.owner.isCommitted) {
      this.owner.forwardResponse(buffer, start, end);
    } else if (end > start) {
      if (this.held === null) this.held = new ChunkList();
      this.held.add(buffer, start, end);
      this.heldBytes += end - start;
      this.session!.context.memory.waiting.bytes += end - start;
      if (this.held.bytes > this.owner.holdBytes || !this.hasWindow()) this.owner.commitResponse(this);
    }
    // What was forwarded may have shown that the call ends here, or be more than the caller accepts.
    if (ended && !this.isOver) this.finish(AttemptEnd.missingTrailers, -1);
  }

  /** It asks an engine for tokens, with a request of so many bytes. */
  listenTo(silence: EngineSilence, bytes: number): void {
    this.silence = silence;
    this.askedBytes = bytes;
    this.isUnusual = silence.expect(bytes);
    this.trial = silence.send(this.startMs);
  }

  private hear(silence: EngineSilence): void {
    const { nowMs } = this.session!.context;
    if (this.isHeard) return silence.message(this.startMs, nowMs);
    this.isHeard = true;
    if (this.isUnusual) silence.settle();
    silence.begin(this.askedBytes, this.startMs, nowMs);
  }

  /** It is over. */
  private stopListening(silence: EngineSilence): void {
    if (this.isHeard) silence.end();
    else if (this.isUnusual) silence.settle();
  }

  private count(counter: MessageCounter, buffer: Buffer, start: number, end: number): void {
    if (counter.take(buffer, start, end) > 0 || counter.isBroken) this.owner.onMessages(this);
  }

  /**
   * Whether the endpoint can go on while its response is held. What is held gives no credit back, and an endpoint may wait
   * until the window has room for a whole frame of its own, padding included (RFC 9113 section 6.9.1): with less than
   * the largest frame left, the window grows by as much as has come, or by what may still be held, where the budget
   * allows it.
   */
  private hasWindow(): boolean {
    const { connection } = this.session!;
    const stream = this.stream!;
    if (!connection.isNearlyClosed(stream)) return true;
    const more = Math.max(FIRST_WINDOW, Math.min(this.heldBytes, this.owner.holdBytes - this.heldBytes));
    if (!this.owner.reserveWideWindow(more)) return false;
    connection.widen(stream, more);
    return true;
  }

  onTrailers(_stream: Stream, block: HeaderBlock): void {
    if (this.isOver) return;
    this.trailers = block;
    this.finishBy(headerViewOf(block).grpcStatus, 200);
  }

  onEnding(stream: Stream, ending: number, code: number): void {
    if (this.isOver) return;
    if (ending === Ending.unprocessed && stream.id === 0 && this.recoverRequest(stream))
      return this.retryTransparently();
    // What has begun to answer has processed the call, whatever it says then: another attempt may repeat it.
    const hasBegun = this.head !== null;
    if (ending === Ending.unprocessed || ending === Ending.lost) {
      this.reason = this.session!.closeReason;
      const isLost = ending === Ending.lost || hasBegun;
      if (isLost) this.session!.lostCalls++;
      return this.finish(isLost ? AttemptEnd.connectionLost : AttemptEnd.goawayUnprocessed, -1);
    }
    if (ending === Ending.violation) return this.finish(AttemptEnd.protocolError, -1);
    if (!hasBegun) {
      this.target.pool.recordRefusal(this.session!, code);
      if (code === ErrorCode.refusedStream) return this.finish(AttemptEnd.refusedStream, -1);
    }
    this.reason = `reset with code ${code}`;
    this.finish(AttemptEnd.reset, statusFromReset(code));
  }

  /**
   * Takes all of the request back for another connection, and says whether it could: its stream ended before anything was written on it, which
   * is no attempt yet (gRFC A6, transparent retries).
   */
  private recoverRequest(stream: Stream): boolean {
    if (this.transparentRetries >= MAX_TRANSPARENT_RETRIES) return false;
    return this.owner.isReplayable || this.owner.takeBack?.(stream) === true;
  }

  private retryTransparently(): void {
    this.transparentRetries++;
    this.session = null;
    this.stream = null;
    this.start();
  }

  onSent(_stream: Stream, bytes: number): void {
    this.sentBytes += bytes;
    this.owner.onRequestSent(this.sentBytes);
  }

  /** An exception in its handling ends its call. */
  giveUp(): void {
    if (this.isOver && this.heldBytes > 0) this.releaseHeld();
    this.owner.giveUp?.();
  }

  // ---- ends ----

  /** The response bytes that are held back now. */
  get heldResponse(): ChunkList | null {
    return this.held;
  }

  /** The response bytes held back, once. */
  takeBufferedResponse(): ChunkList | null {
    const held = this.held;
    this.held = null;
    if (this.heldBytes > 0) this.releaseHeld();
    return held;
  }

  /** `bytes` of the response are held elsewhere, until `releaseHeld`. */
  hold(bytes: number): void {
    this.heldBytes += bytes;
    this.session!.context.memory.waiting.bytes += bytes;
  }

  /** Nothing of the response is held any more. */
  releaseHeld(): void {
    this.session!.context.memory.waiting.bytes -= this.heldBytes;
    this.heldBytes = 0;
  }

  /** Response bytes have been passed on to the caller: the endpoint may send more. */
  credit(bytes: number): void {
    if (this.stream !== null && !this.stream.closed) {
      if (!this.isWide && this.stream.receivedBytes > FIRST_WINDOW >>> 1)
        this.isWide = this.owner.widenResponse();
      this.session!.connection.credit(this.stream, bytes, this.isWide ? WIDE_WINDOW : 0);
    }
  }

  /** Whether so much credit more would open the window of the response. */
  isCreditDue(bytes: number): boolean {
    return this.stream !== null && this.session!.connection.isCreditDue(this.stream, bytes);
  }

  /** Stops it from the sidecar's side. Its owner is not called: it is the one that stops it. */
  abort(ended: number): void {
    if (this.isOver) return;
    this.ended = ended;
    if (this.silence !== null) this.stopListening(this.silence);
    if (this.heldBytes > 0) this.releaseHeld();
    if (this.stream !== null) this.session!.connection.reset(this.stream, ErrorCode.cancel);
    else this.target.pool.stopWaiting(this);
  }

  /** What its endpoint has sent shows that it failed, whatever status comes with it. */
  fail(reason: string): void {
    if (this.isOver) return;
    this.session!.connection.reset(this.stream!, ErrorCode.cancel);
    this.reason = reason;
    this.finish(AttemptEnd.reset, Status.UNAVAILABLE);
  }

  private finishBy(grpcStatus: number, httpStatus: number): void {
    if (grpcStatus >= 0) return this.finish(AttemptEnd.trailers, grpcStatus > 16 ? 2 : grpcStatus);
    if (httpStatus !== 200) {
      this.reason = `HTTP status ${httpStatus}`;
      return this.finish(endOf(httpStatus), statusFromHttp(httpStatus));
    }
    this.finish(AttemptEnd.missingTrailers, -1);
  }

  private finish(ended: number, status: number): void {
    this.ended = ended;
    this.status = status;
    if (this.silence !== null) this.stopListening(this.silence);
    this.owner.onAttemptEnd(this);
    // The response of a failed attempt is not used.
    if (this.heldBytes > 0) this.releaseHeld();
  }
}

/** How an answer of HTTP ends an attempt: 431 is about the headers of this request (RFC 6585 section 5), and nothing against the endpoint. */
function endOf(httpStatus: number): AttemptEnd {
  return httpStatus === 431 ? AttemptEnd.headersTooLong : AttemptEnd.trailers;
}
