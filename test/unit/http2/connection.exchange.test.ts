import assert from 'node:assert/strict';
import { makeField } from '../../../sidecar/http2/hpack/field.js';
import type { HeaderBlock } from '../../../sidecar/http2/hpack/header-list.js';
import { pair, pump, REQUEST, type Side } from '../../kit/http2/connection-pair.js';
import { endingsOf } from '../../kit/http2/connection-under-test.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { Told } from '../../kit/http2/recorded-events.js';
import { BYTES, SPLITS, WHOLE } from '../../kit/http2/splits.js';
import { seeded } from '../../kit/time/seeded-random.js';

/** Answers each request with what it brought: headers at once, payload as it comes, then trailers. */
function echo(told: Told, side: Side): void {
  side.respond(told, [[':status', '200'], ...(told.headers ?? []).filter(([name]) => name.startsWith('x-'))]);
  told.during = (moment) => {
    if (moment === 'data') side.send(told, told.pieces.at(-1)!);
    if (told.ends === 1 && moment !== 'sent' && moment !== 'ending') side.trailers(told);
  };
  if (told.ends === 1) side.trailers(told);
}

for (const [how, split] of SPLITS) {
  describe(`two engines, ${how},`, () => {
    it('carry calls of every size both ways, whole and in order', () => {
      const random = seeded(7);
      const { client, server } = pair({}, { onStream: echo });
      const sizes = [0, 1, 5, 105, 4095, 4096, 16_383, 16_384, 16_385, 65_535, 65_536];
      if (split !== BYTES) sizes.push(300_000);
      const calls = sizes.map((size) => {
        const body = Buffer.from(Array.from({ length: size }, () => Math.floor(random() * 256)));
        const told = client.open([...REQUEST, ['x-size', String(size)]], 'more');
        client.send(told, body, 'end');
        return { body, told };
      });
      pump(client, server, split);
      for (const { body, told } of calls) {
        assert.ok(told.body.equals(body), `${body.length}`);
        assert.deepEqual(told.headers?.[1], ['x-size', String(body.length)]);
        assert.deepEqual([told.trailerPairs?.[0], told.ends, told.ending], [['grpc-status', '0'], 1, '']);
      }
      assert.deepEqual([client.connection.openStreams, server.connection.openStreams], [0, 0]);
      assert.deepEqual([client.fatal, server.fatal, client.limits, server.limits], [[], [], [], []]);
    });

    it('carry a conversation, a message each way at a time', () => {
      const { client, server } = pair({}, { onStream: echo });
      const told = client.open(undefined, 'more');
      for (let i = 0; i < 50; i++) {
        client.send(told, Buffer.from(`message ${i};`));
        pump(client, server, split);
        assert.ok(told.body.toString().endsWith(`message ${i};`));
      }
      client.send(told, Buffer.alloc(0), 'end');
      pump(client, server, split);
      assert.equal(told.ends, 1);
    });

    it('carry cancellation both ways, within one exchange', () => {
      const { client, server } = pair();
      const [ours, theirs] = [client.open(undefined, 'more'), client.open(undefined, 'more')];
      pump(client, server, split);
      client.reset(ours, 8);
      server.reset(server.told[1]!, 7);
      pump(client, server, split);
      assert.deepEqual(endingsOf(server.told), ['reset 8', '']);
      assert.deepEqual(endingsOf([ours, theirs]), ['', 'reset 7']);
      assert.deepEqual([client.connection.openStreams, server.connection.openStreams], [0, 0]);
    });
  });
}

describe('never-indexed fields', () => {
  it('stay never-indexed on the next hop', () => {
    const { client, server } = pair();
    const told = client.open(undefined, 'more');
    const secret = makeField('authorization', 'Bearer secret', true);
    client.connection.sendHeaders(told.stream, told.stream.headers!, [secret], true);
    client.send(told, Buffer.alloc(0), 'end');
    const blocks: HeaderBlock[] = [];
    const onStream = server.onStream.bind(server);
    server.onStream = (stream, block, ended) => {
      blocks.push(block);
      onStream(stream, block, ended);
    };
    pump(client, server);
    const field = blocks[0]!.extras.find(({ name }) => name === 'authorization');
    assert.equal(field?.neverIndexed, true);
  });
});

describe('many calls on one connection', () => {
  it('stay correct for thousands of calls, each with other fields', () => {
    const { client, server } = pair({}, { onStream: echo });
    const random = seeded(11);
    for (let round = 0; round < 20; round++) {
      const asked: [Told, Field[]][] = [];
      for (let i = 0; i < 100; i++) {
        const mine: Field[] = [['x-id', String(random())]];
        mine.push([`x-name-${Math.floor(random() * 300)}`, 'v'.repeat(Math.floor(random() * 60))]);
        asked.push([client.open([...REQUEST, ...mine]), mine]);
      }
      pump(client, server, WHOLE);
      for (const [told, mine] of asked) assert.deepEqual(told.headers?.slice(1).sort(), mine.sort());
      client.told.length = 0;
      server.told.length = 0;
    }
    assert.deepEqual([client.fatal, server.fatal], [[], []]);
  });
});

describe('fairness', () => {
  const WIDE = { local: { initialWindow: 1 << 28, connectionWindow: 1 << 30 } };

  it('a 64 MiB stream delays a small one on the same connection by no more than one quantum', () => {
    const { client, server } = pair(WIDE, {
      onStream: (told, side) => {
        side.respond(told);
        if (told.stream.id !== 1) side.trailers(told);
      },
    });
    const big = client.open();
    pump(client, server);
    const piece = Buffer.alloc(1 << 20);
    for (let i = 0; i < 64; i++) server.send(server.told[0]!, piece);
    let behind = 0;
    for (let turn = 0; turn < 40; turn++) {
      const small = client.open();
      server.feed(client.take());
      const before = big.bytes;
      client.feed(server.take(16_384));
      while (small.ends === 0) client.feed(server.take(16_384));
      behind = Math.max(behind, big.bytes - before);
    }
    assert.ok(behind <= 3 * 16_384, `${behind} bytes of the large stream went first`);
    assert.ok(big.bytes > 0);
  });

  it('a small call is written in the first flush after it is ready, whatever else is queued', () => {
    const { client, server } = pair(WIDE, { onStream: (told, side) => side.respond(told) });
    const told = Array.from({ length: 50 }, () => client.open());
    pump(client, server);
    for (const each of server.told) server.send(each, Buffer.alloc(1 << 20));
    server.trailers(server.told[49]!);
    const bytes = server.take(50 * (16_384 + 9));
    client.feed(bytes);
    for (const each of told) assert.ok(each.bytes === 16_384, String(each.bytes));
  });

  for (const room of [1, 100, 20_000]) {
    it(`a flush writes about as much as its room of ${room}`, () => {
      const { client, server } = pair(WIDE, {
        onStream: (told, side) => {
          side.respond(told);
          side.send(told, Buffer.alloc(100_000), 'end');
        },
      });
      pump(client, server);
      for (let i = 0; i < 5; i++) client.open();
      server.feed(client.take());
      for (let length = -1; length !== 0; ) {
        const bytes = server.take(room);
        length = bytes.length;
        assert.ok(length <= room + 16_384 + 100, String(length));
        client.feed(bytes);
      }
      assert.ok(client.told.every((told) => told.bytes === 100_000 && told.ends === 1));
    });
  }
});
