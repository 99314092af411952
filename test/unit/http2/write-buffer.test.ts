import assert from 'node:assert/strict';
import { FrameType } from '../../../sidecar/http2/constants.js';
import { ControlQueue, Output } from '../../../sidecar/http2/write-buffer.js';
import { FrameReader, frame } from '../../kit/http2/h2-frames.js';
import { runs } from '../../kit/mocha/effort.js';
import { seeded } from '../../kit/time/seeded-random.js';

describe('Output', () => {
  it('holds what was written, in order, and overwrites nothing that is still referenced', () => {
    for (let seed = 1; seed <= runs(4); seed++) {
      const random = seeded(seed);
      const pick = (most: number): number => Math.floor(random() * most);
      const outputs = [new Output(), new Output()];
      const kept: { parts: Buffer[]; expected: Buffer }[] = [];
      for (let flush = 0; flush < 200; flush++) {
        const out = outputs[pick(2)]!;
        const expected: Buffer[] = [];
        out.begin();
        for (let n = pick(12); n > 0; n--) {
          const source = Buffer.allocUnsafeSlow(30_000).fill(pick(256));
          for (let i = 0; i < 64; i++) source[pick(30_000)] = pick(256);
          const start = pick(9000);
          const end = start + [pick(5), pick(40), pick(600), pick(5000), pick(20_000)][pick(5)]!;
          if (random() < 0.5) {
            out.frameHeader(end - start, FrameType.data, flush & 1, n);
            expected.push(frame(FrameType.data, flush & 1, n, Buffer.alloc(0), end - start));
          }
          out.payload(source, start, end);
          expected.push(Buffer.from(source.subarray(start, end)));
        }
        const parts = out.finish();
        const whole = Buffer.concat(expected);
        assert.ok(Buffer.concat(parts).equals(whole), `seed ${seed}`);
        assert.equal(out.bytes, whole.length);
        const isWritten = random() < 0.7;
        out.settle(isWritten);
        if (!isWritten) kept.push({ parts: [...parts], expected: whole });
      }
      for (const { parts, expected } of kept)
        assert.ok(Buffer.concat(parts).equals(expected), `seed ${seed}`);
    }
  });

  it('has one part for pieces that lie one after another, unless something goes between them', () => {
    const source = Buffer.allocUnsafeSlow(40_000);
    for (let i = 0; i < source.length; i++) source[i] = i * 7;
    const out = new Output();
    out.begin();
    out.payload(source, 0, 10_000);
    out.payload(source, 10_000, 20_000);
    out.frameHeader(1, 2, 3, 4);
    out.payload(source, 20_000, 30_000);
    out.payload(source, 30_001, 40_000);
    const parts = out.finish();
    assert.deepEqual(
      parts.map(({ length }) => length),
      [20_000, 9, 10_000, 9_999],
    );
    assert.ok(parts[0]!.equals(source.subarray(0, 20_000)));
    assert.ok(parts[3]!.equals(source.subarray(30_001)));
  });

  it('says whether its last part stays as it is when the slab is used again', () => {
    const out = new Output();
    const large = Buffer.alloc(40_000, 1);
    out.begin();
    out.frameHeader(1, 2, 3, 4);
    out.payload(large, 0, large.length);
    out.finish();
    assert.equal(out.endsByReference, true);
    out.begin();
    out.payload(large, 0, large.length);
    out.frameHeader(1, 2, 3, 4);
    out.finish();
    assert.equal(out.endsByReference, false);
    // More than one slab of small pieces: both parts are slabs.
    out.begin();
    for (let i = 0; i < 40 || out.at <= 32_768; i++) out.payload(large, 0, 3_000);
    const parts = out.finish();
    assert.ok(parts.length >= 2 && parts.at(-1)!.length > 32_768, String(parts.map(({ length }) => length)));
    assert.equal(out.endsByReference, false);
  });

  it('makes room for more than it usually has', () => {
    const out = new Output();
    out.begin();
    out.frameHeader(1, 2, 3, 4);
    out.reserve(200_000);
    out.buffer.fill(5, out.at, out.at + 200_000);
    out.advance(out.at + 200_000);
    out.frameHeader(0, 6, 0, 0x7fffffff);
    const bytes = Buffer.concat(out.finish());
    assert.equal(bytes.length, 200_018);
    assert.ok(bytes.subarray(9, 200_009).every((byte) => byte === 5));
    assert.equal(bytes.toString('hex', 200_009), '00000006007fffffff');
  });
});

describe('ControlQueue', () => {
  it('drains frames in order, and is small again after it was large', () => {
    const queue = new ControlQueue();
    const reader = new FrameReader();
    const out = new Output();
    for (const count of [1, 10, 5000, 1]) {
      for (let i = 0; i < count; i++) {
        queue.word(FrameType.windowUpdate, i, 0xffffffff - i);
        queue.frame(FrameType.ping, 1, 0, Buffer.alloc(8, i));
      }
      assert.equal(queue.length, count * 30);
      out.begin();
      queue.drainTo(out);
      assert.equal(queue.length, 0);
      const frames = reader.push(Buffer.concat(out.finish()));
      assert.equal(frames.length, 2 * count);
      frames.forEach(({ type, streamId, payload }, i) => {
        const word = payload.readUInt32BE(0);
        if (i % 2 === 0) assert.deepEqual([type, streamId, word], [8, i / 2, 0xffffffff - i / 2]);
        else assert.deepEqual([type, payload[7]], [6, (i >> 1) & 255]);
      });
    }
  });
});
