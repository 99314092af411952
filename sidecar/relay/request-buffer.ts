/**
 * The request on its way to the endpoint: what of it is buffered for another attempt, what is written to the present one,
 * and how much more the caller may send.
 */

import type { HeaderField } from '../http2/hpack/field.js';
import { listBytes } from '../http2/hpack/header-list.js';
import { Token } from '../http2/hpack/tokens.js';
import type { OwnedBuffer } from '../http2/owned-buffer.js';
import type { Stream } from '../http2/stream.js';
import { ChunkList } from '../transport/chunk-list.js';
import { FIRST_WINDOW, WIDE_WINDOW } from '../transport/memory-budget.js';
import type { Session } from '../transport/session.js';
import type { Attempt } from './attempt.js';
import type { Call } from './call.js';

const EMPTY = Buffer.alloc(0);
/** What a wide window has beyond the first one, bytes. */
const MORE_WINDOW = WIDE_WINDOW - FIRST_WINDOW;

/** Adds bytes of the request to its buffer, which is the first to send them on: it takes `buffer` over. */
export function bufferRequest(call: Call, buffer: OwnedBuffer, start: number, end: number): void {
  if (mayKeep(call, buffer, start, end, false)) call.buffered!.addOwned(buffer, start, end);
}

/**
 * The same for bytes of which others are the first to send them on.
 * @param open the present attempt is: they may be left out.
 */
export function bufferShared(call: Call, buffer: Buffer, start: number, end: number, open: boolean): void {
  if (mayKeep(call, buffer, start, end, open)) call.buffered!.add(buffer, start, end);
}

/** Counts bytes that are about to be buffered, in `call.buffered`. False: they are not to be. */
function mayKeep(call: Call, buffer: Buffer, start: number, end: number, open: boolean): boolean {
  call.buffered ??= new ChunkList();
  const cost = call.buffered.cost(buffer, start, end);
  if (
    call.isReplayable &&
    (call.buffered.bytes + end - start > call.plan.replayBytes || !mayBuffer(call, cost, open))
  ) {
    // Too much to buffer: the present attempt is the last that can have all of it.
    const isTooLarge = call.buffered.bytes + end - start > call.plan.replayBytes;
    call.handler.onRequestNotKept?.(call, isTooLarge ? 'requestTooLarge' : 'memory');
    disableReplay(call);
    if (open) return false;
  } else if (call.isReplayable) {
    call.bufferCost += cost;
  }
  if (!call.isReplayable) {
    call.unbudgetedBytes += end - start;
    call.context.memory.waiting.bytes += end - start;
  }
  call.buffered ??= new ChunkList();
  return true;
}

/**
 * What is buffered for another attempt only may be refused. Before the first attempt the request is buffered in any case,
 * up to `replayBytes`: to send it on instead would give its caller a place at the endpoint for want of memory.
 */
function mayBuffer({ context, attempts }: Call, cost: number, open: boolean): boolean {
  if (open || attempts > 0) return context.memory.reserve(cost);
  context.memory.force(cost);
  return true;
}

/** Sends the headers and all that is known of the request on the new stream of an attempt. */
export function writeRequest(call: Call, attempt: Attempt, { connection }: Session, stream: Stream): void {
  const { buffered, handler } = call;
  const own = call.resumable === null ? null : call.resumable.requestFor(call);
  const isEmpty = own === null && (buffered === null || buffered.count === 0);
  const headers = handler.requestHeaders(call, attempt);
  let extras = handler.requestExtras(call, attempt);
  // Only such requests are written anew. A reload may have taken the engine out of the plan of an answer that goes on.
  if (call.plan.engine !== null || call.engineCall !== null)
    extras = fittingExtras(call, extras, own ?? buffered);
  const headerBytes = listBytes(headers, extras);
  if (headerBytes > connection.peerHeaderBytes)
    return attempt.refuseRequest(headerBytes, connection.peerHeaderBytes);
  // As gRPC ends a request ("Requests": EOS), also one without a message. grpc-go never answers one that its headers end.
  stream.endsByData = true;
  connection.sendHeaders(stream, headers, extras, isEmpty && call.requestEnded);
  if (isEmpty) return;
  if (own !== null) return void connection.sendData(stream, own, 0, own.length, true);
  writeBuffered(buffered!, connection, stream, call.requestEnded);
  if (!call.isReplayable) releaseBuffer(call);
}

/**
 * Without the length that the caller told of its request where another one goes on in its place, as for an engine that continues an
 * answer: its receiver would find it malformed (RFC 9113 section 8.1.1).
 */
function fittingExtras(
  { requestEnded }: Call,
  extras: readonly HeaderField[],
  body: Buffer | ChunkList | null,
): readonly HeaderField[] {
  if (!requestEnded) return extras;
  const bytes = body instanceof ChunkList ? body.bytes : (body?.length ?? 0);
  const isOther = ({ token, value }: HeaderField): boolean =>
    token === Token.contentLength && Number(value) !== bytes;
  return extras.some(isOther) ? extras.filter((field) => !isOther(field)) : extras;
}

/**
 * Writes what is buffered. Its first writer passes it on in the frames that it came in, whose headers it writes over; any other
 * only reads it, as the socket of the first may still refer to those frames (`Connection.passData`).
 */
function writeBuffered(
  buffered: ChunkList,
  connection: Session['connection'],
  stream: Stream,
  ended: boolean,
): void {
  const last = buffered.count - 1;
  for (let i = 0; i <= last; i++) {
    const { buffer, start, end } = buffered.at(i);
    const owned = buffered.takeOwned(i);
    if (owned === null) connection.sendData(stream, buffer, start, end, ended && i === last);
    else connection.passData(stream, owned, start, end, ended && i === last);
  }
}

/**
 * A request that is larger than what is kept has gone to a stream that ended before anything of it was written: it is buffered again.
 * False: that was not all of the request so far.
 */
export function takeBack(call: Call, { firstChunk }: Stream): boolean {
  if (call.hedge !== null || call.resumable !== null || call.buffered !== null) return false;
  let bytes = 0;
  for (let chunk = firstChunk; chunk !== null; chunk = chunk.next) bytes += chunk.end - chunk.start;
  if (bytes !== call.requestBytes) return false;
  if (bytes === 0) return true;
  call.buffered = new ChunkList();
  for (let chunk = firstChunk; chunk !== null; chunk = chunk.next)
    call.buffered.add(chunk.buffer, chunk.start, chunk.end);
  call.unbudgetedBytes += bytes;
  call.context.memory.waiting.bytes += bytes;
  return true;
}

/**
 * What the caller sends from now on is buffered, up to its window, and not forwarded. Only for a call that is not
 * replayable.
 */
export function holdRequest(call: Call): void {
  call.isRequestHeld = true;
}

/** Forwards what has been held, and what comes from now on. */
export function resumeRequest(call: Call): void {
  if (!call.isRequestHeld) return;
  call.isRequestHeld = false;
  const { attempt, buffered, requestEnded } = call;
  if (attempt === null || attempt.stream === null || attempt.isOver) return;
  const { connection } = attempt.session!;
  if (buffered !== null && buffered.count > 0)
    writeBuffered(buffered, connection, attempt.stream, requestEnded);
  else if (requestEnded) connection.sendData(attempt.stream, EMPTY, 0, 0, true);
  dropBuffer(call);
}

/**
 * Gives the caller credit for all request bytes up to `sent`. A request that fills half of its first window, and is not complete, gets a
 * wide one where the memory budget allows it.
 */
export function creditRequest(call: Call, sent: number): void {
  const more = sent - call.creditedBytes;
  if (more <= 0 || call.isFinished) return;
  call.creditedBytes = sent;
  if (!call.hasWideWindow && !call.requestEnded && call.requestBytes > FIRST_WINDOW >>> 1)
    call.hasWideWindow = reserveWideWindow(call, MORE_WINDOW);
  call.session.connection.credit(call.stream, more, call.hasWideWindow ? WIDE_WINDOW : 0);
}

/** The request is complete: nothing more comes by its wide window, which is not paid for any longer. Once, at END_STREAM. */
export function withdrawRequestWindow(call: Call): void {
  if (!call.hasWideWindow) return;
  call.reservedBytes -= MORE_WINDOW;
  call.context.memory.withdraw(MORE_WINDOW);
}

/**
 * Reserves `bytes` of the memory budget for a window of this call, until its end. False: there is no room. A copy that no caller waits for
 * leaves half of the budget to calls.
 */
export function reserveWideWindow(call: Call, bytes: number): boolean {
  const { memory } = call.context;
  if (call.isFinished) return false;
  if (!(call.isCopy ? memory.reserveWindowAside(bytes) : memory.reserveWindow(bytes))) return false;
  call.reservedBytes += bytes;
  return true;
}

/** Reserves a wide window for the response, once for all attempts: each is credited what the caller has read of it. */
export function widenResponse(call: Call): boolean {
  if (!call.hasWideResponse) call.hasWideResponse = reserveWideWindow(call, MORE_WINDOW);
  return call.hasWideResponse;
}

/** No other attempt gets the request from here on; what was buffered for one is freed. */
export function disableReplay(call: Call): void {
  if (!call.isReplayable) return;
  call.isReplayable = false;
  const attempt = call.attempt;
  // Between two attempts, or before a connection, it is still to be sent.
  if (attempt !== null && attempt.stream !== null && !attempt.isOver) releaseBuffer(call);
}

function releaseBuffer(call: Call): void {
  if (call.buffered !== null) call.handler.onBufferReleased?.(call);
  dropBuffer(call);
}

/** Frees the buffered request and its share of the memory budget. */
export function dropBuffer(call: Call): void {
  const { memory } = call.context;
  if (call.bufferCost > 0) memory.release(call.bufferCost);
  memory.waiting.bytes -= call.unbudgetedBytes;
  call.bufferCost = 0;
  call.unbudgetedBytes = 0;
  call.buffered = null;
}
