// Against an independent implementation: the nghttp2 inside node:http2, which decodes what we encode and encodes what we
// decode. A hand-made peer speaks just enough frames, in memory.

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { Duplex } from 'node:stream';
import { Encoder } from '../../sidecar/http2/hpack/encoder.js';
import { makeField } from '../../sidecar/http2/hpack/field.js';
import { StableList } from '../../sidecar/http2/hpack/header-list.js';
import {
  Flag,
  type Frame,
  FrameReader,
  FrameType,
  headers,
  PREFACE,
  Setting,
  settings,
  settingsAck,
  settingsOf,
} from '../kit/http2/h2-frames.js';
import { decode, newDecoder, type Pair, pairsOf, sorted } from '../kit/http2/hpack-blocks.js';

/** The other end of a node:http2 session: hands over its frames, takes ours. */
class Peer extends Duplex {
  readonly #onFrame: (each: Frame) => void;
  readonly #reader: FrameReader;

  constructor(preface: number, onFrame: (each: Frame) => void) {
    super();
    this.#onFrame = onFrame;
    this.#reader = new FrameReader(preface);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    for (const each of this.#reader.push(chunk)) this.#onFrame(each);
    done();
  }
}

const isAck = ({ flags }: Frame): boolean => (flags & Flag.ack) !== 0;

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
    const sizes = [4096, 300, 0, 4096];
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
    const peer = new Peer(0, (each) => {
      if (each.type !== FrameType.settings || isAck(each)) return;
      const bytes = settingsOf(each).get(Setting.headerTableSize);
      if (bytes !== undefined) encoder.setMaxTableBytes(bytes);
      peer.push(settingsAck());
    });
    const started = new Promise<http2.ServerHttp2Session>((resolve) => server.once('session', resolve));
    server.emit('connection', peer);
    const session = await started;
    peer.push(Buffer.concat([PREFACE, settings()]));
    for (const [at, call] of CALLS.entries()) {
      const table = { headerTableSize: sizes[at / 15]! };
      if (at % 15 === 0) await new Promise<void>((resolve) => session.settings(table, () => resolve()));
      const stable = StableList.of(call.filter(([name]) => !varying.has(name)).map(field));
      const extras = call.filter(([name]) => varying.has(name)).map(field);
      const out = Buffer.alloc(encoder.bound(stable, extras));
      const block = out.subarray(0, encoder.encode(stable, extras, out, 0));
      peer.push(headers(at * 2 + 1, block, Flag.endHeaders | Flag.endStream));
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
    const peer = new Peer(PREFACE.length, (each) => {
      if (each.type === FrameType.settings && isAck(each)) acknowledge();
      else if (each.type === FrameType.settings) peer.push(settingsAck());
      if (each.type !== FrameType.headers) return;
      received.push(pairsOf(decode(decoder, each.payload)));
      if (received.length === CALLS.length) finish();
    });
    const client = http2.connect('http://127.0.0.1:9000', { createConnection: () => peer });
    peer.push(settings());
    const sizes = [4096, 200, 0, 4096];
    for (const [at, call] of CALLS.entries()) {
      if (at % 15 === 0) {
        const acknowledged = new Promise<void>((resolve) => {
          acknowledge = resolve;
        });
        peer.push(settings([[Setting.headerTableSize, sizes[at / 15]!]]));
        await acknowledged;
        decoder.setMaxTableBytes(sizes[at / 15]!);
      }
      const fields = { ...Object.fromEntries(call), [http2.sensitiveHeaders]: ['authorization'] };
      client.request(fields, { endStream: true }).on('error', () => {});
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
