/**
 * Receiving header blocks: HEADERS with its CONTINUATION frames, decoded whole, then a request, a response or trailers
 * (RFC 9113 sections 6.2, 6.10 and 8). Every block is decoded, whatever becomes of its stream, so that the table stays
 * in step.
 */

import { Closed, type ConnectionState } from './connection-state.js';
import { ConnectionError, DEFAULT_WINDOW, ErrorCode, Flag, FrameType } from './constants.js';
import { closeIfDone, meter, onClosedStreamFrame, streamError } from './frame-rules.js';
import { contentLengthOf, headerViewOf } from './header-view.js';
import { HpackError } from './hpack/errors.js';
import type { HeaderBlock } from './hpack/header-list.js';
import { BLOCK_BYTES, BLOCK_FRAMES, INFORMATIONAL } from './limits.js';
import { STREAM_BYTES } from './octet-count.js';
import { Stream } from './stream.js';

/** Kept beside the flags of HEADERS (one octet) until the block is whole. */
const SELF_DEPENDENT = 0x100;

export function receiveHeaders(
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

export function receiveContinuation(
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
  const facts = headerViewOf(block);
  if (selfDependent || !facts.isRequest() || (ended && contentLengthOf(block) > 0)) {
    return streamError(c, id, null, ErrorCode.protocolError);
  }
  // A client that has not seen our SETTINGS yet may count on the RFC's initial window.
  const window = c.settingsAcked ? c.initialWindow : Math.max(c.initialWindow, DEFAULT_WINDOW);
  const stream = new Stream(NO_OWNER, window, c.peer.initialWindow);
  stream.id = id;
  stream.gotHeaders = true;
  stream.remoteEnded = ended;
  stream.expectedBytes = contentLengthOf(block);
  c.table.add(stream);
  c.waiting.octets += STREAM_BYTES;
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
  const facts = headerViewOf(block);
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
  if (!ended || short || !headerViewOf(block).isTrailers()) {
    return streamError(c, stream.id, stream, ErrorCode.protocolError);
  }
  stream.remoteEnded = true;
  stream.owner.onTrailers(stream, block);
  closeIfDone(c, stream);
}

/** HEADERS on a stream that is not open. The block has been decoded, so the table is in step. */
function receiveLateBlock(c: ConnectionState, id: number): void {
  if (c.isIdle(id)) throw new ConnectionError(ErrorCode.protocolError, 'HEADERS on an idle stream');
  onClosedStreamFrame(c, id, 'HEADERS');
}

/** Stands in until the handler has set an owner. */
const NO_OWNER = {
  onHeaders(): void {},
  onData(): void {},
  onTrailers(): void {},
  onEnding(): void {},
  onSent(): void {},
};
