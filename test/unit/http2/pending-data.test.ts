import assert from 'node:assert/strict';
import type { Stream } from '../../../sidecar/http2/stream.js';
import { calling, type Raw, responding, response, windowed } from '../../kit/http2/connection-under-test.js';
import { Setting, settings, windowUpdate } from '../../kit/http2/h2-frames.js';
import type { Told } from '../../kit/http2/recorded-events.js';
import { seeded } from '../../kit/time/seeded-random.js';

const READ = 64 * 1024;

/** Bytes of memory that what waits on a stream keeps alive, each backing store once, and how many pieces it is in. */
function held(stream: Stream): { bytes: number; pieces: number } {
  const stores = new Set<ArrayBufferLike>();
  let pieces = 0;
  for (let chunk = stream.firstChunk; chunk !== null; chunk = chunk.next) {
    stores.add(chunk.buffer.buffer);
    pieces++;
  }
  let bytes = 0;
  for (const store of stores) bytes += store.byteLength;
  return { bytes, pieces };
}

/** What waits on the stream costs no more than twice its `bytes`, and the gathering buffers. */
function assertCompact({ stream }: Told, bytes: number): void {
  const { bytes: kept } = held(stream);
  assert.ok(kept <= 2 * bytes + 32_768, `${kept} for ${bytes}`);
}

/** Gives `told` `count` pieces of `size` bytes, each out of a read of its own; `each` runs after each piece. */
function trickle(raw: Raw, told: Told, size: number, count: number, each: () => void = () => {}): Buffer {
  const all: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const read = Buffer.allocUnsafeSlow(READ).fill(i & 255);
    raw.side.connection.sendData(told.stream, read, 100, 100 + size, false);
    all.push(Buffer.from(read.subarray(100, 100 + size)));
    each();
  }
  return Buffer.concat(all);
}

/** All that stream 1 has to say, given all the window it wants. */
function drain(raw: Raw): Buffer {
  raw.send(windowUpdate(1, 1 << 28), windowUpdate(0, 1 << 28));
  return raw.payload();
}

describe('payload that waits for its stream window', () => {
  for (const size of [1, 10, 105, 1000, 4095]) {
    it(`in pieces of ${size} costs at most twice its size`, () => {
      const { raw, told } = windowed(0);
      const count = Math.ceil(256_000 / size / (size === 1 ? 8 : 1));
      const all = trickle(raw, told, size, Math.min(count, 4000));
      assertCompact(told, all.length);
      const { pieces } = held(told.stream);
      assert.ok(pieces <= all.length / 4096 + 12, String(pieces));
      assert.ok(drain(raw).equals(all));
    });
  }

  it('in a small slice of a large read frees the read; most of a read stays where it is', () => {
    const { raw, told } = windowed(0);
    trickle(raw, told, 5000, 1);
    assert.equal(held(told.stream).bytes, 5000);
    trickle(raw, told, 40_000, 1);
    assert.equal(held(told.stream).bytes, 5000 + READ);
  });

  it('in a single small piece costs little', () => {
    const { raw, told } = windowed(0);
    trickle(raw, told, 105, 1);
    assert.deepEqual(held(told.stream), { bytes: 512, pieces: 1 });
  });

  it('is gathered when the window runs out in the middle of it', () => {
    const { raw, told } = windowed(50);
    const all = trickle(raw, told, 10, 1000);
    assert.equal(held(told.stream).pieces, 1000);
    const first = raw.frames();
    assert.deepEqual([first.length, first[0]!.type, first[0]!.payload.length], [1, 0, 50]);
    assert.ok(held(told.stream).pieces <= 8);
    assert.ok(Buffer.concat([first[0]!.payload, drain(raw)]).equals(all));
  });

  it('is gathered in linear time', () => {
    const { raw, told } = windowed(0);
    const read = Buffer.alloc(READ, 1);
    for (let i = 0; i < 200_000; i++)
      raw.side.connection.sendData(told.stream, read, i % READ, (i % READ) + 1, false);
    assert.ok(held(told.stream).bytes <= 250_000);
    assert.equal(drain(raw).length, 200_000);
  });
});

describe('payload that waits for something else', () => {
  it('the connection window, costs at most twice its size', () => {
    const { raw, told } = windowed(1 << 20);
    raw.side.send(told, Buffer.alloc(65_535));
    raw.frames();
    const all = trickle(raw, told, 10, 2000, () => void raw.frames());
    assertCompact(told, all.length);
    assert.ok(drain(raw).equals(all));
  });

  it('the limit on streams, costs at most twice its size', () => {
    const { raw } = calling(['end'], { values: [[Setting.maxConcurrentStreams, 1]] });
    const told = raw.side.open(undefined, 'more');
    const early = trickle(raw, told, 10, 500);
    raw.frames();
    const late = trickle(raw, told, 10, 2000);
    assertCompact(told, early.length + late.length);
    raw.send(response(1, 'end'));
    assert.ok(raw.payload().equals(Buffer.concat([early, late])));
  });

  it('the socket, costs at most twice its size once the session reports that it is blocked', () => {
    const { raw, told } = responding();
    const all = trickle(raw, told, 10, 2000, () => raw.side.connection.holdOutput());
    assertCompact(told, all.length);
    assert.ok(drain(raw).equals(all));
  });
});

describe('payload of any sizes', () => {
  it('is written in order whatever the windows do meanwhile', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = seeded(seed);
      const pick = (most: number): number => Math.floor(random() * most);
      const { raw, told } = windowed(0);
      const sent: Buffer[] = [];
      const got: Buffer[] = [];
      for (let step = 0; step < 200; step++) {
        const read = Buffer.allocUnsafeSlow(random() < 0.5 ? READ : 8000).fill(step);
        const start = pick(read.length);
        const end = Math.min(read.length, start + 1 + pick(random() < 0.7 ? 40 : 20_000));
        raw.side.connection.sendData(told.stream, read, start, end, false);
        sent.push(Buffer.from(read.subarray(start, end)));
        if (random() < 0.3) raw.send(windowUpdate(1, 1 + pick(30_000)));
        if (random() < 0.1) raw.send(windowUpdate(0, 1 + pick(60_000)));
        if (random() < 0.1) raw.send(settings([[Setting.initialWindowSize, pick(2000)]]));
        if (random() < 0.3) got.push(raw.payload());
        if (random() < 0.2) raw.side.connection.holdOutput();
      }
      got.push(raw.payload(), drain(raw));
      assert.ok(Buffer.concat(got).equals(Buffer.concat(sent)), `seed ${seed}`);
      assert.equal(told.sent, told.stream.pendingBytes + Buffer.concat(sent).length);
    }
  });
});
