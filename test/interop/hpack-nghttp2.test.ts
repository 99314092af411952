// Against an independent implementation: the nghttp2 inside node:http2, which decodes what we encode and encodes what we
// decode. A hand-made peer speaks just enough frames, in memory.

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { Duplex } from 'node:stream';
import { Encoder } from '../../sidecar/http2/hpack/encoder.js';
import { makeField } from '../../sidecar/http2/hpack/field.js';
import { decode, listOf, newDecoder, type Pair, pairsOf, sorted } from '../kit/http2/hpack-blocks.js';

const SETTINGS = 4;
const HEADERS = 1;
const END_STREAM_AND_HEADERS = 0x5;
const HEADER_TABLE_SIZE = 1;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function tableSetting(bytes: number): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(HEADER_TABLE_SIZE, 0);
  payload.writeUInt32BE(bytes, 2);
  return frame(SETTINGS, 0, 0, payload);
}

/** The other end of a node:http2 session: hands over its frames, takes ours. */
class Peer extends Duplex {
  readonly #onFrame: (type: number, flags: number, payload: Buffer) => void;
  #input = Buffer.alloc(0);
  #skip: number;

  constructor(preface: number, onFrame: (type: number, flags: number, payload: Buffer) => void) {
    super();
    this.#onFrame = onFrame;
    this.#skip = preface;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#input = Buffer.concat([this.#input, chunk]);
    const skipped = Math.min(this.#skip, this.#input.length);
    this.#skip -= skipped;
    this.#input = this.#input.subarray(skipped);
    while (this.#input.length >= 9 && this.#input.length >= 9 + this.#input.readUIntBE(0, 3)) {
      const length = this.#input.readUIntBE(0, 3);
      const payload = this.#input.subarray(9, 9 + length);
      const [type, flags] = [this.#input[3]!, this.#input[4]!];
      this.#input = this.#input.subarray(9 + length);
      this.#onFrame(type, flags, payload);
    }
    done();
  }
}

const CALLS: Pair[][] = Array.from({ length: 60 }, (_, call) => [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', `/inference.Service/Method${call % 3}`],
  [':authority', '127.0.0.1:9000'],
  ['te', 'trailers'],
  ['content-type', 'application/grpc'],
  ['user-agent', 'grpc-node-js/1.14'],
  ['grpc-timeout', `${1000 + call}m`],
  ['traceparent', `00-4bf92f3577b34da6a3ce929d0e0e${(0x1000 + call * 77).toString(16)}-00f067aa0ba902b7-01`],
  ['authorization', `Bearer ${'x'.repeat(call + 1)}`],
  ['x-tenant', `tenant ${call % 5}`],
  ['x-blob-bin', Buffer.alloc(call, call).toString('base64')],
  ['x-large', 'large'.repeat(call % 7 === 0 ? 200 : 1)],
]);

describe('nghttp2', () => {
  it('reads what the encoder writes, while it changes the size of its table', async () => {
    const received: Pair[][] = [];
    const encoder = new Encoder();
    const settings = [4096, 300, 0, 4096];
    const server = http2.createServer({ settings: { headerTableSize: 4096 } });
    const done = new Promise<void>((resolve, reject) => {
      server.on('sessionError', reject);
      server.on('stream', (stream: http2.ServerHttp2Stream, ...rest: unknown[]) => {
        received.push(pairsOfRaw(rest[2] as string[]));
        stream.on('error', reject);
        stream.respond({ ':status': 200 }, { endStream: true });
        if (received.length === CALLS.length) resolve();
      });
    });
    const made = new Map<string, ReturnType<typeof makeField>>();
    const field = ([name, value]: Pair) => {
      const key = `${name} ${value}`;
      if (!made.has(key)) made.set(key, makeField(name, value, name === 'authorization'));
      return made.get(key)!;
    };
    const varying = new Set(['grpc-timeout', 'traceparent', 'authorization', 'x-blob-bin']);
    const peer = new Peer(0, (type, flags, payload) => {
      if (type !== SETTINGS || flags !== 0) return;
      for (let at = 0; at + 6 <= payload.length; at += 6)
        if (payload.readUInt16BE(at) === HEADER_TABLE_SIZE)
          encoder.setMaxTableBytes(payload.readUInt32BE(at + 2));
      peer.push(frame(SETTINGS, 1, 0, Buffer.alloc(0)));
    });
    const started = new Promise<http2.ServerHttp2Session>((resolve) => server.once('session', resolve));
    server.emit('connection', peer);
    const session = await started;
    peer.push(Buffer.concat([Buffer.from(PREFACE), frame(SETTINGS, 0, 0, Buffer.alloc(0))]));
    for (const [at, call] of CALLS.entries()) {
      if (at % 15 === 0) {
        await new Promise<void>((resolve) =>
          session.settings({ headerTableSize: settings[at / 15]! }, () => resolve()),
        );
      }
      const stable = listOf(call.filter(([name]) => !varying.has(name)).map(field));
      const extras = call.filter(([name]) => varying.has(name)).map(field);
      const out = Buffer.alloc(encoder.bound(stable, extras));
      const block = out.subarray(0, encoder.encode(stable, extras, out, 0));
      peer.push(frame(HEADERS, END_STREAM_AND_HEADERS, at * 2 + 1, block));
    }
    await done;
    session.destroy();
    peer.destroy();
    assert.deepEqual(received.map(sorted), CALLS.map(sorted));
  });

  it('writes what the decoder reads, while we change the size of our table', async () => {
    const decoder = newDecoder();
    const received: Pair[][] = [];
    let finish: () => void = () => {};
    const done = new Promise<void>((resolve) => {
      finish = resolve;
    });
    let acknowledge: () => void = () => {};
    const peer = new Peer(PREFACE.length, (type, flags, payload) => {
      if (type === SETTINGS && (flags & 1) === 0) peer.push(frame(SETTINGS, 1, 0, Buffer.alloc(0)));
      if (type === SETTINGS && (flags & 1) === 1) acknowledge();
      if (type !== HEADERS) return;
      received.push(pairsOf(decode(decoder, payload)));
      if (received.length === CALLS.length) finish();
    });
    const client = http2.connect('http://127.0.0.1:9000', { createConnection: () => peer });
    peer.push(frame(SETTINGS, 0, 0, Buffer.alloc(0)));
    const sizes = [4096, 200, 0, 4096];
    for (const [at, call] of CALLS.entries()) {
      if (at % 15 === 0) {
        const acknowledged = new Promise<void>((resolve) => {
          acknowledge = resolve;
        });
        peer.push(tableSetting(sizes[at / 15]!));
        await acknowledged;
        decoder.setMaxTableBytes(sizes[at / 15]!);
      }
      const headers = { ...Object.fromEntries(call), [http2.sensitiveHeaders]: ['authorization'] };
      client.request(headers, { endStream: true }).on('error', () => {});
      await new Promise((resolve) => setImmediate(resolve));
    }
    await done;
    client.destroy();
    assert.deepEqual(received.map(sorted), CALLS.map(sorted));
  });
});

function pairsOfRaw(raw: readonly string[]): Pair[] {
  return Array.from({ length: raw.length / 2 }, (_, at) => [raw[at * 2]!, raw[at * 2 + 1]!]);
}
