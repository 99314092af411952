import { Closed, type ConnectionState } from './connection-state.js';
import { ConnectionError, ErrorCode, FrameType } from './constants.js';
import type { LimitName, Meter } from './limits.js';
import { Ending, type Stream } from './stream.js';

/** Handles one frame of a type; `buffer[start, end)` is its payload, valid during the call only. */
export type FrameHandler = (
  c: ConnectionState,
  flags: number,
  id: number,
  buffer: Buffer,
  start: number,
  end: number,
) => void;

/** Ends the connection with PROTOCOL_ERROR (RFC 9113 section 5.4.1). */
export function protocolError(message: string): never {
  throw new ConnectionError(ErrorCode.protocolError, message);
}

/** Ends the connection with FRAME_SIZE_ERROR. */
export function frameSizeError(message: string): never {
  throw new ConnectionError(ErrorCode.frameSizeError, message);
}

/** Ends the connection with FLOW_CONTROL_ERROR. */
export function flowControlError(message: string): never {
  throw new ConnectionError(ErrorCode.flowControlError, message);
}

/** RFC 9113 sections 3.4 and 6.10: SETTINGS come first, and no other frame interrupts a header block. */
export function checkOrder(c: ConnectionState, type: number, id: number): void {
  if (!c.gotSettings && type !== FrameType.settings) protocolError('the first frame is not SETTINGS');
  if (c.blockStream !== 0 && (type !== FrameType.continuation || id !== c.blockStream))
    protocolError('a header block is interrupted by another frame');
}

/** Counts one event of a limit; ends the connection when that is exceeded. */
export function meter(c: ConnectionState, events: Meter): void {
  if (!events.take(c.nowMs)) exceed(c, events.name!);
}

/** Ends the connection with ENHANCE_YOUR_CALM because the peer exceeded this limit. */
export function exceed(c: ConnectionState, name: LimitName): never {
  c.exceededLimit = name;
  c.handler.onLimit(name);
  // gRPC clients know `too_many_pings` and halve their rate of keepalive PINGs (gRFC A8).
  throw new ConnectionError(ErrorCode.enhanceYourCalm, name === 'pings' ? 'too_many_pings' : name);
}

/** Resets one stream (RFC 9113 section 5.4.2). It may be closed or refused already: then `stream` is null or closed. */
export function streamError(c: ConnectionState, id: number, stream: Stream | null, code: number): void {
  c.sendReset(id, code);
  if (stream === null) {
    c.remember(id, Closed.resetByUs);
  } else if (!stream.closed) {
    c.current = stream;
    c.close(stream, Closed.resetByUs);
    stream.owner.onEnding(stream, Ending.violation, code);
  }
  if (!c.isOver) meter(c, c.meters.violations);
}

/**
 * A frame on a closed stream: ignored when it crossed our reset on the wire, else an error of the stream or of the
 * connection (RFC 9113 section 5.1, "closed"). @param what name of the frame.
 */
export function onClosedStreamFrame(c: ConnectionState, id: number, what: string): void {
  const how = c.closedAs(id);
  if (how === Closed.resetByUs) return;
  if (how === Closed.resetByPeer) return streamError(c, id, null, ErrorCode.streamClosed);
  if (how === Closed.ended) throw new ConnectionError(ErrorCode.streamClosed, `${what} on a closed stream`);
  protocolError(`${what} on a stream that was skipped`);
}

/** Closes the stream when both sides have ended; to be called after its owner has received the end of the peer. */
export function closeIfDone(c: ConnectionState, stream: Stream): void {
  if (stream.closed || !stream.remoteEnded) return;
  if (stream.localEnded) {
    c.close(stream, Closed.ended);
  } else if (c.role === 'client') {
    // The response is complete before the request: the rest of the request would be wasted (RFC 9113 section 8.1).
    if (stream.id !== 0) c.sendReset(stream.id, ErrorCode.noError);
    c.close(stream, Closed.resetByUs);
  }
}
