/**
 * The test kit itself, against Node's own HTTP/2: a kit that reads or writes frames wrongly would prove nothing.
 */

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { data, Flag, FrameReader, FrameType, headers, ping, settings } from './h2-frames.js';
import { type Field, HpackDecoder, indexed, literal, tableSizeUpdate } from './hpack-lite.js';
import { openRequest, rawClient, unaryRequest } from './raw-client.js';
import type { RawPeer } from './raw-peer.js';
import { answer, rawServer } from './raw-server.js';

describe('raw HTTP/2 kit', () => {
  it('cuts frames out of any split of the bytes', () => {
    const [block, body] = [Buffer.from('abc'), Buffer.alloc(300)];
    const bytes = Buffer.concat([settings([[4, 65_535]]), headers(1, block), data(1, body)]);
    const reader = new FrameReader();
    const frames = [...bytes].flatMap((byte) => reader.push(Buffer.from([byte])));
    const seen = frames.map(({ type, streamId, payload }) => `${type} ${streamId} ${payload.length}`);
    assert.deepEqual(seen, ['4 0 6', '1 1 3', '0 1 300']);
  });

  it('decodes the request blocks of RFC 7541 appendix C.4, Huffman coded with a shared table', () => {
    const decoder = new HpackDecoder();
    const blocks = [
      '828684418cf1e3c2e5f23a6ba0ab90f4ff',
      '828684be5886a8eb10649cbf',
      '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
    ];
    const decoded = blocks.map((hex) => decoder.decode(Buffer.from(hex, 'hex')));
    assert.deepEqual(decoded[0]?.[3], [':authority', 'www.example.com']);
    assert.deepEqual(decoded[1]?.[4], ['cache-control', 'no-cache']);
    assert.deepEqual(decoded[2]?.[4], ['custom-key', 'custom-value']);
    assert.deepEqual(decoded[2]?.[2], [':path', '/index.html']);
  });

  it('decodes every byte that Node encodes with Huffman', async () => {
    const bytes = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).filter((c) =>
      /[\x21-\x7e\xa0-\xff]/.test(c),
    );
    await withNodeServer(
      (stream) => {
        const fields = { 'x-all': bytes.join(''), 'x-short': 'aaaaaaaaaaaa' };
        stream.respond({ ':status': 200, ...fields }, { endStream: true });
      },
      async (peer) => {
        peer.send(openRequest(1, '/'));
        const reply = await peer.waitForType(FrameType.headers, 1);
        assert.equal(reply.fields?.get('x-all'), bytes.join(''));
        assert.equal(reply.fields?.get('x-short'), 'aaaaaaaaaaaa');
      },
    );
  });

  it('evicts from the dynamic table as its size is lowered', () => {
    const decoder = new HpackDecoder();
    decoder.decode(literal('a', 'b', 0x40));
    assert.deepEqual(decoder.decode(indexed(62)), [['a', 'b']]);
    assert.throws(() => decoder.decode(Buffer.concat([tableSizeUpdate(0), indexed(62)])), /names nothing/);
  });

  it('completes a call as a client of Node, and sees PING answered', async () => {
    await withNodeServer(
      (stream) => {
        stream.respond({ ':status': 200 }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end('hello');
      },
      async (peer) => {
        peer.send(unaryRequest(1, '/a.B/C', Buffer.from('x')), ping(Buffer.from('12345678')));
        const body = await peer.waitForType(FrameType.data, 1);
        assert.equal(body.payload.toString(), 'hello');
        const trailers = await peer.waitFor('trailers', (f) => f.fields?.get('grpc-status') === '0');
        assert.ok(trailers.flags & Flag.endStream);
        const pong = await peer.waitForType(FrameType.ping);
        assert.equal(pong.payload.toString(), '12345678');
      },
    );
  });

  it('answers calls of Node as a server', async () => {
    const server = await rawServer({ onRequest: (call) => answer(call, Buffer.from('pong')) });
    const { address } = server;
    assert.ok(address.kind === 'tcp');
    const client = http2.connect(`http://127.0.0.1:${address.port}`);
    const trailers = await new Promise<http2.IncomingHttpHeaders>((resolve, reject) => {
      const stream = client.request({ ':method': 'POST', ':path': '/a.B/C' });
      stream.on('error', reject);
      stream.on('trailers', resolve);
      stream.resume();
      stream.end('ping');
    });
    assert.deepEqual([trailers['grpc-status'], server.calls], ['0', 1]);
    client.destroy();
    await server.close();
  });

  it('reports a missing frame with what came instead, and a hang-up at once', async () => {
    const server = await rawServer({ onHeaders: (call) => call.peer.close() });
    const peer = await rawClient(server.address);
    await assert.rejects(
      peer.waitForType(FrameType.goaway, 0, 50),
      /no frame of type 7 .* within 50 ms; got .*type 4/,
    );
    const waiting = assert.rejects(peer.waitForType(FrameType.data, 1), /connection closed while waiting/);
    peer.send(openRequest(1, '/a.B/C'));
    await waiting;
    assert.equal(await peer.closesWithin(1000), true);
    await server.close();
  });

  it('encodes long values so that Node reads them back', async () => {
    const long: Field = ['x-long', 'v'.repeat(5000)];
    let seen = '';
    await withNodeServer(
      (stream, fields) => {
        seen = String(fields['x-long']);
        stream.respond({ ':status': 200 }, { endStream: true });
      },
      async (peer) => {
        peer.send(openRequest(1, '/a.B/C', [long]));
        await peer.waitForType(FrameType.headers, 1);
      },
    );
    assert.equal(seen, long[1]);
  });
});

async function withNodeServer(
  onStream: (stream: http2.ServerHttp2Stream, fields: http2.IncomingHttpHeaders) => void,
  use: (peer: RawPeer) => Promise<void>,
): Promise<void> {
  const server = http2.createServer();
  server.on('sessionError', () => {});
  server.on('stream', (stream, fields) => {
    stream.on('error', () => {});
    onStream(stream, fields);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const peer = await rawClient({ kind: 'tcp', host: '127.0.0.1', port });
  try {
    await use(peer);
  } finally {
    peer.close();
    await new Promise((resolve) => server.close(resolve));
  }
}
