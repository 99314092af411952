/** The response on its way to the caller: an endpoint's, a stored one or a local reply; and the end of the call. */

import { MetadataKey } from '../core/metadata-key.js';
import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { AttemptEnd } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { ErrorCode } from '../http2/constants.js';
import { headerViewOf } from '../http2/header-view.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';
import { type HeaderBlock, listBytes, StableList } from '../http2/hpack/header-list.js';
import { Token } from '../http2/hpack/tokens.js';
import type { OwnedBuffer } from '../http2/owned-buffer.js';
import { NO_FIELDS } from '../http2/stream.js';
import { fitTrailers } from '../transport/header-limit.js';
import { FIRST_WINDOW } from '../transport/memory-budget.js';
import type { Attempt } from './attempt.js';
import { type Call, FirstMessage, MessageWatch, type Resumption } from './call.js';
import { settleOn, stopAttempts } from './call-attempts.js';
import { CallEvent, step, takes } from './call-phase.js';
import { SILENCE_CHECK_MS } from './call-timeouts.js';
import { armTimer, markActive } from './call-timer.js';
import {
  stripEngineModel,
  stripExtras,
  stripMark,
  stripMarkOf,
  stripReports,
  stripResponse,
} from './header-rewrite.js';
import {
  degradedField,
  type LocalReply,
  makeLocalReply,
  messageField,
  replyHeaders,
  replyTrailers,
  withoutMark,
} from './local-reply.js';
import { disableReplay, dropBuffer } from './request-buffer.js';
import { AnswerWatch } from './stream/answer-watch.js';
import { MessageCounter } from './stream/message-counter.js';
import { recordPatience } from './stream/patience.js';
import { ResumableStream } from './stream/resumable-stream.js';
import { countTokens, sendShared } from './stream/resumed-call.js';
import { TokenStream } from './stream/token-stream.js';

/** A whole response that is sent without an attempt: from the response cache, or the sidecar's own about health. */
export interface StoredResponse {
  readonly head: HeaderBlock;
  readonly body: Buffer;
  readonly trailers: HeaderBlock;
}

/**
 * The headers of a stream have come. They wait for the first message only where that opens the way to another attempt, and
 * only once the request is complete: a caller with more to say may wait for them itself.
 */
export function beginStream(call: Call, attempt: Attempt): void {
  if (call.resumable !== null) return continueStream(call, attempt, call.resumable);
  const { firstMessage, watch } = call.plan;
  if (watch === MessageWatch.described) {
    attempt.counter = new MessageCounter();
    return;
  }
  if (firstMessage !== FirstMessage.ignored) attempt.counter = new MessageCounter();
  if (firstMessage !== FirstMessage.awaited || !call.requestEnded) commitResponse(call, attempt);
}

/** An endpoint is about to go on with a stream whose headers the caller has. */
function continueStream(call: Call, attempt: Attempt, resumable: Resumption): void {
  const refusal = resumable.refusalOf(attempt.head!);
  if (refusal !== '') call.handler.onNotResumed?.(call, attempt, refusal);
}

/** The first message of a stream is complete, or its framing is not gRPC's: from here on frames are passed on unread. */
export function onMessages(call: Call, attempt: Attempt): void {
  const counter = attempt.counter!;
  const { isBroken } = counter;
  if (call.plan.watch === MessageWatch.described) return checkMessages(call, attempt);
  if (isBroken) attempt.counter = null;
  else if (counter.goesOn) return call.handler.onCountedMessages?.(call, attempt);
  else call.handler.onFirstMessage?.(call, attempt);
  if (!counter.goesOn) attempt.counter = null;
  if (call.plan.isResumable && !isBroken && !call.isCommitted) call.resumable = resumptionOf(call, attempt);
  if (!call.isCommitted) commitResponse(call, attempt);
}

/** The answer of an engine goes on by its tokens, where that is exact; null: another endpoint could not go on with it. */
function resumptionOf(call: Call, attempt: Attempt): Resumption | null {
  const { engineCall, plan } = call;
  const isKept = call.requestEnded && call.isReplayable;
  if (plan.engine === null) return isKept ? new ResumableStream(attempt.head!, plan.isDeterministic) : null;
  if (engineCall === null) return null;
  if (!isKept) disableReplay(call);
  const answer =
    isKept && engineCall.obstacle === ''
      ? new TokenStream(attempt.head!, engineCall)
      : new AnswerWatch(attempt.head!, engineCall, !isKept);
  answer.expect(attempt.heldResponse?.bytes ?? 0);
  return answer;
}

/** An answer of an engine whose first message is too large to be held, or whose request is not complete: nothing else is known of it. */
function watchAnswer(call: Call, attempt: Attempt): void {
  const { engineCall, plan } = call;
  if (!plan.isResumable || plan.engine === null || engineCall === null || attempt.isOver) return;
  call.resumable = new AnswerWatch(attempt.head!, engineCall, true);
}

/**
 * Messages of a call that has one by the description of its service. At the second one it goes on as the stream that it is: what is held
 * is passed on.
 */
function checkMessages(call: Call, attempt: Attempt): void {
  const { isBroken, messages } = attempt.counter!;
  if (!isBroken && messages < 2) return;
  attempt.counter = null;
  if (isBroken) return;
  call.handler.onNotUnary?.(call);
  if (!call.isCommitted) commitResponse(call, attempt);
}

const OK_TRAILERS = StableList.of([makeField('grpc-status', '0')]);

/**
 * Sends the headers and all that is held of an attempt's response: from here on the call is not repeated, and only a stream that
 * may be resumed continues in another attempt. Headers that are longer than the caller accepts end the call.
 */
export function commitResponse(call: Call, attempt: Attempt): void {
  const head = attempt.head!;
  if (!isAccepted(call, head)) return sendLocalReply(call, headersTooLong(call, head));
  if (call.hedge !== null) settleOn(call, attempt);
  step(call, CallEvent.commit);
  call.lastResponseMs = call.context.nowMs;
  if (call.isInactive) markActive(call);
  const { holdsResponse, messageTimeoutMs } = call.plan;
  if (messageTimeoutMs > 0) watchMessages(call);
  if (!holdsResponse) call.handler.onStreaming?.(call, attempt);
  else if (!attempt.isOver) call.handler.onLongResponse?.(call, attempt);
  if (call.resumable === null) {
    disableReplay(call);
    watchAnswer(call, attempt);
  }
  call.session.connection.sendHeaders(call.stream, headList(call, head), headExtras(call, head), false);
  const held = attempt.takeBufferedResponse();
  if (held === null) return;
  const wasOver = attempt.isOver;
  if (call.tee !== null) call.tee.begin(held);
  // What is passed on may show that the engine has given it up.
  for (let i = 0; i < held.count && attempt.isOver === wasOver; i++) {
    const { buffer, start, end } = held.at(i);
    // A message that is too large ends this in the middle of the list.
    if (call.resumable !== null) call.resumable.forward(call, attempt, buffer, start, end);
    else sendShared(call, buffer, start, end);
  }
}

function watchMessages(call: Call): void {
  const { messageTimeoutMs, endsSilent, engine } = call.plan;
  // How long an engine may be silent is learned while it answers.
  const checkMs =
    engine === null || endsSilent ? messageTimeoutMs : Math.min(SILENCE_CHECK_MS, messageTimeoutMs);
  call.silence = { dueMs: call.context.nowMs + checkMs, isLate: false };
  armTimer(call);
}

/** More than a rule and this sidecar add to headers, bytes. */
const ADDED_BYTES = 4096;

/** Whether the caller accepts these headers of a response. */
function isAccepted(call: Call, head: HeaderBlock): boolean {
  const acceptedBytes = call.session.connection.peerHeaderBytes;
  if (head.bytes + ADDED_BYTES <= acceptedBytes) return true;
  return listBytes(headList(call, head), headExtras(call, head)) <= acceptedBytes;
}

function headersTooLong(call: Call, head: HeaderBlock): LocalReply {
  const accepted = call.session.connection.peerHeaderBytes;
  const bytes = listBytes(headList(call, head), headExtras(call, head));
  const detail = `response headers of ${bytes} bytes are over the ${accepted} bytes that the caller accepts (SETTINGS_MAX_HEADER_LIST_SIZE)`;
  return makeLocalReply(LocalReplyReasons.metadataTooLarge, { detail });
}

/** Headers of the endpoint's response as the caller gets them. */
function headList(call: Call, { stable }: HeaderBlock): StableList {
  return editedList(call, call.plan.stripsResponse ? stripResponse(stable) : stable);
}

function headExtras(call: Call, { extras }: HeaderBlock): readonly HeaderField[] {
  const { stripsResponse, stripsReports } = call.plan;
  let kept = stripsResponse ? stripExtras(extras) : stripEngineModel(extras);
  if (stripsReports && kept.length > 0) kept = stripReports(kept);
  // Another endpoint may complete it in other bytes.
  if (call.resumable !== null) kept = kept.filter(({ token }) => token !== Token.contentLength);
  const edited = editedExtras(call, kept);
  return call.responseFields.length === 0 ? edited : [...edited, ...call.responseFields];
}

/** A list of the endpoint's as a rule says. */
function editedList({ plan: { responseEditor: editor } }: Call, list: StableList): StableList {
  return editor === null ? list : editor.list(list);
}

/** The same for those that vary, with what is ours. */
function editedExtras(call: Call, extras: readonly HeaderField[]): readonly HeaderField[] {
  const { responseEditor: editor } = call.plan;
  return withDegraded(call, editor === null ? extras : editor.extras(extras));
}

/** Sends trailers, cut to what the caller accepts. */
function endWithTrailers(call: Call, list: StableList, extras: readonly HeaderField[]): void {
  const { connection } = call.session;
  if (listBytes(list, extras) <= connection.peerHeaderBytes)
    return connection.sendTrailers(call.stream, list, extras);
  const fitted = fitTrailers({ list, extras }, connection.peerHeaderBytes);
  connection.sendTrailers(call.stream, fitted.list, fitted.extras);
}

/** Sends headers that end the response (gRPC over HTTP/2, "Trailers-Only"), cut likewise. */
function endWithHeaders(call: Call, list: StableList, extras: readonly HeaderField[]): void {
  const { connection } = call.session;
  if (listBytes(list, extras) <= connection.peerHeaderBytes)
    return connection.sendHeaders(call.stream, list, extras, true);
  const fitted = fitTrailers({ list, extras }, connection.peerHeaderBytes);
  connection.sendHeaders(call.stream, fitted.list, fitted.extras, true);
}

/** Forwards bytes of a response that has been committed; takes `buffer` over. A tee reads the payload only. */
export function forwardResponse(call: Call, buffer: OwnedBuffer, start: number, end: number): void {
  recordPatience(call, call.context.nowMs);
  call.lastResponseMs = call.context.nowMs;
  if (call.isInactive) markActive(call);
  if (end === start) return;
  if (call.tee !== null) call.tee.add(buffer, start, end);
  if (call.resumable !== null) return call.resumable.forward(call, call.attempt!, buffer, start, end);
  call.responseBytes += end - start;
  if (call.engineCall !== null) countTokens(call, buffer, start, end);
  call.session.connection.passData(call.stream, buffer, start, end, false);
}

/** Ends the call with the response of the endpoint, whose trailers have come. @param added fields after its own. */
export function finishWith(call: Call, attempt: Attempt, added: readonly HeaderField[] = NO_FIELDS): void {
  const { trailers } = attempt;
  if (trailers === null || call.isFinished) return;
  if (call.hedge !== null) settleOn(call, attempt);
  const { stripsResponse, stripsReports } = call.plan;
  let list = stripsResponse ? stripResponse(trailers.stable) : trailers.stable;
  let own = stripsResponse ? stripExtras(trailers.extras) : trailers.extras;
  if (stripsReports && own.length > 0) own = stripReports(own);
  // What this endpoint refused, another one may have processed.
  if (attempt.isRefused && !call.isUnprocessed) {
    list = stripMark(list);
    own = stripMarkOf(own);
  }
  if (call.resumable !== null) call.resumable.flush(call, attempt);
  if (attempt.isTrailersOnly && call.isCommitted) {
    // An endpoint that went on with a stream of which there was nothing left.
    call.session.connection.sendTrailers(call.stream, OK_TRAILERS, resumedFields(call));
  } else if (attempt.isTrailersOnly) {
    endWithHeaders(call, editedList(call, list), withAdded(editedExtras(call, own), added));
  } else {
    if (!call.isCommitted) commitResponse(call, attempt);
    if (call.isFinished) return;
    if (isTooLate(call, attempt.status)) call.session.connection.reset(call.stream, ErrorCode.cancel);
    else endWithTrailers(call, list, withAdded(withAdded(own, added), resumedFields(call)));
  }
  closeCall(call, attempt.status);
}

/** Ends a call well of which the caller has all of the answer, though the endpoint failed before it said so. */
export function finishComplete(call: Call): void {
  if (call.isFinished) return;
  call.session.connection.sendTrailers(call.stream, OK_TRAILERS, resumedFields(call));
  closeCall(call, Status.OK);
}

/** Ends the call with a stored response, as the endpoint's would have been passed on. */
export function sendStored(call: Call, { head, body, trailers }: StoredResponse): void {
  if (call.isFinished) return;
  const { connection } = call.session;
  const { stripsResponse, stripsReports } = call.plan;
  if (!isAccepted(call, head)) return sendLocalReply(call, headersTooLong(call, head));
  connection.sendHeaders(call.stream, headList(call, head), headExtras(call, head), false);
  if (body.length > 0) connection.sendData(call.stream, body, 0, body.length, false);
  call.responseBytes += body.length;
  const list = stripsResponse ? stripResponse(trailers.stable) : trailers.stable;
  let extras = stripsResponse ? stripExtras(trailers.extras) : trailers.extras;
  if (stripsReports && extras.length > 0) extras = stripReports(extras);
  endWithTrailers(call, list, extras);
  closeCall(call, Status.OK);
}

const APPROXIMATE: readonly HeaderField[] = [makeField(MetadataKey.resumed, 'approximate')];

/** Of a response that another endpoint went on with in what may be other words: says so, however it ends. */
function resumedFields({ resumable }: Call): readonly HeaderField[] {
  return resumable?.isApproximate === true ? APPROXIMATE : NO_FIELDS;
}

function withAdded(own: readonly HeaderField[], added: readonly HeaderField[]): readonly HeaderField[] {
  if (added.length === 0) return own;
  return own.length === 0 ? added : [...own, ...added];
}

/** Adds `outrider-degraded` where the response is not quite what was asked for. */
function withDegraded({ degraded }: Call, extras: readonly HeaderField[]): readonly HeaderField[] {
  return degraded === '' ? extras : [...extras, degradedField(degraded)];
}

/**
 * Whether the status of a passed deadline, of the endpoint's clock or of ours, would wait behind bytes that the caller does not read.
 * gRPC ends such a stream with a reset.
 */
function isTooLate({ session, stream }: Call, status: number): boolean {
  return status === Status.DEADLINE_EXCEEDED && session.cannotSend(stream);
}

/**
 * Ends the call with a local reply: trailers only, or trailers where a response has begun. Whatever its reason says, it is marked as unprocessed
 * only where no attempt of the call may have been processed.
 */
export function sendLocalReply(call: Call, reply: LocalReply): void {
  if (call.isFinished) return;
  const { reason, message, metadata } = call.isUnprocessed ? reply : withoutMark(reply);
  if (call.isCommitted && isTooLate(call, reason.status)) return resetCall(call, reply, ErrorCode.cancel);
  const extras = metadata === null ? [messageField(message)] : [messageField(message), metadata];
  if (call.isCommitted) endWithTrailers(call, replyTrailers(reason), withAdded(extras, resumedFields(call)));
  else endWithHeaders(call, replyHeaders(reason, headerViewOf(call.block).contentType), extras);
  call.stats?.countReason(reason.name);
  call.reason = reason.name;
  closeCall(call, reason.status);
}

/** Ends the call with the reply of a step that refuses it; null: it does not. */
export function refuseIf(call: Call, refusal: LocalReply | null): void {
  if (refusal !== null) sendLocalReply(call, refusal);
}

/**
 * Ends the call and frees what waits for its caller. Trailers would wait behind that, perhaps for ever: such a stream is
 * reset with ENHANCE_YOUR_CALM, which gRPC reads as RESOURCE_EXHAUSTED.
 */
export function failCall(call: Call, reply: LocalReply): void {
  if (!call.isFinished && !call.session.connection.isBehind(call.stream)) return sendLocalReply(call, reply);
  resetCall(call, reply, ErrorCode.enhanceYourCalm);
}

/**
 * Ends a call whose time is over: by its reply, or where its caller does not read what is in front of that, by a reset with CANCEL,
 * as gRPC ends a call at its deadline. What was to be read is freed.
 */
export function expireCall(call: Call, reply: LocalReply): void {
  if (call.isFinished) return;
  if (call.session.cannotSend(call.stream)) resetCall(call, reply, ErrorCode.cancel);
  else sendLocalReply(call, reply);
}

/**
 * Ends a call that nothing has begun to process, in the words of HTTP/2 (RFC 9113 section 8.7): a caller's sidecar, and a stock
 * client as well, sends it once more without asking its policy (gRFC A6). A call of which something may have been processed gets the reply.
 */
export function refuseCall(call: Call, reply: LocalReply): void {
  if (call.isFinished) return;
  if (call.isUnprocessed) resetCall(call, reply, ErrorCode.refusedStream);
  else sendLocalReply(call, reply);
}

/** Resets the caller's stream. A call that is over already, and of which the rest was to be read, keeps its status. */
function resetCall(call: Call, { reason }: LocalReply, code: number): void {
  call.session.connection.reset(call.stream, code);
  if (call.isFinished) return;
  call.stats?.countReason(reason.name);
  call.reason = reason.name;
  closeCall(call, reason.status);
}

/** The call is over, and its caller has the answer or is gone: stops what runs and frees what it holds. */
export function closeCall(call: Call, status: number): void {
  if (!takes(call.phase, CallEvent.close)) return;
  step(call, CallEvent.close);
  const { context } = call;
  context.wheel.cancel(call);
  stopAttempts(call, AttemptEnd.cancelled);
  if (call.bufferCost > 0 || call.buffered !== null) dropBuffer(call);
  if (call.reservedBytes > 0) context.memory.withdraw(call.reservedBytes);
  if (call.hasWideWindow && call.requestBytes > FIRST_WINDOW) call.session.memory.recordLargeRequest();
  call.handler.onFinish(call, status);
  if (call.tee !== null) call.tee.release();
  call.isSettled = true;
  if (context.recorder !== null) context.recorder.record(call, status);
}
