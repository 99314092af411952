/**
 * Writing: control frames first, then the streams in turn, one quantum each, so that no call delays its
 * neighbours. A frame header is written only when its payload is in memory. Stream ids are given out and header
 * lists encoded here, in the order of the wire, so a call that is reset before its turn was never sent.
 */

import { Closed, type ConnectionState, SMALL_BYTES } from './connection-state.js';
import { ErrorCode, Flag, FRAME_HEADER_BYTES, FrameType, MAX_STREAM_ID } from './constants.js';
import type { HeaderField } from './hpack/field.js';
import type { StableList } from './hpack/header-list.js';
import { compact } from './pending-data.js';
import { Ending, NO_FIELDS, Parked, type Stream } from './stream.js';
import { type Output, putFrameHeader } from './write-buffer.js';

/** Payload a stream may write before the next one has its turn. Also RFC 9113's smallest maximum frame. */
const QUANTUM = 16 * 1024;

/** Writes what may be written, up to about `room` octets. What is left stays queued. */
export function flush(c: ConnectionState, out: Output, room: number): void {
  while (out.bytes < room) {
    // An owner may reset a stream while it is told of writing: that is said before another takes its place.
    if (c.control.length > 0) c.control.drainTo(out);
    const stream = c.takeReady();
    if (stream === null) break;
    if (stream.closed) continue;
    // As long as all are small, which is nearly always, nothing has to be shared.
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

function writeTurn(c: ConnectionState, stream: Stream, out: Output): void {
  if (stream.id === 0 && !open(c, stream)) return;
  if (stream.headers !== null) writeHeaders(c, stream, out);
  if (stream.pendingBytes > 0 && !writePayload(c, stream, out)) return;
  if (stream.trailers !== null) {
    writeBlock(c, stream.trailers, stream.trailerExtras, stream.id, Flag.endStream, out);
    stream.trailers = null;
    stream.trailerExtras = NO_FIELDS;
    localEnd(c, stream);
  } else if (stream.endAfterPending && !stream.localEnded) {
    out.frameHeader(0, FrameType.data, Flag.endStream, stream.id);
    localEnd(c, stream);
  }
}

/** Client: gives the stream its id, or parks it until the peer allows one more. */
function open(c: ConnectionState, stream: Stream): boolean {
  if (c.isOver || c.goawayReceived || c.nextId > MAX_STREAM_ID) {
    c.close(stream, Closed.resetByUs);
    stream.owner.onEnding(stream, Ending.unprocessed, ErrorCode.refusedStream);
    return false;
  }
  if (stream.headers === null) return false;
  // Those that have waited longer go first.
  const wasPromised = stream.isReleased;
  if (wasPromised) {
    stream.isReleased = false;
    c.released--;
  }
  if (c.table.size + c.released >= c.peer.maxConcurrentStreams) {
    compact(stream);
    c.park(stream, wasPromised ? Parked.unopenedFirst : Parked.unopened);
    return false;
  }
  c.pendingOpen--;
  stream.id = c.nextId;
  c.nextId += 2;
  // The peer's INITIAL_WINDOW_SIZE may have changed since the stream object was made.
  stream.sendWindow = c.peer.initialWindow;
  // And so may ours.
  stream.recvWindow = c.initialWindow;
  stream.recvTarget = c.initialWindow;
  c.table.add(stream);
  return true;
}

function writeHeaders(c: ConnectionState, stream: Stream, out: Output): void {
  const ends = stream.endAfterPending && stream.pendingBytes === 0 && stream.trailers === null;
  writeBlock(c, stream.headers!, stream.headerExtras, stream.id, ends ? Flag.endStream : 0, out);
  stream.headers = null;
  stream.headerExtras = NO_FIELDS;
  if (ends) localEnd(c, stream);
}

/** One header list as HEADERS and, when it is very long, CONTINUATION frames. */
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
    putFrameHeader(
      out.buffer,
      at,
      to - at - FRAME_HEADER_BYTES,
      FrameType.headers,
      flags | Flag.endHeaders,
      id,
    );
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

/** Writes up to one quantum of payload; true when nothing of it is left. */
function writePayload(c: ConnectionState, stream: Stream, out: Output): boolean {
  let n = Math.min(stream.pendingBytes, QUANTUM, c.peer.maxFrame);
  if (stream.sendWindow < n) n = stream.sendWindow;
  if (n <= 0) return waitForWindow(stream);
  if (c.sendWindow < n) n = c.sendWindow;
  if (n <= 0) {
    compact(stream);
    c.park(stream, Parked.starved);
    return false;
  }
  stream.sendWindow -= n;
  c.sendWindow -= n;
  c.waiting.octets -= n;
  const ends = n === stream.pendingBytes && stream.endAfterPending && stream.trailers === null;
  out.frameHeader(n, FrameType.data, ends ? Flag.endStream : 0, stream.id);
  c.meters.pings.forgive();
  stream.pendingBytes -= n;
  takePayload(stream, n, out);
  if (ends) localEnd(c, stream);
  stream.owner.onSent(stream, n);
  if (stream.pendingBytes === 0) return !stream.closed;
  if (stream.closed) return false;
  if (stream.sendWindow <= 0) return waitForWindow(stream);
  c.ready(stream);
  return false;
}

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

/** Parked until the peer's WINDOW_UPDATE (or SETTINGS) makes the stream ready again. */
function waitForWindow(stream: Stream): false {
  compact(stream);
  return false;
}

function localEnd(c: ConnectionState, stream: Stream): void {
  stream.localEnded = true;
  stream.endAfterPending = false;
  if (stream.remoteEnded) {
    c.close(stream, Closed.ended);
  } else if (c.role === 'server') {
    // The answer is complete though the request is not: RFC 9113 section 8.1 asks the client to stop sending.
    c.control.word(FrameType.rstStream, stream.id, ErrorCode.noError);
    c.close(stream, Closed.resetByUs);
  }
}
