/**
 * Rules for every frame: what must come first, what breaking a rule costs (RFC 9113 section 5.4), what a frame on a
 * closed stream means, and when a stream is over. Used by everything that receives.
 */

import { Closed, type ConnectionState } from './connection-state.js';
import { ConnectionError, ErrorCode, FrameType } from './constants.js';
import type { LimitName } from './limits.js';
import { Ending, type Stream } from './stream.js';

/** RFC 9113 sections 3.4 and 6.10: SETTINGS come first; nothing may stand inside a header block. */
export function checkOrder(c: ConnectionState, type: number, id: number): void {
  if (!c.gotSettings && type !== FrameType.settings) {
    throw new ConnectionError(ErrorCode.protocolError, 'the first frame is not SETTINGS');
  }
  if (c.blockStream !== 0 && (type !== FrameType.continuation || id !== c.blockStream)) {
    throw new ConnectionError(ErrorCode.protocolError, 'a header block is interrupted by another frame');
  }
}

export function meter(c: ConnectionState, allowed: boolean, name: LimitName): void {
  if (allowed) return;
  c.exceededLimit = name;
  c.handler.onLimit(name);
  // The words that gRPC clients know: they send keepalive PINGs half as often from then on (gRFC A8).
  throw new ConnectionError(ErrorCode.enhanceYourCalm, name === 'pings' ? 'too_many_pings' : name);
}

/** RFC 9113 section 5.4.2. The stream may be closed or have been refused already. */
export function streamError(c: ConnectionState, id: number, stream: Stream | null, code: number): void {
  c.sendReset(id, code);
  if (stream === null) {
    c.remember(id, Closed.resetByUs);
  } else if (!stream.closed) {
    c.close(stream, Closed.resetByUs);
    stream.owner.onEnding(stream, Ending.violation, code);
    if (c.isOver) return;
  }
  meter(c, c.meters.violations.take(c.nowMs), 'violations');
}

/** A frame on a closed stream: harmless when it crossed our reset on the wire, else as RFC 9113 section 5.1 says. */
export function onClosedStreamFrame(c: ConnectionState, id: number, what: string): void {
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
    if (stream.id !== 0) c.sendReset(stream.id, ErrorCode.noError);
    c.close(stream, Closed.resetByUs);
  }
}
