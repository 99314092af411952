import { Closed, type ConnectionState, SMALL_BYTES } from './connection-state.js';
import { ErrorCode, Flag, FRAME_HEADER_BYTES, FrameType, MAX_STREAM_ID } from './constants.js';
import { completeFrames, type FramedChunk, isFramed, payloadOf, unframe } from './framed-data.js';
import { endUnwritten } from './goaway.js';
import type { HeaderField } from './hpack/field.js';
import type { StableList } from './hpack/header-list.js';
import { compact } from './pending-data.js';
import { type Chunk, NO_FIELDS, Parked, type Stream } from './stream.js';
import { type Output, putFrameHeader } from './write-buffer.js';

/** Bytes of payload that a stream writes before the next one; also the smallest MAX_FRAME_SIZE of RFC 9113. */
const QUANTUM = 16 * 1024;

/**
 * Writes queued frames, up to about `room` bytes: control frames first, then the streams in turn, one quantum each, so
 * that no call delays the others. Stream ids are assigned and header lists encoded here, in the order on the wire, so
 * that a call that is reset before its turn was never sent.
 */
export function flush(c: ConnectionState, out: Output, room: number): void {
  while (out.bytes < room) {
    // An owner may reset a stream in its `onSent`: the reset is written before the next stream is opened.
    if (c.control.length > 0) c.control.drainTo(out);
    const stream = c.takeReady();
    if (stream === null) break;
    // While all are small, which is nearly always, there is nothing to share out.
    if (c.firstReady === null && stream.pendingBytes <= SMALL_BYTES) {
      writeTurn(c, stream, out);
      continue;
    }
    const before = out.bytes;
    const isSmall = stream.pendingBytes <= SMALL_BYTES;
    writeTurn(c, stream, out);
    c.wrote(out.bytes - before, isSmall);
  }
  if (c.control.length > 0) c.control.drainTo(out);
}

/** One quantum of a stream: headers, payload, then trailers or END_STREAM. */
function writeTurn(c: ConnectionState, stream: Stream, out: Output): void {
  c.current = stream;
  if (stream.id === 0 && !open(c, stream)) return;
  if (stream.headers !== null) writeHeaders(c, stream, out);
  if (stream.pendingBytes > 0 && !writePayload(c, stream, out)) return;
  if (stream.trailers !== null) {
    writeBlock(c, stream.trailers, stream.trailerExtras, stream.id, Flag.endStream, out);
    c.waiting.bytes -= stream.trailersBytes;
    stream.trailersBytes = 0;
    stream.trailers = null;
    stream.trailerExtras = NO_FIELDS;
    localEnd(c, stream);
  } else if (stream.endAfterPending && !stream.localEnded) {
    out.frameHeader(0, FrameType.data, Flag.endStream, stream.id);
    localEnd(c, stream);
  }
}

/** Client: assigns an id, or parks the stream until the peer allows one more. Whether it can be written. */
function open(c: ConnectionState, stream: Stream): boolean {
  if (c.isOver || c.goawayReceived || c.nextId > MAX_STREAM_ID) {
    endUnwritten(c, stream);
    return false;
  }
  if (stream.headers === null) return false;
  // Streams that have waited longer go first.
  const wasReleased = stream.isReleased;
  if (wasReleased) {
    stream.isReleased = false;
    c.released--;
  }
  if (c.table.size + c.released >= c.peer.maxConcurrentStreams) {
    compact(stream);
    c.park(stream, wasReleased ? Parked.unopenedFirst : Parked.unopened);
    return false;
  }
  c.pendingOpen--;
  stream.id = c.nextId;
  c.nextId += 2;
  // Both initial windows may have changed since the stream object was made.
  stream.sendWindow = c.peer.initialWindow;
  stream.recvWindow = c.initialWindow;
  stream.recvTarget = c.initialWindow;
  c.table.add(stream);
  return true;
}

function writeHeaders(c: ConnectionState, stream: Stream, out: Output): void {
  const isLast = stream.pendingBytes === 0 && stream.trailers === null;
  const ends = stream.endAfterPending && isLast && !stream.endsByData;
  writeBlock(c, stream.headers!, stream.headerExtras, stream.id, ends ? Flag.endStream : 0, out);
  c.waiting.bytes -= stream.headersBytes;
  stream.headersBytes = 0;
  stream.headers = null;
  stream.headerExtras = NO_FIELDS;
  if (ends) localEnd(c, stream);
}

/** A header list as HEADERS and, when it exceeds the peer's MAX_FRAME_SIZE, CONTINUATION frames. */
function writeBlock(
  c: ConnectionState,
  list: StableList,
  extras: readonly HeaderField[],
  id: number,
  flags: number,
  out: Output,
): void {
  c.meters.pings.forgive();
  const bound = c.encoder.bound(list, extras);
  const max = c.peer.maxFrame;
  if (bound <= max) {
    out.reserve(FRAME_HEADER_BYTES + bound);
    const at = out.at;
    const to = c.encoder.encode(list, extras, out.buffer, at + FRAME_HEADER_BYTES);
    const length = to - at - FRAME_HEADER_BYTES;
    putFrameHeader(out.buffer, at, length, FrameType.headers, flags | Flag.endHeaders, id);
    out.advance(to);
    return;
  }
  const scratch = Buffer.allocUnsafe(bound);
  const length = c.encoder.encode(list, extras, scratch, 0);
  for (let at = 0, type: number = FrameType.headers; at < length || at === 0; at += max) {
    const end = Math.min(length, at + max);
    const last = end === length ? Flag.endHeaders : 0;
    out.frameHeader(end - at, type, (type === FrameType.headers ? flags : 0) | last, id);
    out.payload(scratch, at, end);
    type = FrameType.continuation;
  }
}

/** Writes up to one quantum of payload; true when none is left and the stream is open. */
function writePayload(c: ConnectionState, stream: Stream, out: Output): boolean {
  let first = stream.firstChunk!;
  if (isFramed(first)) {
    const n = payloadOf(first);
    if (n <= stream.sendWindow && n <= c.sendWindow) return writeFrames(c, stream, first, n, out);
    unframe(stream);
    first = stream.firstChunk!;
  }
  let n = Math.min(bareBytes(first, QUANTUM), c.peer.maxFrame);
  if (stream.sendWindow < n) n = stream.sendWindow;
  if (n <= 0) return waitForWindow(c, stream);
  if (c.sendWindow < n) n = c.sendWindow;
  if (n <= 0) {
    compact(stream);
    c.park(stream, Parked.starved);
    c.waits(stream);
    return false;
  }
  stream.sendWindow -= n;
  c.sendWindow -= n;
  c.waiting.bytes -= n;
  const ends = n === stream.pendingBytes && stream.endAfterPending && stream.trailers === null;
  out.frameHeader(n, FrameType.data, ends ? Flag.endStream : 0, stream.id);
  c.meters.pings.forgive();
  stream.pendingBytes -= n;
  takePayload(stream, n, out);
  if (ends) localEnd(c, stream);
  return afterPayload(c, stream, n);
}

/** Bytes of bare payload from `first` on, `most` at most. */
function bareBytes(first: Chunk, most: number): number {
  let bytes = first.end - first.start;
  for (let chunk = first.next; bytes < most && chunk !== null && chunk.frames === 0; chunk = chunk.next)
    bytes += chunk.end - chunk.start;
  return Math.min(bytes, most);
}

/** Writes the frames of a piece, `n` bytes of payload, as they lie in its buffer. */
function writeFrames(
  c: ConnectionState,
  stream: Stream,
  piece: FramedChunk,
  n: number,
  out: Output,
): boolean {
  stream.firstChunk = piece.next;
  if (piece.next === null) stream.lastChunk = null;
  stream.sendWindow -= n;
  c.sendWindow -= n;
  c.waiting.bytes -= n;
  stream.pendingBytes -= n;
  const ends = stream.pendingBytes === 0 && stream.endAfterPending && stream.trailers === null;
  completeFrames(piece, stream.id, ends);
  out.payload(piece.buffer, piece.start, piece.end);
  c.meters.pings.forgive();
  if (ends) localEnd(c, stream);
  return afterPayload(c, stream, n);
}

/** `n` bytes of payload have been written; true when none is left and the stream is open. */
function afterPayload(c: ConnectionState, stream: Stream, n: number): boolean {
  stream.owner.onSent(stream, n);
  if (stream.pendingBytes === 0) return !stream.closed;
  if (stream.closed) return false;
  if (stream.sendWindow <= 0) return waitForWindow(c, stream);
  c.ready(stream);
  return false;
}

/** Moves `n` bytes of pending payload to the output. */
function takePayload(stream: Stream, n: number, out: Output): void {
  let left = n;
  while (left > 0) {
    const chunk = stream.firstChunk!;
    const take = Math.min(left, chunk.end - chunk.start);
    out.payload(chunk.buffer, chunk.start, chunk.start + take);
    chunk.start += take;
    left -= take;
    if (chunk.start === chunk.end) {
      stream.firstChunk = chunk.next;
      if (stream.firstChunk === null) stream.lastChunk = null;
    }
  }
}

/** Leaves the queue until WINDOW_UPDATE or SETTINGS of the peer make the stream ready again. */
function waitForWindow(c: ConnectionState, stream: Stream): false {
  compact(stream);
  c.waits(stream);
  return false;
}

/** We have sent END_STREAM. */
function localEnd(c: ConnectionState, stream: Stream): void {
  stream.localEnded = true;
  stream.endAfterPending = false;
  if (stream.remoteEnded) {
    c.close(stream, Closed.ended);
  } else if (c.role === 'server') {
    // The response is complete before the request: RFC 9113 section 8.1 asks the client to stop sending.
    c.control.word(FrameType.rstStream, stream.id, ErrorCode.noError);
    c.close(stream, Closed.resetByUs);
  }
}
