import { Closed, type ConnectionState } from './connection-state.js';
import { ErrorCode, FrameType } from './constants.js';
import { unframe } from './framed-data.js';
import { Ending, type Stream } from './stream.js';

/** Bytes of the explanation in a GOAWAY, at most. */
const DEBUG_BYTES = 120;

/** Queues GOAWAY (RFC 9113 section 6.8) with the last stream id that is processed, an error code and an explanation. */
export function queueGoaway(c: ConnectionState, lastId: number, code: number, message: string): void {
  const debug = Buffer.from(message.slice(0, DEBUG_BYTES), 'latin1');
  const payload = Buffer.alloc(8 + debug.length);
  payload.writeUInt32BE(lastId, 0);
  payload.writeUInt32BE(code, 4);
  debug.copy(payload, 8);
  c.control.frame(FrameType.goaway, 0, 0, payload);
  c.dirty();
}

/** Client: ends a stream that was never written. Its owner may take its payload back meanwhile: nothing of it has gone anywhere. */
export function endUnwritten(c: ConnectionState, stream: Stream): void {
  unframe(stream);
  const { firstChunk } = stream;
  c.close(stream, Closed.resetByUs);
  stream.firstChunk = firstChunk;
  try {
    stream.owner.onEnding(stream, Ending.unprocessed, ErrorCode.refusedStream);
  } finally {
    stream.firstChunk = null;
  }
}

/** Ends every stream as lost, and those never written as unprocessed; each owner gets one `onEnding`. */
export function failAllStreams(c: ConnectionState): void {
  const queued: Stream[] = [...c.unopened];
  for (const first of [c.firstSmall, c.firstReady]) {
    for (let stream = first; stream !== null; stream = stream.nextReady) {
      if (stream.id === 0) queued.push(stream);
    }
  }
  for (const stream of c.table.all()) endStream(c, stream, Ending.lost, ErrorCode.internalError);
  for (const stream of queued) endStream(c, stream, Ending.unprocessed, ErrorCode.refusedStream);
}

/** An exception of one owner does not keep the others from their event. */
function endStream(c: ConnectionState, stream: Stream, ending: number, code: number): void {
  // The owner of another stream may have reset this one in its `onEnding`.
  if (stream.closed) return;
  c.current = stream;
  try {
    if (ending === Ending.unprocessed) return endUnwritten(c, stream);
    c.close(stream, Closed.resetByUs);
    // A client's owner that has received the end of the response needs no second ending.
    if (c.role === 'server' || !stream.remoteEnded) stream.owner.onEnding(stream, ending, code);
  } catch (error) {
    c.handler.onDefect(error);
  }
}
