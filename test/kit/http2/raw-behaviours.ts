/**
 * Ready-made misbehaving upstreams: one function per fault, each a script for raw-server.ts.
 *
 * The first eight follow the negative HTTP/2 cases of the gRPC project; the rest are what broken or hostile
 * servers have been seen to do. Bodies are `grpc.testing.SimpleResponse`.
 */

import * as h2 from './h2-frames.js';
import { ErrorCode, Flag, FrameType, Setting } from './h2-frames.js';
import { encode } from './hpack-lite.js';
import {
  answer,
  ENDS,
  headersFrame,
  messageFrames,
  type RawCall,
  type RawScript,
  responseHeaders,
  trailerBlock,
  trailersFrame,
} from './raw-server.js';

const listed = (list: Readonly<Record<string, string>>): Buffer => encode(Object.entries(list));
const queue = ({ peer, streamId }: RawCall, ...frames: readonly Buffer[]): void =>
  peer.queue(streamId, ...frames);
const fieldBytes = (tag: number, value: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([tag]), varint(value.length), value]);

const varint = (value: number): Buffer =>
  value < 128
    ? Buffer.from([value])
    : Buffer.concat([Buffer.from([(value & 127) | 128]), varint(value >>> 7)]);

/** An encoded `SimpleResponse` (and `SimpleRequest.payload` alike) with `size` bytes of payload. */
export const simpleResponse = (size: number): Buffer =>
  fieldBytes(0x0a, fieldBytes(0x12, Buffer.alloc(size)));

/** goaway: answers the first call of each connection, then says it is going away; later calls there are unanswered. */
export const goesAwayAfterFirst = (body: Buffer): RawScript => ({
  onRequest(call) {
    if (call.streamId !== 1) return;
    call.peer.queue(1, headersFrame(call), ...messageFrames(call, body), trailersFrame(call), h2.goaway(1));
  },
});

/** rst_after_header. */
export const resetsAfterHeaders = (): RawScript => ({
  onRequest: (call) =>
    void call.peer.send(headersFrame(call), h2.rstStream(call.streamId, ErrorCode.noError)),
});

/** rst_during_data: half a message, then a reset. */
export const resetsDuringData = (body: Buffer): RawScript => ({
  onRequest(call) {
    const frames = messageFrames(call, body);
    const half = frames.slice(0, frames.length >> 1);
    queue(call, headersFrame(call), ...half, h2.rstStream(call.streamId, ErrorCode.noError));
  },
});

/** rst_after_data: the whole message, then a reset instead of trailers. */
export const resetsAfterData = (body: Buffer): RawScript => ({
  onRequest: (call) =>
    queue(
      call,
      headersFrame(call),
      ...messageFrames(call, body),
      h2.rstStream(call.streamId, ErrorCode.noError),
    ),
});

/** ping: pings before and after the headers, the data and the trailers. */
export const pingsAllAlong = (body: Buffer): RawScript => ({
  onRequest(call) {
    const named = (name: string): Buffer => h2.ping(Buffer.from(name));
    queue(call, named('pingbef1'), headersFrame(call), named('pingbef2'), ...messageFrames(call, body));
    queue(call, named('pingbef3'), trailersFrame(call), named('pingafte'));
  },
});

/** max_streams: allows `limit` calls at once and answers each after `holdMs`. */
export const allowsStreams = (limit: number, body: Buffer, holdMs: number): RawScript => ({
  settings: [[Setting.maxConcurrentStreams, limit]],
  onRequest: (call) => void setTimeout(() => answer(call, body), holdMs),
});

/** data_frame_padding (5 bytes and 255 of padding per frame) and no_df_padding_sanity_test (`padding` undefined). */
export const answersInFiveByteFrames = (body: Buffer, padding: number | undefined): RawScript => ({
  onRequest(call) {
    // Too many frames to be passed on as arguments twice.
    call.peer.queue(call.streamId, headersFrame(call), ...messageFrames(call, body, 5, padding));
    queue(call, trailersFrame(call));
  },
});

export const answersPlainly = (body: Buffer): RawScript => ({ onRequest: (call) => answer(call, body) });

export const refusesEveryStream = (): RawScript => ({
  onHeaders: (call) => void call.peer.send(h2.rstStream(call.streamId, ErrorCode.refusedStream)),
});

export const answersTrailersOnly = (status: number, message: string): RawScript => ({
  onRequest({ peer, streamId }) {
    peer.send(h2.headers(streamId, Buffer.concat([responseHeaders(), trailerBlock(status, message)]), ENDS));
  },
});

/** Ends the stream on DATA: no status at all. */
export const omitsTrailers = (body: Buffer): RawScript => ({
  onRequest: (call) =>
    void call.peer.send(headersFrame(call), h2.data(call.streamId, h2.grpcMessage(body), Flag.endStream)),
});

/** What a web server says to a gRPC call: an HTML page with status 404. */
export const answersHtml = (): RawScript => ({
  onRequest({ peer, streamId }) {
    const page = Buffer.from('<html><body>404 page not found</body></html>');
    const head = h2.headers(streamId, listed({ ':status': '404', 'content-type': 'text/html' }));
    peer.send(head, h2.data(streamId, page, Flag.endStream));
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
  onRequest: (call) => void call.peer.send(h2.headers(call.streamId, Buffer.from([0xff, 0xff, 0x03]))),
});

/** A push, although the client role must have disabled it. */
export const pushes = (): RawScript => ({
  onRequest({ peer, streamId }) {
    const request = { ':method': 'GET', ':path': '/', ':scheme': 'http', ':authority': 'x' };
    peer.send(h2.pushPromise(streamId, 2, listed(request)));
  },
});

/** One message of `bytes`, whatever the windows say. */
export const overrunsTheWindow = (bytes: number): RawScript => ({
  onRequest: (call) => void call.peer.send(headersFrame(call), ...messageFrames(call, Buffer.alloc(bytes))),
});

/** `count` informational answers before the real one. */
export const stormsInformational = (count: number, body: Buffer): RawScript => ({
  onRequest(call) {
    const early = h2.headers(call.streamId, listed({ ':status': '103', link: '</a>; rel=preload' }));
    for (let i = 0; i < count; i += 1) call.peer.send(early);
    answer(call, body);
  },
});

const repeated = (one: Buffer, times: number): Buffer =>
  Buffer.concat(Array.from({ length: times }, () => one));

/** On each request, `count` PINGs or SETTINGS in one go, then nothing. */
export const floodsWith = (what: 'pings' | 'settings', count: number): RawScript => ({
  onRequest: (call) => void call.peer.send(repeated(what === 'pings' ? h2.ping() : h2.settings(), count)),
});

/** A header block that never ends. */
export const floodsContinuation = (count: number): RawScript => ({
  onRequest({ peer, streamId }) {
    peer.send(h2.headers(streamId, responseHeaders(), 0));
    peer.send(repeated(h2.continuation(streamId, listed({ x: 'y'.repeat(1000) })), count));
  },
});

/** The answer one byte at a time, one per turn of the event loop. */
export const answersByteByByte = (body: Buffer): RawScript => ({
  onRequest(call) {
    const bytes = Buffer.concat([headersFrame(call), ...messageFrames(call, body), trailersFrame(call)]);
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
    call.peer.socket.end(h2.frame(FrameType.data, 0, call.streamId, Buffer.alloc(10), 1000));
  },
});

export const hangsUpOnRequest = (): RawScript => ({ onRequest: (call) => call.peer.close() });

/** Takes the request and never answers. */
export const staysSilent = (): RawScript => ({});
