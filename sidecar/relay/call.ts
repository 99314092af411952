/**
 * One call from the caller's stream to its last octet: what of the request is kept for another attempt, what has
 * been passed on, and the one timer. It relays and keeps count; every decision is its story's.
 */

import type { EndpointLoad } from '../core/balancing/balancer.js';
import { type LocalReplyReason, Reasons, reasonMessage } from '../core/outcome/local-reply-reason.js';
import { AttemptEnd } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { ErrorCode } from '../http2/constants.js';
import type { Field } from '../http2/hpack/field.js';
import type { HeaderBlock, StableList } from '../http2/hpack/header-list.js';
import type { Stream, StreamOwner } from '../http2/stream.js';
import { WheelEntry } from '../runtime/time/timing-wheel.js';
import type { CallStats } from '../telemetry/call-stats.js';
import { ChunkList } from '../transport/chunk-list.js';
import type { DataPlaneContext } from '../transport/context.js';
import { FIRST_WINDOW, WIDE_WINDOW } from '../transport/memory-budget.js';
import type { Session } from '../transport/session.js';
import type { Attempt, AttemptOwner } from './attempt.js';
import { stripExtras, stripResponse } from './header-rewrite.js';
import { answerHeaders, answerTrailers, degradedField, messageField } from './local-reply.js';

/** What a route asks of its calls; made once per route. */
export interface CallPlan {
  /** The response is held until its status is known (unary). */
  readonly holdsResponse: boolean;
  /** A stream without a frame either way for this long is ended; 0 = never. */
  readonly idleTimeoutMs: number;
  /** Longest one attempt of it may take; 0 = no limit. */
  readonly attemptTimeoutMs: number;
  /** The story is told when nothing has moved either way for this long, and when something moves again; 0 = never. */
  readonly quietAfterMs: number;
  /** Request octets kept for another attempt, at most. */
  readonly replayBytes: number;
  /** `outrider-*` metadata of the answer is not believed. */
  readonly stripsResponse: boolean;
}

/** The decisions of one side, told what happens to its calls. */
export interface CallHandler {
  /** The caller has sent all of the request, or as much as may be held. */
  onRequestReady(call: Call): void;
  /** Adds or takes headers and sends the request on `stream`. */
  requestHeaders(call: Call, attempt: Attempt): StableList;
  requestExtras(call: Call, attempt: Attempt): readonly Field[];
  onAttemptEnd(call: Call, attempt: Attempt): void;
  /** `call.resumeMs` has come: what was put off goes on. */
  onResume(call: Call): void;
  onAttemptTimeout(call: Call, attempt: Attempt): void;
  /** What is kept of the request is let go while its last attempt runs: nobody can look at it afterwards. */
  onBufferReleased?(call: Call): void;
  /** The answer of a stream begins; its end may be far away. */
  onStreaming?(call: Call, attempt: Attempt): void;
  /** An attempt has been stopped, for whatever reason: `attempt.ended` says why. Only for who has to know what became of each. */
  onStopped?(call: Call, attempt: Attempt): void;
  onDeadline(call: Call): void;
  onIdle(call: Call): void;
  /** As its plan asks; only for who asks. */
  onInactive?(call: Call): void;
  onActive?(call: Call): void;
  /** The caller went away. */
  onCancelled(call: Call): void;
  /** The call is over with this gRPC status. */
  onFinish(call: Call, status: number): void;
}

export const NEVER = Number.POSITIVE_INFINITY;

/** A second copy of the call under way, and when its own time is up. */
export interface HedgedAttempt {
  readonly attempt: Attempt;
  readonly dueMs: number;
}

/** An answer that is kept. */
export interface KeptAnswer {
  readonly head: HeaderBlock;
  readonly body: Buffer;
  readonly trailers: HeaderBlock;
}

export class Call extends WheelEntry implements StreamOwner, AttemptOwner {
  plan: CallPlan = NO_PLAN;
  stats: CallStats | null = null;
  readonly startMs: number;
  deadlineMs = NEVER;
  attemptDueMs = NEVER;
  resumeMs = NEVER;
  /** When the caller last sent something, or something of it was sent on. */
  private askedMs: number;
  /** When the endpoint last sent something that was passed on. */
  answeredMs: number;
  /** Nothing moves, and the story has been told. */
  private isQuiet = false;

  attempt: Attempt | null = null;
  /** Beside it, for a while: the first good answer wins. Only with the whole request here and kept. */
  hedge: HedgedAttempt | null = null;
  attempts = 0;
  /** As `attempt`, while calls are written down; the others hang on it. */
  lastAttempt: Attempt | null = null;
  /** Endpoints of the attempts before the present one. */
  tried: EndpointLoad[] = NO_ENDPOINTS;

  /** Octets of the answer have gone to the caller. */
  isCommitted = false;
  isFinished = false;
  /** For whoever writes calls down: the reason of our own answer; why an answer is not what was asked for. */
  reason = '';
  degraded = '';

  /** The request body as far as it is kept. While `isReplayable`, all of it. */
  private body: ChunkList | null = null;
  isReplayable = true;
  /** What the caller sends is kept for now, and not passed on. */
  private isHeldBack = false;
  requestEnded: boolean;
  requestBytes = 0;
  responseBytes = 0;
  private credited = 0;
  private counted = 0;
  /** Octets kept beyond the budget, as the request cannot go on without them. */
  private forced = 0;
  /** The caller's window is wide; octets of the budget that wide windows of this call hold. */
  private isWide = false;
  private reservedBytes = 0;

  constructor(
    readonly context: DataPlaneContext,
    /** Another upstream's, once a call has fallen back to it. */
    public handler: CallHandler,
    readonly session: Session,
    readonly stream: Stream,
    /** The request's headers; a rule may replace them before the first attempt. */
    public block: HeaderBlock,
    ended: boolean,
  ) {
    super();
    this.startMs = context.nowMs;
    this.askedMs = context.nowMs;
    this.answeredMs = context.nowMs;
    this.requestEnded = ended;
    stream.owner = this;
  }

  // ---- the caller's stream ----

  onHeaders(): void {}

  onData(_stream: Stream, buffer: Buffer, start: number, end: number, ended: boolean): void {
    if (this.isFinished) return;
    const n = end - start;
    this.requestBytes += n;
    this.requestEnded = ended;
    this.askedMs = this.context.nowMs;
    if (this.isQuiet) this.markActive();
    const attempt = this.attempt;
    const open = attempt !== null && attempt.stream !== null && !attempt.isOver && !this.isHeldBack;
    if (n > 0 && (this.isReplayable || !open)) this.buffer(buffer, start, end, open);
    if (open) attempt.link!.connection.sendData(attempt.stream!, buffer, start, end, ended);
    // Half a window, so that the largest frame fits into the rest: not every sender divides its frames.
    if (ended || this.requestBytes - this.credited >= this.context.memory.firstWindow >>> 1)
      this.handler.onRequestReady(this);
  }

  /** Request trailers say nothing in gRPC: they only end the request. */
  onTrailers(): void {
    if (this.isFinished) return;
    this.requestEnded = true;
    this.askedMs = this.context.nowMs;
    if (this.isQuiet) this.markActive();
    const attempt = this.attempt;
    if (attempt !== null && attempt.stream !== null && !attempt.isOver && !this.isHeldBack) {
      attempt.link!.connection.sendData(attempt.stream, EMPTY, 0, 0, true);
    }
    this.handler.onRequestReady(this);
  }

  onEnding(): void {
    if (this.isFinished) return;
    this.stop(AttemptEnd.cancelled);
    this.handler.onCancelled(this);
    this.close(Status.CANCELLED);
  }

  onSent(_stream: Stream, bytes: number): void {
    this.attempt?.credit(bytes);
  }

  heldFor(stream: Stream): number {
    const { attempt, hedge } = this;
    let bytes = stream.pendingBytes + this.counted + this.forced;
    if (attempt !== null) bytes += attempt.heldBytes + (attempt.stream?.pendingBytes ?? 0);
    if (hedge !== null) bytes += hedge.attempt.heldBytes;
    return bytes;
  }

  shed(): void {
    this.context.stats.shedCalls++;
    this.fail(Reasons.memoryBudget, reasonMessage(Reasons.memoryBudget));
  }

  /**
   * Ends the call and lets go of what waits for its caller. Trailers would wait behind that, perhaps for ever: such a
   * stream is reset with ENHANCE_YOUR_CALM, which gRPC reads as RESOURCE_EXHAUSTED.
   */
  fail(reason: LocalReplyReason, message: string): void {
    if (!this.isFinished && this.stream.pendingBytes === 0) return this.localReply(reason, message);
    this.session.connection.reset(this.stream, ErrorCode.enhanceYourCalm);
    if (this.isFinished) return;
    this.stats?.reason(reason.name);
    this.reason = reason.name;
    this.close(reason.status);
  }

  // ---- towards the endpoint ----

  get holder(): object {
    return this.session;
  }

  get holdsResponse(): boolean {
    return this.plan.holdsResponse;
  }

  onAttemptEnd(attempt: Attempt): void {
    if (this.context.recorder !== null) attempt.endedMs = this.context.nowMs;
    this.handler.onAttemptEnd(this, attempt);
  }

  /** Starts an attempt; none runs now. `onResume` comes at `resumeMs`, if it still runs then. */
  begin(attempt: Attempt, attemptDueMs: number, resumeMs = NEVER): void {
    this.attempt = attempt;
    this.attempts++;
    this.attemptDueMs = attemptDueMs;
    this.resumeMs = resumeMs;
    this.askedMs = this.context.nowMs;
    this.isQuiet = false;
    if (this.context.recorder !== null) this.remember(attempt);
    this.arm();
    attempt.start();
  }

  /** Starts a second copy beside the attempt that runs. */
  startHedge(attempt: Attempt, dueMs: number): void {
    this.hedge = { attempt, dueMs };
    this.attempts++;
    if (this.context.recorder !== null) this.remember(attempt);
    this.arm();
    attempt.start();
  }

  /** One of two copies has failed: the call is the other one's. False: there is no other. */
  dropAttempt(failed: Attempt): boolean {
    const { hedge } = this;
    if (hedge === null) return false;
    this.hedge = null;
    if (failed !== this.attempt) return true;
    this.attempt = hedge.attempt;
    this.attemptDueMs = hedge.dueMs;
    this.arm();
    return true;
  }

  /** One of two copies answers, well or not: the other one is stopped. */
  settleOn(winner: Attempt): void {
    const { hedge } = this;
    if (hedge === null) return;
    const loser = hedge.attempt === winner ? this.attempt! : hedge.attempt;
    this.dropAttempt(loser);
    this.abortAttempt(loser, AttemptEnd.superseded);
  }

  /** Whatever runs is stopped. */
  stop(ended: AttemptEnd): void {
    if (this.attempt !== null) this.abortAttempt(this.attempt, ended);
    if (this.hedge !== null) this.abortAttempt(this.hedge.attempt, ended);
  }

  /** The one way to stop an attempt, so that the story hears of the end of each that it began. */
  private abortAttempt(attempt: Attempt, ended: AttemptEnd): void {
    if (attempt.isOver) return;
    attempt.abort(ended);
    if (this.context.recorder !== null) attempt.endedMs = this.context.nowMs;
    this.handler.onStopped?.(this, attempt);
  }

  private remember(attempt: Attempt): void {
    const { lastAttempt } = this;
    attempt.before = lastAttempt;
    this.lastAttempt = attempt;
    // It is kept for what it says of itself only.
    if (lastAttempt?.isOver) lastAttempt.takeHeld();
  }

  /** The attempt has its stream: all that is known of the request goes onto it. */
  writeRequest(attempt: Attempt, link: Session, stream: Stream): void {
    const body = this.body;
    const connection = link.connection;
    const isEmpty = body === null || body.count === 0;
    const headers = this.handler.requestHeaders(this, attempt);
    connection.sendHeaders(
      stream,
      headers,
      this.handler.requestExtras(this, attempt),
      isEmpty && this.requestEnded,
    );
    if (isEmpty) return;
    this.writeBody(body, link, stream);
    if (!this.isReplayable) this.releaseBuffer();
  }

  private writeBody(body: ChunkList, { connection }: Session, stream: Stream): void {
    const last = body.count - 1;
    for (let i = 0; i <= last; i++) {
      const piece = body.at(i);
      connection.sendData(stream, piece.buffer, piece.start, piece.end, this.requestEnded && i === last);
    }
  }

  /** What the caller sends from now on is kept, a window of it at most. Only while nothing is kept for another attempt. */
  holdBack(): void {
    this.isHeldBack = true;
  }

  /** What has been held back is passed on, and what comes. */
  goOn(): void {
    if (!this.isHeldBack) return;
    this.isHeldBack = false;
    const { attempt, body } = this;
    if (attempt === null || attempt.stream === null || attempt.isOver) return;
    if (body !== null && body.count > 0) this.writeBody(body, attempt.link!, attempt.stream);
    else if (this.requestEnded) attempt.link!.connection.sendData(attempt.stream, EMPTY, 0, 0, true);
    this.dropBody();
  }

  /** The attempt has passed on `sent` octets of the request: the caller may send as many more. */
  onSentUp(sent: number): void {
    const more = sent - this.credited;
    if (more <= 0 || this.isFinished) return;
    this.credited = sent;
    if (!this.isWide && this.requestBytes > FIRST_WINDOW >>> 1)
      this.isWide = this.reserveWideWindow(WIDE_WINDOW - FIRST_WINDOW);
    this.session.connection.credit(this.stream, more, this.isWide ? WIDE_WINDOW : 0);
  }

  reserveWideWindow(bytes: number): boolean {
    if (this.isFinished || !this.context.memory.reserveWindow(bytes)) return false;
    this.reservedBytes += bytes;
    return true;
  }

  /** Nothing may be sent twice from here on; what was kept for that is let go. */
  disableReplay(): void {
    if (!this.isReplayable) return;
    this.isReplayable = false;
    const attempt = this.attempt;
    // Between two attempts, or before a connection, it is still to be sent.
    if (attempt !== null && attempt.stream !== null && !attempt.isOver) this.releaseBuffer();
  }

  private buffer(buffer: Buffer, start: number, end: number, open: boolean): void {
    this.body ??= new ChunkList();
    const cost = this.body.cost(buffer, start, end);
    if (
      this.isReplayable &&
      (this.body.bytes + end - start > this.plan.replayBytes || !this.mayBuffer(cost, open))
    ) {
      // Too much to keep: this attempt is the last that can have it all.
      this.disableReplay();
      if (open) return;
    } else if (this.isReplayable) {
      this.counted += cost;
    }
    if (!this.isReplayable) {
      this.forced += end - start;
      this.context.memory.waiting.octets += end - start;
    }
    this.body ??= new ChunkList();
    this.body.add(buffer, start, end);
  }

  /**
   * What is kept for another attempt only may be refused. Before the first attempt the request is kept in any case, as far
   * as one may be: to send it on instead would give its caller a place at the endpoint for want of memory.
   */
  private mayBuffer(cost: number, open: boolean): boolean {
    const { memory } = this.context;
    if (open || this.attempts > 0) return memory.reserve(cost);
    memory.force(cost);
    return true;
  }

  /** The request as far as it is kept; null: nothing is. */
  get buffered(): ChunkList | null {
    return this.body;
  }

  private releaseBuffer(): void {
    if (this.body !== null) this.handler.onBufferReleased?.(this);
    this.dropBody();
  }

  private dropBody(): void {
    if (this.counted > 0) this.context.memory.release(this.counted);
    this.context.memory.waiting.octets -= this.forced;
    this.counted = 0;
    this.forced = 0;
    this.body = null;
  }

  // ---- towards the caller ----

  /** The answer begins to flow: from here on this attempt is the call's. */
  commit(attempt: Attempt): void {
    if (this.hedge !== null) this.settleOn(attempt);
    this.isCommitted = true;
    this.answeredMs = this.context.nowMs;
    if (this.isQuiet) this.markActive();
    if (!this.plan.holdsResponse) this.handler.onStreaming?.(this, attempt);
    this.disableReplay();
    const head = attempt.head!;
    const list = this.plan.stripsResponse ? stripResponse(head.stable) : head.stable;
    const extras = this.plan.stripsResponse ? stripExtras(head.extras) : head.extras;
    const connection = this.session.connection;
    connection.sendHeaders(this.stream, list, this.marked(extras), false);
    const held = attempt.takeHeld();
    if (held === null) return;
    this.responseBytes += held.bytes;
    for (let i = 0; i < held.count; i++) {
      const piece = held.at(i);
      connection.sendData(this.stream, piece.buffer, piece.start, piece.end, false);
    }
  }

  passOn(buffer: Buffer, start: number, end: number): void {
    this.answeredMs = this.context.nowMs;
    if (this.isQuiet) this.markActive();
    if (end === start) return;
    this.responseBytes += end - start;
    this.session.connection.sendData(this.stream, buffer, start, end, false);
  }

  /** Ends the call with what the endpoint answered. */
  finishWith(attempt: Attempt): void {
    const trailers = attempt.trailers;
    if (trailers === null || this.isFinished) return;
    if (this.hedge !== null) this.settleOn(attempt);
    const list = this.plan.stripsResponse ? stripResponse(trailers.stable) : trailers.stable;
    const extras = this.plan.stripsResponse ? stripExtras(trailers.extras) : trailers.extras;
    if (attempt.isTrailersOnly) {
      this.session.connection.sendHeaders(this.stream, list, this.marked(extras), true);
    } else {
      if (!this.isCommitted) this.commit(attempt);
      this.session.connection.sendTrailers(this.stream, list, extras);
    }
    this.close(attempt.status);
  }

  /** Ends the call with an answer that was kept. */
  answerWith({ head, body, trailers }: KeptAnswer): void {
    if (this.isFinished) return;
    const { connection } = this.session;
    connection.sendHeaders(this.stream, head.stable, this.marked(head.extras), false);
    if (body.length > 0) connection.sendData(this.stream, body, 0, body.length, false);
    this.responseBytes += body.length;
    connection.sendTrailers(this.stream, trailers.stable, trailers.extras);
    this.close(Status.OK);
  }

  /** The caller is told when an answer is not quite what was asked for. */
  private marked(extras: readonly Field[]): readonly Field[] {
    return this.degraded === '' ? extras : [...extras, degradedField(this.degraded)];
  }

  /** Ends the call with an answer of our own. */
  localReply(reason: LocalReplyReason, message: string, hint?: Field): void {
    if (this.isFinished) return;
    const extras = hint === undefined ? [messageField(message)] : [messageField(message), hint];
    if (this.isCommitted) this.session.connection.sendTrailers(this.stream, answerTrailers(reason), extras);
    else this.session.connection.sendHeaders(this.stream, answerHeaders(reason), extras, true);
    this.stats?.reason(reason.name);
    this.reason = reason.name;
    this.close(reason.status);
  }

  private close(status: number): void {
    if (this.isFinished) return;
    this.isFinished = true;
    this.context.wheel.cancel(this);
    this.stop(AttemptEnd.cancelled);
    if (this.counted > 0 || this.body !== null) this.dropBody();
    if (this.reservedBytes > 0) this.context.memory.withdraw(this.reservedBytes);
    this.handler.onFinish(this, status);
    if (this.context.recorder !== null) this.context.recorder.record(this, status);
  }

  // ---- time ----

  /**
   * Since when it is the endpoint's turn: it has all of the request, or has not taken what there is of it. NEVER: it has
   * all that the caller has sent so far, and more is to come.
   */
  turnMs(attempt: Attempt): number {
    if (!this.requestEnded && attempt.sent >= this.requestBytes) return NEVER;
    return Math.max(attempt.startMs, this.askedMs);
  }

  setDeadline(deadlineMs: number): void {
    this.deadlineMs = deadlineMs;
    this.arm();
  }

  /** Puts the next attempt off until `atMs`. */
  resumeAt(atMs: number): void {
    this.attemptDueMs = NEVER;
    this.resumeMs = atMs;
    this.arm();
  }

  /** When something last moved, either way. */
  private get movedMs(): number {
    return Math.max(this.askedMs, this.answeredMs);
  }

  /** Something moves again. */
  private markActive(): void {
    this.isQuiet = false;
    this.arm();
    this.handler.onActive?.(this);
  }

  /** One entry in the wheel for all of them; it may be early, never late. */
  private arm(): void {
    let due = Math.min(this.deadlineMs, this.attemptDueMs, this.resumeMs);
    if (this.hedge !== null) due = Math.min(due, this.hedge.dueMs);
    const { idleTimeoutMs, quietAfterMs } = this.plan;
    if (idleTimeoutMs > 0) due = Math.min(due, this.movedMs + idleTimeoutMs);
    if (quietAfterMs > 0 && !this.isQuiet) due = Math.min(due, this.movedMs + quietAfterMs);
    if (due === NEVER || (this.isScheduled && this.dueMs <= due)) return;
    this.context.wheel.add(this, due);
  }

  fire(): void {
    if (this.isFinished) return;
    const now = this.context.clock.now();
    this.context.nowMs = now;
    if (now >= this.deadlineMs) {
      this.stop(AttemptEnd.deadline);
      this.handler.onDeadline(this);
    } else if (now >= this.attemptDueMs) {
      this.attemptDueMs = this.putOff(this.attempt, now);
      if (this.attemptDueMs === NEVER) this.timeOut(this.attempt, now);
    } else if (this.hedge !== null && now >= this.hedge.dueMs) {
      this.timeOut(this.hedge.attempt, now);
    } else if (now >= this.resumeMs) {
      this.resumeMs = NEVER;
      this.handler.onResume(this);
    } else this.lookForSilence(now);
    if (!this.isFinished) this.arm();
  }

  /**
   * When the attempt's time is up after all; NEVER: now. In a unary call it begins with the endpoint's turn, which nobody
   * notes when it comes: most calls are over before anyone asks.
   */
  private putOff(attempt: Attempt | null, nowMs: number): number {
    if (attempt === null || !this.plan.holdsResponse) return NEVER;
    const sinceMs = this.turnMs(attempt);
    const dueMs = (sinceMs === NEVER ? nowMs : sinceMs) + this.plan.attemptTimeoutMs;
    return dueMs > nowMs ? dueMs : NEVER;
  }

  private lookForSilence(nowMs: number): void {
    const { idleTimeoutMs, quietAfterMs } = this.plan;
    const silentMs = nowMs - this.movedMs;
    if (idleTimeoutMs > 0 && silentMs >= idleTimeoutMs) return this.handler.onIdle(this);
    if (quietAfterMs === 0 || this.isQuiet || silentMs < quietAfterMs) return;
    this.isQuiet = true;
    this.handler.onInactive?.(this);
  }

  private timeOut(attempt: Attempt | null, nowMs: number): void {
    if (attempt === null || attempt.isOver || this.isCommitted) return;
    attempt.abort(AttemptEnd.attemptTimeout);
    attempt.endedMs = nowMs;
    this.handler.onAttemptTimeout(this, attempt);
  }
}

const EMPTY = Buffer.alloc(0);
/** Shared by the many calls that need one attempt; replaced, never added to. */
const NO_ENDPOINTS: EndpointLoad[] = [];

const NO_PLAN: CallPlan = {
  holdsResponse: false,
  idleTimeoutMs: 0,
  attemptTimeoutMs: 0,
  quietAfterMs: 0,
  replayBytes: 0,
  stripsResponse: false,
};
