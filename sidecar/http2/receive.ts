import { Closed, type ConnectionState } from './connection-state.js';
import { ErrorCode, Flag, FrameType, MAX_WINDOW } from './constants.js';
import {
  checkOrder,
  type FrameHandler,
  flowControlError,
  frameSizeError,
  meter,
  protocolError,
  streamError,
} from './frame-rules.js';
import { endUnwritten } from './goaway.js';
import { receiveContinuation, receiveHeaders } from './receive-headers.js';
import { acknowledgeWindow } from './receive-window.js';
import { applySettings } from './settings.js';
import { Ending } from './stream.js';

/** Bytes of the explanation in a GOAWAY that are read. */
const DEBUG_BYTES = 128;

/**
 * Applies one frame other than DATA to the connection and its streams (RFC 9113 sections 5 and 6). A violation of a stream
 * resets that stream; only what the RFC calls a connection error throws ConnectionError. Header blocks and DATA are in
 * receive-headers.ts and receive-data.ts.
 */
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
      return receiveWindowUpdate(c, flags, id, buffer, start, end);
    case FrameType.rstStream:
      return receiveReset(c, flags, id, buffer, start, end);
    case FrameType.settings:
      return receiveSettings(c, flags, id, buffer, start, end);
    case FrameType.ping:
      return receivePing(c, flags, id, buffer, start, end);
    case FrameType.goaway:
      return receiveGoaway(c, flags, id, buffer, start, end);
    case FrameType.priority:
      return receivePriority(c, flags, id, buffer, start, end);
    case FrameType.pushPromise:
      return protocolError('PUSH_PROMISE, which we never allow');
    default:
      meter(c, c.meters['idle-frames']);
  }
}

/** RFC 9113 section 6.9: more room at the peer, for the connection or for one stream. */
const receiveWindowUpdate: FrameHandler = (c, _flags, id, buffer, start, end) => {
  if (end - start !== 4) frameSizeError('WINDOW_UPDATE is not 4 bytes');
  meter(c, c.meters['window-updates']);
  const increment = buffer.readUInt32BE(start) & 0x7fffffff;
  if (id === 0) {
    if (increment === 0) protocolError('WINDOW_UPDATE of 0');
    if (c.sendWindow + increment > MAX_WINDOW) flowControlError('connection window above 2^31-1');
    c.sendWindow += increment;
    if (c.starved.length > 0) c.resumeStarved();
    return;
  }
  const stream = c.table.get(id);
  if (stream === null) {
    if (c.isIdle(id)) protocolError('WINDOW_UPDATE on an idle stream');
    return;
  }
  if (increment === 0) return streamError(c, id, stream, ErrorCode.protocolError);
  if (stream.sendWindow + increment > MAX_WINDOW)
    return streamError(c, id, stream, ErrorCode.flowControlError);
  stream.sendWindow += increment;
  if (stream.sendWindow > 0 && stream.pendingBytes > 0) c.ready(stream);
};

/** RFC 9113 section 6.4. */
const receiveReset: FrameHandler = (c, _flags, id, buffer, start, end) => {
  if (id === 0) protocolError('RST_STREAM on stream 0');
  if (end - start !== 4) frameSizeError('RST_STREAM is not 4 bytes');
  if (c.role === 'server') meter(c, c.meters['rapid-resets']);
  const stream = c.table.get(id);
  if (stream === null) {
    if (c.isIdle(id)) protocolError('RST_STREAM on an idle stream');
    if (c.role === 'client') meter(c, c.meters['idle-frames']);
    return;
  }
  c.current = stream;
  c.close(stream, Closed.resetByPeer);
  stream.owner.onEnding(stream, Ending.reset, buffer.readUInt32BE(start));
};

/** RFC 9113 section 6.5: applied at once and acknowledged. */
const receiveSettings: FrameHandler = (c, flags, id, buffer, start, end) => {
  if (id !== 0) protocolError('SETTINGS on a stream');
  if ((flags & Flag.ack) !== 0) {
    if (end !== start) frameSizeError('SETTINGS acknowledgement with a payload');
    if (!c.gotSettings) protocolError('the first frame is not SETTINGS');
    c.settingsAcked = true;
    // One that answers nothing.
    if (c.settingsAcks >= c.settingsSent) return meter(c, c.meters['idle-frames']);
    c.settingsAcks++;
    acknowledgeWindow(c);
    return;
  }
  if ((end - start) % 6 !== 0) frameSizeError('SETTINGS length is no multiple of 6');
  meter(c, c.meters.settings);
  const before = c.peer.initialWindow;
  applySettings(c.peer, buffer, start, end, c.role === 'server' ? 1 : 0);
  if (c.peer.initialWindow !== before) shiftWindows(c, c.peer.initialWindow - before);
  c.encoder.setMaxTableBytes(c.peer.leastHeaderTableSize);
  c.encoder.setMaxTableBytes(c.peer.headerTableSize);
  c.control.frame(FrameType.settings, Flag.ack, 0, null);
  c.dirty();
  c.gotSettings = true;
  if (c.unopened.length > 0) c.openParked();
  c.current = null;
  c.handler.onPeerSettings();
  c.handler.onRoom();
};

/** RFC 9113 section 6.9.2: a changed initial window changes that of every open stream by as much, below zero if need be. */
function shiftWindows(c: ConnectionState, delta: number): void {
  for (const stream of c.table.all()) {
    stream.sendWindow += delta;
    if (stream.sendWindow > MAX_WINDOW) flowControlError('INITIAL_WINDOW_SIZE overflows a stream window');
    if (stream.sendWindow > 0 && stream.pendingBytes > 0) c.ready(stream);
  }
}

/** RFC 9113 section 6.7: answered, or the answer to a PING of ours. */
const receivePing: FrameHandler = (c, flags, id, buffer, start, end) => {
  if (id !== 0) protocolError('PING on a stream');
  if (end - start !== 8) frameSizeError('PING is not 8 bytes');
  if ((flags & Flag.ack) !== 0) {
    if (c.pingsOutstanding === 0) return meter(c, c.meters['idle-frames']);
    c.pingsOutstanding--;
    c.current = null;
    return c.handler.onPong();
  }
  meter(c, c.meters.pings);
  c.control.frame(FrameType.ping, Flag.ack, 0, buffer.subarray(start, end));
  c.dirty();
};

/** RFC 9113 section 6.8: a client's streams above the last id were not processed. */
const receiveGoaway: FrameHandler = (c, _flags, id, buffer, start, end) => {
  if (id !== 0) protocolError('GOAWAY on a stream');
  if (end - start < 8) frameSizeError('GOAWAY shorter than 8 bytes');
  const lastId = buffer.readUInt32BE(start) & 0x7fffffff;
  const code = buffer.readUInt32BE(start + 4);
  meter(c, c.meters.goaways);
  const debug = buffer.toString('latin1', start + 8, Math.min(end, start + 8 + DEBUG_BYTES));
  c.goawayReceived = true;
  if (c.role === 'client') {
    const left = c.table.all().filter((stream) => stream.id > lastId);
    for (const stream of [...left, ...c.unopened]) {
      // The owner of another stream may have reset this one in its `onEnding`.
      if (stream.closed) continue;
      c.current = stream;
      if (stream.id === 0) {
        endUnwritten(c, stream);
        continue;
      }
      c.close(stream, Closed.resetByUs);
      stream.owner.onEnding(stream, Ending.unprocessed, ErrorCode.refusedStream);
    }
  }
  c.current = null;
  c.handler.onGoaway(code, debug);
};

/** Priority is validated, then ignored (RFC 9113 section 5.3.2). */
const receivePriority: FrameHandler = (c, _flags, id, buffer, start, end) => {
  if (id === 0) protocolError('PRIORITY on stream 0');
  meter(c, c.meters['idle-frames']);
  const stream = c.table.get(id);
  if (end - start !== 5) {
    if (stream === null) frameSizeError('PRIORITY is not 5 bytes');
    return streamError(c, id, stream, ErrorCode.frameSizeError);
  }
  if ((buffer.readUInt32BE(start) & 0x7fffffff) !== id) return;
  if (stream !== null) return streamError(c, id, stream, ErrorCode.protocolError);
  if (c.isIdle(id)) protocolError('a stream that depends on itself');
};
