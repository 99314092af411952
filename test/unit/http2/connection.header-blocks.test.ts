import assert from 'node:assert/strict';
import { pair, pump, REQUEST } from '../../kit/http2/connection-pair.js';
import { endingsOf, rawClient, rawServer, request, response } from '../../kit/http2/connection-under-test.js';
import { continuation, data, headers, ping, Setting, settings } from '../../kit/http2/h2-frames.js';
import { encode, type Field, HpackDecoder, indexed, literal } from '../../kit/http2/hpack-lite.js';
import { randomSplit, SPLITS } from '../../kit/http2/splits.js';

const LONG: readonly Field[] = Array.from({ length: 40 }, (_, i) => [`x-long-${i}`, `${i}`.repeat(300)]);

const LONGER = LONG.map(([name, value]): Field => [name, value.repeat(4)]);

/** A header list cut into HEADERS and as many CONTINUATION frames as `size` makes of it. */
function inPieces(id: number, block: Buffer, size: number, flags = 1): Buffer {
  const parts: Buffer[] = [headers(id, block.subarray(0, size), flags)];
  for (let at = size; at < block.length || parts.length === 1; at += size) {
    parts.push(continuation(id, block.subarray(at, at + size), at + size >= block.length ? 4 : 0));
  }
  return Buffer.concat(parts);
}

for (const [how, split] of SPLITS) {
  describe(`header blocks in several frames, ${how}`, () => {
    it('are one list, wherever they are cut', () => {
      const block = encode([...REQUEST, ['x-one', '1'], ['x-two', '2']]);
      for (let size = Math.ceil(block.length / 31); size <= block.length; size++) {
        const raw = rawClient({}, split).send(inPieces(1, block, size), request(3));
        assert.deepEqual(raw.said(), [], String(size));
        const told = raw.side.told[0]!.headers ?? [];
        // Fields of different names may change places: those that vary are kept apart.
        const ours = told.filter(([name]) => name.startsWith('x-')).sort();
        assert.deepEqual(ours, Object.entries({ 'x-one': '1', 'x-two': '2' }));
        assert.equal(raw.side.told.length, 2);
      }
    });

    it('carry END_STREAM in the first', () => {
      const block = encode(REQUEST);
      const raw = rawClient({}, split).send(inPieces(1, block, 20, 1), inPieces(3, block, 20, 0));
      const [first, second] = raw.side.told;
      assert.deepEqual([first!.ends, second!.ends], [1, 0]);
    });

    it('cannot be interrupted by any frame', () => {
      const first = headers(1, encode(REQUEST).subarray(0, 9), 0);
      for (const between of [
        ping(),
        request(3),
        data(1, Buffer.alloc(0)),
        headers(1, Buffer.alloc(0), 4),
        continuation(3, Buffer.alloc(1)),
        settings(),
      ]) {
        const raw = rawClient({}, split).send(first, between);
        assert.deepEqual(raw.said(), ['GOAWAY 0 PROTOCOL']);
      }
    });

    it('of a stream that was reset keep the table in step', () => {
      const raw = rawClient({}, split).send(request(1, 'more'));
      raw.side.reset(raw.side.told[0]!);
      raw.frames();
      const late = Buffer.concat([literal('x-late', 'kept', 0x40), literal('a', 'b')]);
      raw.send(inPieces(1, late, 5), headers(3, Buffer.concat([encode(REQUEST), indexed(62)]), 5));
      assert.deepEqual(raw.said(), []);
      assert.deepEqual(raw.side.told[1]!.headers?.at(-1), ['x-late', 'kept']);
    });
  });
}

describe('long header lists', () => {
  it('go out as HEADERS and CONTINUATION, none longer than the peer takes, and come in whole', () => {
    const options = { local: { maxHeaderBytes: 64_000, maxHeaderFields: 200 } };
    const { client, server } = pair(options, options);
    pump(client, server);
    const told = client.open([...REQUEST, ...LONG], 'more');
    pump(client, server, randomSplit(5));
    assert.equal(server.told[0]!.headers?.length, REQUEST.length + LONG.length);
    server.respond(server.told[0]!, [[':status', '200'], ...LONG]);
    server.trailers(server.told[0]!, [['grpc-status', '0'], ...LONG]);
    pump(server, client, randomSplit(6));
    assert.deepEqual([told.headers?.length, told.trailerPairs?.length], [LONG.length + 1, LONG.length + 1]);
    assert.equal(told.ends, 1);
  });

  it('on the wire are whole frames in a row, with END_STREAM only on the first and END_HEADERS only on the last', () => {
    const raw = rawServer();
    raw.side.open([...REQUEST, ...LONGER]);
    const frames = raw.frames();
    assert.ok(frames.length > 2);
    assert.deepEqual(
      frames.map(({ type, flags }) => [type, flags]),
      frames.map((_, i) => [i === 0 ? 1 : 9, (i === 0 ? 1 : 0) | (i === frames.length - 1 ? 4 : 0)]),
    );
    for (const { payload } of frames.slice(0, -1)) assert.equal(payload.length, 16_384);
    const fields = new HpackDecoder().decode(Buffer.concat(frames.map(({ payload }) => payload)));
    assert.equal(fields.length, REQUEST.length + LONG.length);
  });

  it('use the larger frames of a peer that takes them', () => {
    const raw = rawServer({}, undefined, [[Setting.maxFrameSize, 1 << 20]]);
    raw.side.open([...REQUEST, ...LONGER]);
    assert.equal(raw.frames().length, 1);
  });

  it('of a request that are longer than we announced are told as such, with what fits', () => {
    const raw = rawClient({ local: { maxHeaderBytes: 1000, maxHeaderFields: 20 } });
    raw.send(request(1, 'end', [['x', 'y'.repeat(1000)]]), request(3));
    assert.deepEqual([raw.said(), raw.side.limits], [[], ['header-list']]);
    assert.deepEqual(raw.side.told[0]!.headers, REQUEST);
    // Trailers of a request carry nothing.
    raw.send(request(5, 'more'), headers(5, encode(LONG.slice(0, 21).map(([name]): Field => [name, ''])), 5));
    assert.deepEqual([raw.said(), endingsOf(raw.side.told)], [[], ['', '', '']]);
  });

  it('of a response that are longer than we announced are told with what fits, and the status', () => {
    const raw = rawServer({ local: { maxResponseHeaderBytes: 1000 } });
    const [first, second] = [raw.side.open(), raw.side.open()];
    raw.frames();
    raw.send(response(1, 'more', [['x', 'y'.repeat(1000)]]), response(3, 'end'));
    raw.send(
      headers(
        1,
        encode([
          ['x', 'y'.repeat(1000)],
          ['grpc-status', '5'],
          ['x', 'y'],
        ]),
        5,
      ),
    );
    assert.deepEqual([raw.said(), raw.side.limits], [[], ['header-list', 'header-list']]);
    assert.deepEqual([first.trailerPairs, first.ends, second.ends], [[['grpc-status', '5']], 1, 1]);
  });

  it('that are long count as memory until they are written, or their stream ends', () => {
    const raw = rawServer({ local: { maxHeaderBytes: 1 << 20 } });
    const { connection } = raw.side;
    const { waiting } = connection.state;
    const long: Field[] = [['x', 'y'.repeat(20_000)]];
    raw.side.open([...REQUEST, ...long]);
    assert.ok(waiting.bytes > 20_000);
    raw.frames();
    assert.equal(waiting.bytes, 0);
    const told = raw.side.open([...REQUEST, ...long], 'more');
    assert.ok(waiting.bytes > 20_000);
    connection.reset(told.stream, 8);
    assert.equal(waiting.bytes, 0);
  });

  it('of a request that are long count as memory for as long as its stream is open', () => {
    const raw = rawClient({ local: { maxHeaderBytes: 1 << 20, maxHeaderFields: 1000 } });
    const { waiting } = raw.side.connection.state;
    const many = Array.from({ length: 600 }, (): Field => ['x', '']);
    raw.send(request(1, 'end'));
    const usual = waiting.bytes;
    raw.side.connection.reset(raw.side.told[0]!.stream, 0);
    raw.send(request(3, 'end', many));
    assert.ok(waiting.bytes - usual > 16_000);
    raw.side.connection.reset(raw.side.told[1]!.stream, 0);
    assert.equal(waiting.bytes, 0);
  });
});

describe('the time a header block or a small frame may take', () => {
  it('counts from its first byte, whatever follows', () => {
    const raw = rawClient();
    const { side } = raw;
    assert.equal(side.connection.unfinishedSinceMs, 0);
    const block = encode(REQUEST);
    const first = headers(1, block.subarray(0, 10), 1);
    const last = continuation(1, block.subarray(20), 4);
    for (const [nowMs, bytes, sinceMs] of [
      [2000, first.subarray(0, 4), 2000],
      [3000, first.subarray(4), 3000],
      [4000, continuation(1, block.subarray(10, 20)), 3000],
      [5000, last.subarray(0, 12), 3000],
      [6000, last.subarray(12), 0],
      [7000, ping().subarray(0, 12), 7000],
      [8000, ping().subarray(12, 13), 7000],
      [9000, Buffer.concat([ping().subarray(13), ping().subarray(0, 10)]), 9000],
    ] as const) {
      side.nowMs = nowMs;
      raw.send(bytes);
      assert.equal(side.connection.unfinishedSinceMs, sinceMs, `${nowMs}`);
    }
  });

  it('does not count for payload, which may be as slow as its sender', () => {
    const raw = rawClient()
      .send(request(1, 'more'))
      .send(data(1, Buffer.alloc(1000)).subarray(0, 500));
    assert.deepEqual([raw.side.connection.unfinishedSinceMs, raw.side.connection.isMidFrame], [0, true]);
  });
});
