import { Closed, type ConnectionState } from './connection-state.js';
import { ErrorCode, Flag, FrameType } from './constants.js';
import {
  checkOrder,
  closeIfDone,
  flowControlError,
  meter,
  onClosedStreamFrame,
  protocolError,
  streamError,
} from './frame-rules.js';
import type { OwnedBuffer } from './owned-buffer.js';
import type { Stream } from './stream.js';

/**
 * Begin of a DATA frame (RFC 9113 sections 5.2 and 6.1). The connection's credit returns on receipt, whatever becomes of the
 * payload; a stream's returns when its owner has passed the payload on.
 */
export function receiveDataStart(c: ConnectionState, flags: number, id: number, length: number): void {
  checkOrder(c, FrameType.data, id);
  if (id === 0) protocolError('DATA on stream 0');
  c.recvWindow -= length;
  if (c.recvWindow < 0) flowControlError('DATA beyond the connection window');
  c.unannounced += length;
  if (c.unannounced >= c.local.connectionWindow >>> 1) announceConnection(c);
  if (length === 0 && (flags & Flag.endStream) === 0) meter(c, c.meters['empty-frames']);
  c.dataStream = null;
  const stream = c.table.get(id);
  if (stream === null) {
    if (c.isIdle(id)) protocolError('DATA on an idle stream');
    return onClosedStreamFrame(c, id, 'DATA');
  }
  if (stream.remoteEnded) return streamError(c, id, stream, ErrorCode.streamClosed);
  if (!stream.gotHeaders) return streamError(c, id, stream, ErrorCode.protocolError);
  // A window that was made smaller may be below zero.
  if (length > 0 && length > stream.recvWindow) return streamError(c, id, stream, ErrorCode.flowControlError);
  stream.recvWindow -= length;
  c.dataStream = stream;
  c.dataFlags = flags;
  c.dataLength = length;
  c.dataSeen = 0;
}

/** Whether several DATA frames can be received as one of their total length: none of them could break a rule. */
export function canReceiveRun(c: ConnectionState, id: number, length: number): boolean {
  if (!c.gotSettings || c.blockStream !== 0 || length > c.recvWindow) return false;
  const stream = c.table.get(id);
  // What crossed our reset on the wire is dropped together.
  if (stream === null) return !c.isIdle(id) && c.closedAs(id) === Closed.resetByUs;
  if (stream.remoteEnded || !stream.gotHeaders || length > stream.recvWindow) return false;
  return stream.expectedBytes < 0 || stream.receivedBytes + length <= stream.expectedBytes;
}

/**
 * Returns `bytes` of credit for `stream`: WINDOW_UPDATE is sent when half of its window is due.
 * @param target window to raise it to, bytes; none when that is no more than it is now.
 */
export function credit(c: ConnectionState, stream: Stream, bytes: number, target: number): void {
  stream.unannounced += bytes;
  if (stream.unannounced < stream.recvTarget >>> 1 || stream.remoteEnded || stream.closed || c.isOver) return;
  let increment = stream.unannounced;
  if (target > stream.recvTarget) {
    increment += target - stream.recvTarget;
    stream.recvTarget = target;
  }
  announce(c, stream, increment);
}

/** Whether a WINDOW_UPDATE is due with so many bytes more. */
export function isCreditDue({ unannounced, recvTarget }: Stream, bytes: number): boolean {
  return unannounced + bytes >= recvTarget >>> 1;
}

/** Raises the window of `stream` by `bytes`, announced at once with the credit that is due. */
export function widen(c: ConnectionState, stream: Stream, bytes: number): void {
  if (stream.remoteEnded || stream.closed || c.isOver) return;
  stream.recvTarget += bytes;
  announce(c, stream, stream.unannounced + bytes);
}

function announce(c: ConnectionState, stream: Stream, increment: number): void {
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

/** Bytes of the DATA frame that was begun; `last` with the final ones, which may be none. */
export function receiveDataBytes(
  c: ConnectionState,
  buffer: OwnedBuffer,
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
    // Padding is not passed on: its credit returns here.
    if (c.dataLength > c.dataSeen) credit(c, stream, c.dataLength - c.dataSeen, 0);
  }
  c.current = stream;
  if (n > 0 || ended) stream.owner.onData(stream, buffer, start, end, ended);
  if (ended) closeIfDone(c, stream);
}
