/**
 * The end of a connection: what GOAWAY says (RFC 9113 section 6.8), and how the owners of the streams that are left
 * are told, each once, whatever the others do about it.
 */

import { Closed, type ConnectionState } from './connection-state.js';
import { ErrorCode, FrameType } from './constants.js';
import { Ending, type Stream } from './stream.js';

/** Octets of explanation that a GOAWAY carries, at most. */
const DEBUG_BYTES = 120;

export function queueGoaway(c: ConnectionState, lastId: number, code: number, message: string): void {
  const debug = Buffer.from(message.slice(0, DEBUG_BYTES), 'latin1');
  const payload = Buffer.alloc(8 + debug.length);
  payload.writeUInt32BE(lastId, 0);
  payload.writeUInt32BE(code, 4);
  debug.copy(payload, 8);
  c.control.frame(FrameType.goaway, 0, 0, payload);
  c.dirty();
}

/** Every stream is lost; those that were never written are known to be unprocessed. */
export function failAllStreams(c: ConnectionState): void {
  const queued: Stream[] = [...c.unopened];
  for (const first of [c.firstSmall, c.firstReady]) {
    for (let stream = first; stream !== null; stream = stream.nextReady) {
      if (stream.id === 0 && !stream.closed) queued.push(stream);
    }
  }
  for (const stream of c.table.all()) lose(c, stream, Ending.lost, ErrorCode.internalError);
  for (const stream of queued) lose(c, stream, Ending.unprocessed, ErrorCode.refusedStream);
}

/** One owner's defect must not keep the others from being told. */
function lose(c: ConnectionState, stream: Stream, ending: number, code: number): void {
  // Another stream's owner may have reset this one when it was told.
  if (stream.closed) return;
  try {
    c.close(stream, Closed.resetByUs);
    // A client's owner that has been told the end of the answer needs no other.
    if (c.role === 'server' || !stream.remoteEnded) stream.owner.onEnding(stream, ending, code);
  } catch (error) {
    c.handler.onDefect(error);
  }
}
