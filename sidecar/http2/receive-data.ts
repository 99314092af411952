/**
 * Receiving DATA, and giving credit for it (RFC 9113 sections 5.2 and 6.1). The connection's credit returns on receipt,
 * whatever becomes of the payload; a stream's returns when its owner has passed the payload on.
 */

import type { ConnectionState } from './connection-state.js';
import { ConnectionError, ErrorCode, Flag, FrameType } from './constants.js';
import { checkOrder, closeIfDone, meter, onClosedStreamFrame, streamError } from './frame-rules.js';
import type { Stream } from './stream.js';

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

/** Whether several DATA frames may be taken as one of their length: when none of them could break a rule. */
export function canReceiveRun(c: ConnectionState, id: number, length: number): boolean {
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

/** A larger window for `stream`, told at once, with the credit that is due. */
export function widen(c: ConnectionState, stream: Stream, bytes: number): void {
  if (stream.remoteEnded || stream.closed || c.isOver) return;
  const increment = stream.unannounced + bytes;
  stream.recvTarget += bytes;
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
