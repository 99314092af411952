/**
 * Ready-made misbehaving upstreams: one function per fault, each a script for raw-server.ts.
 *
 * The first eight follow the negative HTTP/2 cases of the gRPC project; the rest are what broken or hostile
 * servers have been seen to do. Bodies are `grpc.testing.SimpleResponse`.
 */

import {
  continuation,
  data,
  ErrorCode,
  Flag,
  FrameType,
  frame,
  goaway,
  grpcMessage,
  headers,
  ping,
  pushPromise,
  rstStream,
  Setting,
  settings,
} from './h2-frames.js';
import { encode } from './hpack-lite.js';
import {
  answer,
  headersFrame,
  messageFrames,
  type RawScript,
  responseHeaders,
  trailerBlock,
  trailersFrame,
} from './raw-server.js';

const ENDS = Flag.endHeaders | Flag.endStream;
const fieldBytes = (tag: number, value: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([tag]), varint(value.length), value]);

function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) out.push((rest & 127) | 128);
  out.push(rest);
  return Buffer.from(out);
}

/** An encoded `SimpleResponse` (and `SimpleRequest.payload` alike) with `size` bytes of payload. */
export const simpleResponse = (size: number): Buffer =>
  fieldBytes(0x0a, fieldBytes(0x12, Buffer.alloc(size)));

/** goaway: answers the first call of each connection, then says it is going away; later calls there are unanswered. */
export const goesAwayAfterFirst = (body: Buffer): RawScript => ({
  onRequest(call) {
    if (call.streamId !== 1) return;
    call.peer.queue(1, headersFrame(call), ...messageFrames(call, body));
    call.peer.queue(1, trailersFrame(call), goaway(1, ErrorCode.noError));
  },
});

/** rst_after_header. */
export const resetsAfterHeaders = (): RawScript => ({
  onRequest(call) {
    call.peer.send(headersFrame(call), rstStream(call.streamId, ErrorCode.noError));
  },
});

/** rst_during_data: half a message, then a reset. */
export const resetsDuringData = (body: Buffer): RawScript => ({
  onRequest(call) {
    const frames = messageFrames(call, body);
    const half = frames.slice(0, frames.length >> 1);
    call.peer.queue(call.streamId, headersFrame(call), ...half, rstStream(call.streamId, ErrorCode.noError));
  },
});

/** rst_after_data: the whole message, then a reset instead of trailers. */
export const resetsAfterData = (body: Buffer): RawScript => ({
  onRequest(call) {
    call.peer.queue(call.streamId, headersFrame(call), ...messageFrames(call, body));
    call.peer.queue(call.streamId, rstStream(call.streamId, ErrorCode.noError));
  },
});

/** ping: pings before and after the headers, the data and the trailers. */
export const pingsAllAlong = (body: Buffer): RawScript => ({
  onRequest(call) {
    const named = (name: string): Buffer => ping(Buffer.from(name));
    call.peer.queue(call.streamId, named('pingbef1'), headersFrame(call), named('pingbef2'));
    call.peer.queue(call.streamId, ...messageFrames(call, body), named('pingbef3'));
    call.peer.queue(call.streamId, trailersFrame(call), named('pingafte'));
  },
});

/** max_streams: allows `limit` calls at once and answers each after `holdMs`. */
export const allowsStreams = (limit: number, body: Buffer, holdMs: number): RawScript => ({
  settings: [[Setting.maxConcurrentStreams, limit]],
  onRequest(call) {
    setTimeout(() => answer(call, body), holdMs);
  },
});

/** data_frame_padding (5 bytes and 255 of padding per frame) and no_df_padding_sanity_test (`padding` undefined). */
export const answersInFiveByteFrames = (body: Buffer, padding: number | undefined): RawScript => ({
  onRequest(call) {
    call.peer.queue(call.streamId, headersFrame(call), ...messageFrames(call, body, 5, padding));
    call.peer.queue(call.streamId, trailersFrame(call));
  },
});

export const answersPlainly = (body: Buffer): RawScript => ({ onRequest: (call) => answer(call, body) });

export const refusesEveryStream = (): RawScript => ({
  onHeaders: (call) => void call.peer.send(rstStream(call.streamId, ErrorCode.refusedStream)),
});

export const answersTrailersOnly = (status: number, message: string): RawScript => ({
  onRequest(call) {
    const block = Buffer.concat([responseHeaders(), trailerBlock(status, message)]);
    call.peer.send(headers(call.streamId, block, ENDS));
  },
});

/** Ends the stream on DATA: no status at all. */
export const omitsTrailers = (body: Buffer): RawScript => ({
  onRequest(call) {
    call.peer.send(headersFrame(call));
    call.peer.send(data(call.streamId, grpcMessage(body), Flag.endStream));
  },
});

/** What a web server says to a gRPC call: an HTML page with status 404. */
export const answersHtml = (): RawScript => ({
  onRequest(call) {
    call.peer.send(
      headers(
        call.streamId,
        encode([
          [':status', '404'],
          ['content-type', 'text/html'],
        ]),
      ),
      data(call.streamId, Buffer.from('<html><body>404 page not found</body></html>'), Flag.endStream),
    );
  },
});

export const repliesInHttp1 = (): RawScript => ({
  settings: 'none',
  onConnection: (peer) =>
    void peer.send(Buffer.from('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')),
});

export const neverSaysSettings = (): RawScript => ({ settings: 'none', ackSettings: false, ackPings: false });

/** An index that names no table entry: a connection error of type COMPRESSION_ERROR. */
export const sendsBadHpack = (): RawScript => ({
  onRequest: (call) => void call.peer.send(headers(call.streamId, Buffer.from([0xff, 0xff, 0x03]))),
});

/** A push, although the client role must have disabled it. */
export const pushes = (): RawScript => ({
  onRequest: (call) =>
    void call.peer.send(
      pushPromise(
        call.streamId,
        2,
        encode([
          [':method', 'GET'],
          [':path', '/'],
          [':scheme', 'http'],
          [':authority', 'x'],
        ]),
      ),
    ),
});

/** One message of `bytes`, whatever the windows say. */
export const overrunsTheWindow = (bytes: number): RawScript => ({
  onRequest: (call) => void call.peer.send(headersFrame(call), ...messageFrames(call, Buffer.alloc(bytes))),
});

/** `count` informational answers before the real one. */
export const stormsInformational = (count: number, body: Buffer): RawScript => ({
  onRequest(call) {
    const early = headers(
      call.streamId,
      encode([
        [':status', '103'],
        ['link', '</a>; rel=preload'],
      ]),
    );
    for (let i = 0; i < count; i += 1) call.peer.send(early);
    answer(call, body);
  },
});

const repeated = (one: Buffer, times: number): Buffer =>
  Buffer.concat(Array.from({ length: times }, () => one));

/** On each request, `count` PINGs or SETTINGS in one go, then nothing. */
export const floodsWith = (what: 'pings' | 'settings', count: number): RawScript => ({
  onRequest: (call) => void call.peer.send(repeated(what === 'pings' ? ping() : settings(), count)),
});

/** A header block that never ends. */
export const floodsContinuation = (count: number): RawScript => ({
  onRequest(call) {
    call.peer.send(headers(call.streamId, responseHeaders(), 0));
    call.peer.send(repeated(continuation(call.streamId, encode([['x', 'y'.repeat(1000)]])), count));
  },
});

/** The answer one byte at a time, one per turn of the event loop. */
export const answersByteByByte = (body: Buffer): RawScript => ({
  onRequest(call) {
    const bytes = Buffer.concat([
      headers(call.streamId, responseHeaders()),
      data(call.streamId, grpcMessage(body)),
      headers(call.streamId, trailerBlock(), ENDS),
    ]);
    let at = 0;
    const next = (): void => {
      if (at >= bytes.length || !call.peer.send(bytes.subarray(at, at + 1))) return;
      at += 1;
      setImmediate(next);
    };
    next();
  },
});

/** Promises 1,000 bytes of DATA, sends ten and hangs up. */
export const closesMidFrame = (): RawScript => ({
  onRequest(call) {
    call.peer.send(headersFrame(call));
    call.peer.socket.end(frame(FrameType.data, 0, call.streamId, Buffer.alloc(10), 1000));
  },
});

export const hangsUpOnRequest = (): RawScript => ({ onRequest: (call) => call.peer.close() });

/** Takes the request and never answers. */
export const staysSilent = (): RawScript => ({});
