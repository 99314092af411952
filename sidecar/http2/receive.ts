/**
 * Receiving: what each frame does to the connection and its streams (RFC 9113 sections 5 and 6). Violations of a
 * stream reset that stream; only what the RFC calls a connection error throws ConnectionError. Header blocks and DATA
 * have files of their own.
 */

import { Closed, type ConnectionState } from './connection-state.js';
import { ConnectionError, ErrorCode, Flag, FrameType, MAX_WINDOW } from './constants.js';
import { checkOrder, meter, streamError } from './frame-rules.js';
import { receiveContinuation, receiveHeaders } from './receive-headers.js';
import { acknowledgeWindow } from './receive-window.js';
import { applySettings } from './settings.js';
import { Ending } from './stream.js';

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
    if (c.starved.length > 0) c.resumeStarved();
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
    if (c.settingsAcked && c.announcedWindow === 0)
      meter(c, c.meters.idleFrames.take(c.nowMs), 'idle-frames');
    if (c.settingsAcked) acknowledgeWindow(c);
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
  if (c.unopened.length > 0) c.openParked();
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
