import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ownBuffer } from '../../../sidecar/http2/owned-buffer.js';
import { type Raw, windowed } from '../../kit/http2/connection-under-test.js';
import { FrameType, frame, windowUpdate } from '../../kit/http2/h2-frames.js';
import type { Told } from '../../kit/http2/recorded-events.js';

const HEAD = 9;

/** One read of a peer's connection: DATA frames of another stream, and where the payload of each lies. */
function readOf(sizes: readonly number[], flags = 0) {
  const parts = sizes.map((size, i) => frame(FrameType.data, flags, 77, Buffer.alloc(size, i + 1)));
  const buffer = Buffer.concat(parts);
  let at = 0;
  const pieces = sizes.map((size) => {
    const start = at + HEAD;
    at = start + size;
    return { start, end: at };
  });
  return { buffer, pieces };
}

type Read = ReturnType<typeof readOf>;

/** Passes every piece of the read on; returns the payload as it was. */
function pass({ raw, told }: { raw: Raw; told: Told }, { buffer, pieces }: Read, ends = false): Buffer {
  const payload = Buffer.concat(pieces.map(({ start, end }) => Buffer.from(buffer.subarray(start, end))));
  for (const [i, { start, end }] of pieces.entries())
    raw.side.connection.passData(told.stream, ownBuffer(buffer), start, end, ends && i === pieces.length - 1);
  return payload;
}

describe('payload that is passed on in the frames it came in', () => {
  it('goes out as one piece of the read, with the id of its own stream', () => {
    const side = windowed(1 << 20);
    const read = readOf([16_384, 16_384, 16_384]);
    pass(side, read);
    const { firstChunk } = side.told.stream;
    assert.equal(firstChunk?.next, null);
    assert.equal(firstChunk?.buffer, read.buffer);
    assert.deepEqual(side.raw.said(), ['DATA 1 16384', 'DATA 1 16384', 'DATA 1 16384']);
  });

  it('ends the stream in its last frame', () => {
    const side = windowed(1 << 20);
    pass(side, readOf([5_000, 300]), true);
    assert.deepEqual(side.raw.said(), ['DATA 1 5000', 'DATA 1 300 end']);
  });

  it('goes out without the flags it came with', () => {
    const side = windowed(1 << 20);
    pass(side, readOf([5_000], 0xff));
    const [sent] = side.raw.frames();
    assert.equal(sent!.flags, 0);
  });

  it('is cut to the window where that is smaller, and goes on when it grows', () => {
    const side = windowed(20_000);
    const payload = pass(side, readOf([16_384, 16_384]), true);
    const first = side.raw.frames();
    assert.equal(
      first.reduce((sum, each) => sum + each.payload.length, 0),
      20_000,
    );
    side.raw.send(windowUpdate(1, 1 << 20));
    const rest = side.raw.frames();
    assert.deepEqual(Buffer.concat([...first, ...rest].map((each) => each.payload)), payload);
    assert.equal(rest.at(-1)!.flags & 1, 1);
  });

  it('that is small, or begins its read, is packed as any other', () => {
    const side = windowed(1 << 20);
    pass(side, readOf([100]));
    assert.equal(side.told.stream.firstChunk?.frames, 0);
    const atStart = Buffer.alloc(8_000, 9);
    side.raw.side.connection.passData(side.told.stream, ownBuffer(atStart), 0, 8_000, false);
    assert.equal(side.told.stream.lastChunk?.frames, 0);
    assert.equal(side.raw.payload().length, 8_100);
  });

  it('in a frame longer than every peer takes is cut', () => {
    const side = windowed(1 << 20);
    pass(side, readOf([20_000]));
    assert.deepEqual(side.raw.said(), ['DATA 1 16384', 'DATA 1 3616']);
  });

  it('keeps bytes, order and ends, whatever reads, windows and ways of sending follow one another', () => {
    const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 9_000 }), fc.constant(16_384)), {
      minLength: 1,
      maxLength: 6,
    });
    const step = fc.oneof(
      fc.record({ does: fc.constant('pass' as const), sizes }),
      fc.record({ does: fc.constant('send' as const), size: fc.integer({ min: 1, max: 20_000 }) }),
      fc.record({ does: fc.constant('widen' as const), bytes: fc.integer({ min: 1, max: 60_000 }) }),
      fc.record({ does: fc.constant('hold' as const) }),
      fc.record({ does: fc.constant('write' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 14 }), fc.integer({ min: 0, max: 40_000 }), (steps, window) => {
        const side = windowed(window);
        const { raw, told } = side;
        const { connection } = raw.side;
        const wanted: Buffer[] = [];
        const got: Buffer[] = [];
        const collect = (): void => {
          for (const { type, payload } of raw.frames()) {
            if (type !== FrameType.data) continue;
            assert.ok(payload.length <= 16_384);
            got.push(payload);
          }
        };
        for (const each of steps) {
          if (each.does === 'pass') wanted.push(pass(side, readOf(each.sizes)));
          else if (each.does === 'send') {
            const own = Buffer.alloc(each.size, 200);
            connection.sendData(told.stream, own, 0, own.length, false);
            wanted.push(Buffer.from(own));
          } else if (each.does === 'widen') raw.send(windowUpdate(1, each.bytes));
          else if (each.does === 'hold') connection.holdOutput();
          else collect();
        }
        connection.passData(told.stream, ownBuffer(Buffer.alloc(0)), 0, 0, true);
        raw.send(windowUpdate(1, 1 << 24), windowUpdate(0, 1 << 24));
        collect();
        assert.deepEqual(Buffer.concat(got), Buffer.concat(wanted));
        assert.ok(told.stream.localEnded);
      }),
    );
  });
});
