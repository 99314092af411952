import { Closed, type ConnectionState } from './connection-state.js';
import { ConnectionError, ErrorCode, Flag } from './constants.js';
import {
  closeIfDone,
  exceed,
  type FrameHandler,
  frameSizeError,
  meter,
  onClosedStreamFrame,
  protocolError,
  streamError,
} from './frame-rules.js';
import { contentLengthOf, headerViewOf } from './header-view.js';
import { HpackError } from './hpack/errors.js';
import type { HeaderBlock } from './hpack/header-list.js';
import { FAR_TOO_LONG, INFORMATIONAL } from './limits.js';
import { LONG_LIST_BYTES, NO_OWNER, STREAM_BYTES, Stream } from './stream.js';

/** Bit beside the flags of HEADERS (one byte) while the block is incomplete: the stream depends on itself. */
const SELF_DEPENDENT = 0x100;

/**
 * HEADERS (RFC 9113 section 6.2). Every block is decoded, whatever becomes of its stream, so that the HPACK table stays in
 * step; one that CONTINUATION frames complete is collected first.
 */
export const receiveHeaders: FrameHandler = (c, flags, id, buffer, start, end) => {
  if (id === 0) protocolError('HEADERS on stream 0');
  let at = start;
  let to = end;
  if ((flags & Flag.padded) !== 0) {
    if (at === to) frameSizeError('padded HEADERS without a pad length');
    to -= buffer[at]!;
    at += 1;
  }
  let selfDependent = false;
  if ((flags & Flag.priority) !== 0) {
    if (end - at < 5) frameSizeError('HEADERS too short for its priority');
    selfDependent = (buffer.readUInt32BE(at) & 0x7fffffff) === id;
    at += 5;
  }
  if (to < at) protocolError('padding as long as the HEADERS frame or longer');
  const marked = selfDependent ? flags | SELF_DEPENDENT : flags;
  if ((flags & Flag.endHeaders) !== 0) return receiveBlock(c, marked, id, buffer, at, to);
  c.blockStream = id;
  c.blockSinceMs = c.nowMs;
  c.blockFlags = marked;
  c.blockFrames = 1;
  c.block = [Buffer.from(buffer.subarray(at, to))];
  c.blockBytes = to - at;
  c.waiting.bytes += to - at;
  if (at === to) meter(c, c.meters['empty-frames']);
};

/** CONTINUATION (RFC 9113 section 6.10). */
export const receiveContinuation: FrameHandler = (c, flags, id, buffer, start, end) => {
  if (c.blockStream === 0) protocolError('CONTINUATION without HEADERS');
  c.blockFrames++;
  c.blockBytes += end - start;
  c.waiting.bytes += end - start;
  if (c.blockFrames > c.maxBlockFrames || c.blockBytes > c.maxBlockBytes) exceed(c, 'header-block-frames');
  if (start === end && (flags & Flag.endHeaders) === 0) meter(c, c.meters['empty-frames']);
  c.block.push(Buffer.from(buffer.subarray(start, end)));
  if ((flags & Flag.endHeaders) === 0) return;
  const whole = Buffer.concat(c.block);
  const first = c.blockFlags;
  c.dropBlock();
  receiveBlock(c, first, id, whole, 0, whole.length);
};

function decode(c: ConnectionState, buffer: Buffer, start: number, end: number): HeaderBlock {
  try {
    return c.decoder.decode(buffer, start, end);
  } catch (error) {
    if (error instanceof HpackError) throw new ConnectionError(ErrorCode.compressionError, error.message);
    throw error;
  }
}

/** A whole header block: a request, a response or trailers (RFC 9113 section 8). */
const receiveBlock: FrameHandler = (c, flags, id, buffer, start, end) => {
  const ended = (flags & Flag.endStream) !== 0;
  const stream = c.table.get(id);
  const block = decode(c, buffer, start, end);
  if (block.overLimit) countLongList(c, stream, block);
  const selfDependent = (flags & SELF_DEPENDENT) !== 0;
  if (stream === null) {
    if (c.role === 'server' && id > c.lastPeerId) return receiveRequest(c, id, block, ended, selfDependent);
    if (c.isIdle(id)) protocolError('HEADERS on an idle stream');
    return onClosedStreamFrame(c, id, 'HEADERS');
  }
  if (selfDependent) return streamError(c, id, stream, ErrorCode.protocolError);
  if (stream.remoteEnded) return streamError(c, id, stream, ErrorCode.streamClosed);
  if (stream.gotHeaders) return receiveTrailers(c, stream, block, ended);
  receiveResponse(c, stream, block, ended);
};

/** A server's new stream. */
function receiveRequest(
  c: ConnectionState,
  id: number,
  block: HeaderBlock,
  ended: boolean,
  selfDependent: boolean,
): void {
  if ((id & 1) === 0) protocolError('a client opened an even stream');
  c.lastPeerId = id;
  if (id > c.goawaySent) return refuse(c, id);
  if (c.table.size >= c.local.maxConcurrentStreams) {
    c.handler.onLimit('concurrent-streams');
    return refuse(c, id);
  }
  if (selfDependent || !isAcceptable(block, ended)) return streamError(c, id, null, ErrorCode.protocolError);
  const stream = new Stream(NO_OWNER, c.initialWindow, c.peer.initialWindow);
  stream.id = id;
  stream.gotHeaders = true;
  stream.remoteEnded = ended;
  stream.expectedBytes = block.overLimit ? -1 : contentLengthOf(block);
  c.table.add(stream);
  if (block.bytes > LONG_LIST_BYTES && !block.overLimit) stream.requestListBytes = block.bytes;
  c.waiting.bytes += STREAM_BYTES + stream.requestListBytes;
  c.current = stream;
  c.handler.onStream(stream, block, ended);
}

/** Refuses a new stream before processing (RFC 9113 section 8.7): safe for the client to try again. */
function refuse(c: ConnectionState, id: number): void {
  c.sendReset(id, ErrorCode.refusedStream);
  c.remember(id, Closed.resetByUs);
}

/** Whether a new request is well-formed. Of a header list that is longer than we announced too little is left to tell. */
function isAcceptable(block: HeaderBlock, ended: boolean): boolean {
  if (block.overLimit) return true;
  return headerViewOf(block).isRequest() && !(ended && contentLengthOf(block) > 0);
}

/**
 * A header list above our MAX_HEADER_LIST_SIZE: it has been decoded, whatever becomes of its stream. A request is refused by who owns
 * the stream, with an answer that says why; what a server says on an open stream costs that call (decision 0113).
 */
function countLongList(c: ConnectionState, stream: Stream | null, { bytes, count }: HeaderBlock): void {
  const isFarTooLong = bytes > FAR_TOO_LONG * c.maxListBytes || count > FAR_TOO_LONG * c.maxListFields;
  if (isFarTooLong && (c.role === 'server' || stream === null)) meter(c, c.meters['header-list']);
  c.handler.onLimit('header-list');
}

/** A client's response: interim (1xx) or final. */
function receiveResponse(c: ConnectionState, stream: Stream, block: HeaderBlock, ended: boolean): void {
  const view = headerViewOf(block);
  if (!view.isResponse()) return streamError(c, stream.id, stream, ErrorCode.protocolError);
  if (view.status < 200) {
    if (ended || view.status === 101) return streamError(c, stream.id, stream, ErrorCode.protocolError);
    stream.informational++;
    if (stream.informational > INFORMATIONAL) exceed(c, 'informational');
    return;
  }
  // A 304 has the length of a body that it does not carry (RFC 9110 section 8.6).
  if (ended && contentLengthOf(block) > 0 && view.status !== 304)
    return streamError(c, stream.id, stream, ErrorCode.protocolError);
  stream.gotHeaders = true;
  stream.expectedBytes = contentLengthOf(block);
  stream.remoteEnded = ended;
  c.current = stream;
  stream.owner.onHeaders(stream, block, ended);
  closeIfDone(c, stream);
}

function receiveTrailers(c: ConnectionState, stream: Stream, block: HeaderBlock, ended: boolean): void {
  const short = stream.expectedBytes >= 0 && stream.receivedBytes !== stream.expectedBytes;
  if (!ended || short || !headerViewOf(block).isTrailers())
    return streamError(c, stream.id, stream, ErrorCode.protocolError);
  stream.remoteEnded = true;
  c.current = stream;
  stream.owner.onTrailers(stream, block);
  closeIfDone(c, stream);
}
