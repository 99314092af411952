/**
 * Receiving: what each frame does to the connection and its streams (RFC 9113 sections 5 and 6). Violations of a
 * stream reset that stream; only what the RFC calls a connection error throws ConnectionError.
 */

import { Closed, type ConnectionState } from './connection-state.js';
import { ConnectionError, DEFAULT_WINDOW, ErrorCode, Flag, FrameType, MAX_WINDOW } from './constants.js';
import { contentLengthOf, factsOf } from './facts.js';
import { HpackError } from './hpack/errors.js';
import type { HeaderBlock } from './hpack/header-list.js';
import { BLOCK_BYTES, BLOCK_FRAMES, INFORMATIONAL, type LimitName } from './limits.js';
import { applySettings } from './settings.js';
import { Ending, Stream } from './stream.js';

export function receiveFrame(
  c: ConnectionState,
  type: number,
  flags: number,
  id: number,
  buffer: Buffer,
  start: number,
  end: number,
): void {
  checkOrder(c, type, id);
  switch (type) {
    case FrameType.headers:
      return receiveHeaders(c, flags, id, buffer, start, end);
    case FrameType.continuation:
      return receiveContinuation(c, flags, id, buffer, start, end);
    case FrameType.windowUpdate:
      return receiveWindowUpdate(c, id, buffer, start, end);
    case FrameType.rstStream:
      return receiveReset(c, id, buffer, start, end);
    case FrameType.settings:
      return receiveSettings(c, flags, id, buffer, start, end);
    case FrameType.ping:
      return receivePing(c, flags, id, buffer, start, end);
    case FrameType.goaway:
      return receiveGoaway(c, id, buffer, start, end);
    case FrameType.priority:
      return receivePriority(c, id, buffer, start, end);
    case FrameType.pushPromise:
      throw new ConnectionError(ErrorCode.protocolError, 'PUSH_PROMISE, which we never allow');
    default:
      meter(c, c.meters.idleFrames.take(c.nowMs), 'idle-frames');
  }
}

/** RFC 9113 sections 3.4 and 6.10: SETTINGS come first; nothing may stand inside a header block. */
function checkOrder(c: ConnectionState, type: number, id: number): void {
  if (!c.gotSettings && type !== FrameType.settings) {
    throw new ConnectionError(ErrorCode.protocolError, 'the first frame is not SETTINGS');
  }
  if (c.blockStream !== 0 && (type !== FrameType.continuation || id !== c.blockStream)) {
    throw new ConnectionError(ErrorCode.protocolError, 'a header block is interrupted by another frame');
  }
}

export function meter(c: ConnectionState, allowed: boolean, name: LimitName): void {
  if (allowed) return;
  c.handler.onLimit(name);
  throw new ConnectionError(ErrorCode.enhanceYourCalm, name);
}

/** RFC 9113 section 5.4.2. The stream may be closed or have been refused already. */
export function streamError(c: ConnectionState, id: number, stream: Stream | null, code: number): void {
  c.control.word(FrameType.rstStream, id, code);
  c.dirty();
  if (stream === null) {
    c.remember(id, Closed.resetByUs);
  } else if (!stream.closed) {
    c.close(stream, Closed.resetByUs);
    stream.owner.onEnding(stream, Ending.violation, code);
    if (c.isOver) return;
  }
  meter(c, c.meters.violations.take(c.nowMs), 'violations');
}

// ---- header blocks ----

/** Kept beside the flags of HEADERS (one octet) until the block is whole. */
const SELF_DEPENDENT = 0x100;

function receiveHeaders(
  c: ConnectionState,
  flags: number,
  id: number,
  buffer: Buffer,
  start: number,
  end: number,
): void {
  if (id === 0) throw new ConnectionError(ErrorCode.protocolError, 'HEADERS on stream 0');
  let at = start;
  let to = end;
  if ((flags & Flag.padded) !== 0) {
    if (at === to) throw new ConnectionError(ErrorCode.frameSizeError, 'padded HEADERS without a pad length');
    to -= buffer[at]!;
    at += 1;
  }
  let selfDependent = false;
  if ((flags & Flag.priority) !== 0) {
    if (end - at < 5)
      throw new ConnectionError(ErrorCode.frameSizeError, 'HEADERS too short for its priority');
    selfDependent = (buffer.readUInt32BE(at) & 0x7fffffff) === id;
    at += 5;
  }
  if (to < at)
    throw new ConnectionError(ErrorCode.protocolError, 'padding as long as the HEADERS frame or longer');
  const marked = selfDependent ? flags | SELF_DEPENDENT : flags;
  if ((flags & Flag.endHeaders) !== 0) return receiveBlock(c, marked, id, buffer, at, to);
  c.blockStream = id;
  c.blockSinceMs = c.nowMs;
  c.blockFlags = marked;
  c.blockFrames = 1;
  c.block = [Buffer.from(buffer.subarray(at, to))];
  c.blockBytes = to - at;
  if (at === to) meter(c, c.meters.emptyFrames.take(c.nowMs), 'empty-frames');
}

function receiveContinuation(
  c: ConnectionState,
  flags: number,
  id: number,
  buffer: Buffer,
  start: number,
  end: number,
): void {
  if (c.blockStream === 0) throw new ConnectionError(ErrorCode.protocolError, 'CONTINUATION without HEADERS');
  c.blockFrames++;
  c.blockBytes += end - start;
  meter(c, c.blockFrames <= BLOCK_FRAMES && c.blockBytes <= BLOCK_BYTES, 'header-block-frames');
  if (start === end && (flags & Flag.endHeaders) === 0)
    meter(c, c.meters.emptyFrames.take(c.nowMs), 'empty-frames');
  c.block.push(Buffer.from(buffer.subarray(start, end)));
  if ((flags & Flag.endHeaders) === 0) return;
  const whole = Buffer.concat(c.block);
  const first = c.blockFlags;
  c.blockStream = 0;
  c.block = [];
  receiveBlock(c, first, id, whole, 0, whole.length);
}

function decode(c: ConnectionState, buffer: Buffer, start: number, end: number): HeaderBlock {
  try {
    return c.decoder.decode(buffer, start, end);
  } catch (error) {
    if (error instanceof HpackError) throw new ConnectionError(ErrorCode.compressionError, error.message);
    throw error;
  }
}

function receiveBlock(
  c: ConnectionState,
  flags: number,
  id: number,
  buffer: Buffer,
  start: number,
  end: number,
): void {
  const ended = (flags & Flag.endStream) !== 0;
  const stream = c.table.get(id);
  const block = decode(c, buffer, start, end);
  const selfDependent = (flags & SELF_DEPENDENT) !== 0;
  if (stream === null) {
    if (c.role === 'server' && id > c.lastPeerId) return receiveRequest(c, id, block, ended, selfDependent);
    return receiveLateBlock(c, id);
  }
  if (selfDependent) return streamError(c, id, stream, ErrorCode.protocolError);
  if (stream.remoteEnded) return streamError(c, id, stream, ErrorCode.streamClosed);
  if (block.overLimit) return refuseList(c, id, stream);
  if (stream.gotHeaders) return receiveTrailers(c, stream, block, ended);
  receiveResponse(c, stream, block, ended);
}

function receiveRequest(
  c: ConnectionState,
  id: number,
  block: HeaderBlock,
  ended: boolean,
  selfDependent: boolean,
): void {
  if ((id & 1) === 0) throw new ConnectionError(ErrorCode.protocolError, 'a client opened an even stream');
  c.lastPeerId = id;
  if (id > c.goawaySent) return refuse(c, id);
  if (c.table.size >= c.local.maxConcurrentStreams) {
    c.handler.onLimit('concurrent-streams');
    return refuse(c, id);
  }
  if (block.overLimit) return refuseList(c, id, null);
  const facts = factsOf(block);
  if (selfDependent || !facts.isRequest() || (ended && contentLengthOf(block) > 0)) {
    return streamError(c, id, null, ErrorCode.protocolError);
  }
  // A client that has not seen our SETTINGS yet may count on the RFC's initial window.
  const window = c.settingsAcked ? c.local.initialWindow : Math.max(c.local.initialWindow, DEFAULT_WINDOW);
  const stream = new Stream(NO_OWNER, window, c.peer.initialWindow);
  stream.id = id;
  stream.gotHeaders = true;
  stream.remoteEnded = ended;
  stream.expectedBytes = contentLengthOf(block);
  c.table.add(stream);
  c.handler.onStream(stream, block, ended);
}

function refuse(c: ConnectionState, id: number): void {
  c.control.word(FrameType.rstStream, id, ErrorCode.refusedStream);
  c.remember(id, Closed.resetByUs);
  c.dirty();
}

function refuseList(c: ConnectionState, id: number, stream: Stream | null): void {
  meter(c, c.meters.headerList.take(c.nowMs), 'header-list');
  c.handler.onLimit('header-list');
  streamError(c, id, stream, ErrorCode.enhanceYourCalm);
}

function receiveResponse(c: ConnectionState, stream: Stream, block: HeaderBlock, ended: boolean): void {
  const facts = factsOf(block);
  if (!facts.isResponse()) return streamError(c, stream.id, stream, ErrorCode.protocolError);
  if (facts.status < 200) {
    if (ended || facts.status === 101) return streamError(c, stream.id, stream, ErrorCode.protocolError);
    stream.informational++;
    meter(c, stream.informational <= INFORMATIONAL, 'informational');
    return;
  }
  // A 304 tells the length of a body it does not have (RFC 9110 section 8.6).
  if (ended && contentLengthOf(block) > 0 && facts.status !== 304) {
    return streamError(c, stream.id, stream, ErrorCode.protocolError);
  }
  stream.gotHeaders = true;
  stream.expectedBytes = contentLengthOf(block);
  stream.remoteEnded = ended;
  stream.owner.onHeaders(stream, block, ended);
  closeIfDone(c, stream);
}

function receiveTrailers(c: ConnectionState, stream: Stream, block: HeaderBlock, ended: boolean): void {
  const short = stream.expectedBytes >= 0 && stream.receivedBytes !== stream.expectedBytes;
  if (!ended || short || !factsOf(block).isTrailers()) {
    return streamError(c, stream.id, stream, ErrorCode.protocolError);
  }
  stream.remoteEnded = true;
  stream.owner.onTrailers(stream, block);
  closeIfDone(c, stream);
}

/** HEADERS on a stream that is not open. The block has been decoded, so the table is in step. */
function receiveLateBlock(c: ConnectionState, id: number): void {
  if (c.isIdle(id)) throw new ConnectionError(ErrorCode.protocolError, 'HEADERS on an idle stream');
  late(c, id, 'HEADERS');
}

/** A frame on a closed stream: harmless when it crossed our reset on the wire, else as RFC 9113 section 5.1 says. */
function late(c: ConnectionState, id: number, what: string): void {
  const how = c.closedAs(id);
  if (how === Closed.resetByUs) return;
  if (how === Closed.resetByPeer) return streamError(c, id, null, ErrorCode.streamClosed);
  if (how === Closed.ended) throw new ConnectionError(ErrorCode.streamClosed, `${what} on a closed stream`);
  throw new ConnectionError(ErrorCode.protocolError, `${what} on a stream that was skipped`);
}

/** After the owner has been told: the stream is over when both sides have ended. */
export function closeIfDone(c: ConnectionState, stream: Stream): void {
  if (stream.closed || !stream.remoteEnded) return;
  if (stream.localEnded) {
    c.close(stream, Closed.ended);
  } else if (c.role === 'client') {
    // The answer is complete though we have not said all: what is left would be wasted.
    if (stream.id !== 0) {
      c.control.word(FrameType.rstStream, stream.id, ErrorCode.noError);
      c.dirty();
    }
    c.close(stream, Closed.resetByUs);
  }
}

// ---- DATA ----

export function receiveDataStart(c: ConnectionState, flags: number, id: number, length: number): void {
  checkOrder(c, FrameType.data, id);
  if (id === 0) throw new ConnectionError(ErrorCode.protocolError, 'DATA on stream 0');
  c.recvWindow -= length;
  if (c.recvWindow < 0)
    throw new ConnectionError(ErrorCode.flowControlError, 'DATA beyond the connection window');
  c.unannounced += length;
  if (c.unannounced >= c.local.connectionWindow >>> 1) announceConnection(c);
  if (length === 0 && (flags & Flag.endStream) === 0)
    meter(c, c.meters.emptyFrames.take(c.nowMs), 'empty-frames');
  c.dataStream = null;
  const stream = c.table.get(id);
  if (stream === null) {
    if (c.isIdle(id)) throw new ConnectionError(ErrorCode.protocolError, 'DATA on an idle stream');
    return late(c, id, 'DATA');
  }
  if (stream.remoteEnded) return streamError(c, id, stream, ErrorCode.streamClosed);
  if (!stream.gotHeaders) return streamError(c, id, stream, ErrorCode.protocolError);
  if (length > stream.recvWindow) return streamError(c, id, stream, ErrorCode.flowControlError);
  stream.recvWindow -= length;
  c.dataStream = stream;
  c.dataFlags = flags;
  c.dataLength = length;
  c.dataSeen = 0;
}

/** Whether several DATA frames may be taken as one of their length: when none of them could break a rule. */
export function mayTakeRun(c: ConnectionState, id: number, length: number): boolean {
  if (!c.gotSettings || c.blockStream !== 0 || length > c.recvWindow) return false;
  const stream = c.table.get(id);
  if (stream === null || stream.remoteEnded || !stream.gotHeaders || stream.expectedBytes >= 0) return false;
  return length <= stream.recvWindow;
}

/**
 * The peer may send `bytes` more on `stream`; told when they are half its window. `target`: the window to aim for, when
 * that is more than it is now.
 */
export function credit(c: ConnectionState, stream: Stream, bytes: number, target: number): void {
  stream.unannounced += bytes;
  if (stream.unannounced < stream.recvTarget >>> 1 || stream.remoteEnded || stream.closed || c.isOver) return;
  let increment = stream.unannounced;
  if (target > stream.recvTarget) {
    increment += target - stream.recvTarget;
    stream.recvTarget = target;
  }
  stream.unannounced = 0;
  stream.recvWindow += increment;
  c.control.word(FrameType.windowUpdate, stream.id, increment);
  c.dirty();
}

function announceConnection(c: ConnectionState): void {
  c.control.word(FrameType.windowUpdate, 0, c.unannounced);
  c.recvWindow += c.unannounced;
  c.unannounced = 0;
  c.dirty();
}

export function receiveDataBytes(
  c: ConnectionState,
  buffer: Buffer,
  start: number,
  end: number,
  last: boolean,
): void {
  const stream = c.dataStream;
  if (stream === null) return;
  if (stream.closed) {
    c.dataStream = null;
    return;
  }
  const n = end - start;
  stream.receivedBytes += n;
  c.dataSeen += n;
  const ended = last && (c.dataFlags & Flag.endStream) !== 0;
  if (stream.expectedBytes >= 0) {
    const wrong =
      stream.receivedBytes > stream.expectedBytes || (ended && stream.receivedBytes < stream.expectedBytes);
    if (wrong) return streamError(c, stream.id, stream, ErrorCode.protocolError);
  }
  if (last) {
    c.dataStream = null;
    if (ended) stream.remoteEnded = true;
    // Padding is never passed on, so its credit returns here.
    if (c.dataLength > c.dataSeen) credit(c, stream, c.dataLength - c.dataSeen, 0);
  }
  if (n > 0 || ended) stream.owner.onData(stream, buffer, start, end, ended);
  if (ended) closeIfDone(c, stream);
}

// ---- the small frames ----

function receiveWindowUpdate(
  c: ConnectionState,
  id: number,
  buffer: Buffer,
  start: number,
  end: number,
): void {
  if (end - start !== 4) throw new ConnectionError(ErrorCode.frameSizeError, 'WINDOW_UPDATE is not 4 octets');
  meter(c, c.meters.windowUpdates.take(c.nowMs), 'window-updates');
  const increment = buffer.readUInt32BE(start) & 0x7fffffff;
  if (id === 0) {
    if (increment === 0) throw new ConnectionError(ErrorCode.protocolError, 'WINDOW_UPDATE of 0');
    if (c.sendWindow + increment > MAX_WINDOW) {
      throw new ConnectionError(ErrorCode.flowControlError, 'connection window above 2^31-1');
    }
    c.sendWindow += increment;
    if (c.starved.length > 0) c.wakeStarved();
    return;
  }
  const stream = c.table.get(id);
  if (stream === null) {
    if (c.isIdle(id)) throw new ConnectionError(ErrorCode.protocolError, 'WINDOW_UPDATE on an idle stream');
    return;
  }
  if (increment === 0) return streamError(c, id, stream, ErrorCode.protocolError);
  if (stream.sendWindow + increment > MAX_WINDOW)
    return streamError(c, id, stream, ErrorCode.flowControlError);
  stream.sendWindow += increment;
  if (stream.sendWindow > 0 && stream.pendingBytes > 0) c.ready(stream);
}

function receiveReset(c: ConnectionState, id: number, buffer: Buffer, start: number, end: number): void {
  if (id === 0) throw new ConnectionError(ErrorCode.protocolError, 'RST_STREAM on stream 0');
  if (end - start !== 4) throw new ConnectionError(ErrorCode.frameSizeError, 'RST_STREAM is not 4 octets');
  if (c.role === 'server') meter(c, c.meters.rapidResets.take(c.nowMs), 'rapid-resets');
  const stream = c.table.get(id);
  if (stream === null) {
    if (c.isIdle(id)) throw new ConnectionError(ErrorCode.protocolError, 'RST_STREAM on an idle stream');
    if (c.role === 'client') meter(c, c.meters.idleFrames.take(c.nowMs), 'idle-frames');
    return;
  }
  c.close(stream, Closed.resetByPeer);
  stream.owner.onEnding(stream, Ending.reset, buffer.readUInt32BE(start));
}

function receiveSettings(
  c: ConnectionState,
  flags: number,
  id: number,
  buffer: Buffer,
  start: number,
  end: number,
): void {
  if (id !== 0) throw new ConnectionError(ErrorCode.protocolError, 'SETTINGS on a stream');
  if ((flags & Flag.ack) !== 0) {
    if (end !== start)
      throw new ConnectionError(ErrorCode.frameSizeError, 'SETTINGS acknowledgement with a payload');
    if (!c.gotSettings) throw new ConnectionError(ErrorCode.protocolError, 'the first frame is not SETTINGS');
    if (c.settingsAcked) meter(c, c.meters.idleFrames.take(c.nowMs), 'idle-frames');
    c.settingsAcked = true;
    return;
  }
  if ((end - start) % 6 !== 0)
    throw new ConnectionError(ErrorCode.frameSizeError, 'SETTINGS length is no multiple of 6');
  meter(c, c.meters.settings.take(c.nowMs), 'settings');
  const before = c.peer.initialWindow;
  applySettings(c.peer, buffer, start, end, c.role === 'server' ? 1 : 0);
  if (c.peer.initialWindow !== before) shiftWindows(c, c.peer.initialWindow - before);
  c.encoder.setMaxTableBytes(c.peer.leastHeaderTableSize);
  c.encoder.setMaxTableBytes(c.peer.headerTableSize);
  c.control.frame(FrameType.settings, Flag.ack, 0, null);
  c.dirty();
  c.gotSettings = true;
  if (c.unopened.length > 0) c.openMore();
  c.handler.onPeerSettings();
  c.handler.onRoom();
}

/** RFC 9113 section 6.9.2: a changed initial window moves every open stream's window, below zero if need be. */
function shiftWindows(c: ConnectionState, delta: number): void {
  for (const stream of c.table.all()) {
    stream.sendWindow += delta;
    if (stream.sendWindow > MAX_WINDOW) {
      throw new ConnectionError(ErrorCode.flowControlError, 'INITIAL_WINDOW_SIZE overflows a stream window');
    }
    if (stream.sendWindow > 0 && stream.pendingBytes > 0) c.ready(stream);
  }
}

function receivePing(
  c: ConnectionState,
  flags: number,
  id: number,
  buffer: Buffer,
  start: number,
  end: number,
): void {
  if (id !== 0) throw new ConnectionError(ErrorCode.protocolError, 'PING on a stream');
  if (end - start !== 8) throw new ConnectionError(ErrorCode.frameSizeError, 'PING is not 8 octets');
  if ((flags & Flag.ack) !== 0) {
    if (c.pingsOutstanding === 0) return meter(c, c.meters.idleFrames.take(c.nowMs), 'idle-frames');
    c.pingsOutstanding--;
    return c.handler.onPong();
  }
  meter(c, c.meters.pings.take(c.nowMs), 'pings');
  c.control.frame(FrameType.ping, Flag.ack, 0, buffer.subarray(start, end));
  c.dirty();
}

function receiveGoaway(c: ConnectionState, id: number, buffer: Buffer, start: number, end: number): void {
  if (id !== 0) throw new ConnectionError(ErrorCode.protocolError, 'GOAWAY on a stream');
  if (end - start < 8) throw new ConnectionError(ErrorCode.frameSizeError, 'GOAWAY shorter than 8 octets');
  const lastId = buffer.readUInt32BE(start) & 0x7fffffff;
  const code = buffer.readUInt32BE(start + 4);
  meter(c, c.meters.goaways.take(c.nowMs), 'goaways');
  const debug = buffer.toString('latin1', start + 8, Math.min(end, start + 8 + 128));
  c.goawayReceived = true;
  if (c.role === 'client') {
    const left = c.table.all().filter((stream) => stream.id > lastId);
    for (const stream of [...left, ...c.unopened]) {
      // Another stream's owner may have reset this one when it was told.
      if (stream.closed) continue;
      c.close(stream, Closed.resetByUs);
      stream.owner.onEnding(stream, Ending.unprocessed, ErrorCode.refusedStream);
    }
  }
  c.handler.onGoaway(code, debug);
}

/** Priority is validated, then ignored (RFC 9113 section 5.3.2). */
function receivePriority(c: ConnectionState, id: number, buffer: Buffer, start: number, end: number): void {
  if (id === 0) throw new ConnectionError(ErrorCode.protocolError, 'PRIORITY on stream 0');
  meter(c, c.meters.idleFrames.take(c.nowMs), 'idle-frames');
  const stream = c.table.get(id);
  if (end - start !== 5) {
    if (stream === null) throw new ConnectionError(ErrorCode.frameSizeError, 'PRIORITY is not 5 octets');
    return streamError(c, id, stream, ErrorCode.frameSizeError);
  }
  if ((buffer.readUInt32BE(start) & 0x7fffffff) !== id) return;
  if (stream === null) {
    if (c.isIdle(id)) throw new ConnectionError(ErrorCode.protocolError, 'a stream that depends on itself');
    return;
  }
  streamError(c, id, stream, ErrorCode.protocolError);
}

/** Stands in until the handler has set an owner. */
const NO_OWNER = {
  onHeaders(): void {},
  onData(): void {},
  onTrailers(): void {},
  onEnding(): void {},
  onSent(): void {},
};
