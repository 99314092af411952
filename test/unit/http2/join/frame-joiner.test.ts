import assert from 'node:assert/strict';
import fc from 'fast-check';
import { joinFrames } from '../../../../sidecar/http2/join/frame-joiner.js';
import { type Frame, FrameReader, FrameType, frame } from '../../../kit/http2/h2-frames.js';

const HEAD = 9;
const data = (id: number, bytes: number, fill = 1, flags = 0): Buffer =>
  frame(FrameType.data, flags, id, Buffer.alloc(bytes, fill));
const many = (count: number, each: (i: number) => Buffer): Buffer[] =>
  Array.from({ length: count }, (_, i) => each(i));

interface Joined {
  readonly frames: readonly Frame[];
  /** What is left of the read behind its last whole frame. */
  readonly rest: Buffer;
  readonly octets: number;
  readonly isTried: boolean;
}

/** Joins in the middle of a buffer, whose other octets must stay as they are. */
function join(parts: readonly Buffer[]): Joined {
  const read = Buffer.concat(parts);
  const chunk = Buffer.concat([Buffer.alloc(20, 0xee), read, Buffer.alloc(20, 0xdd)]);
  const at = 20;
  const to = joinFrames(chunk, at, at + read.length);
  assert.deepEqual(chunk.subarray(0, at), Buffer.alloc(20, 0xee));
  assert.deepEqual(chunk.subarray(at + read.length), Buffer.alloc(20, 0xdd));
  if (to < 0) assert.deepEqual(chunk.subarray(at, at + read.length), read);
  const octets = chunk.subarray(at, to < 0 ? at + read.length : to);
  const frames = framesOf(octets);
  const whole = frames.reduce((sum, { payload }) => sum + HEAD + payload.length, 0);
  return { frames, rest: octets.subarray(whole), octets: octets.length, isTried: to >= 0 };
}

const framesOf = (octets: Buffer): Frame[] => new FrameReader().push(octets);
const words = ({ frames }: Joined): string[] =>
  frames.map(({ type, streamId, payload }) => `${type}:${streamId}:${payload.length}`);

/** Frames that keep their place, and for each stream its payload between them. */
function meaning(frames: readonly Frame[]) {
  const kept: Frame[] = [];
  let gap: Record<number, string> = {};
  const gaps = [gap];
  for (const each of frames) {
    const { type, flags, streamId, payload } = each;
    if (type === FrameType.data && flags === 0 && payload.length > 0) {
      gap[streamId] = (gap[streamId] ?? '') + payload.toString('latin1');
    } else {
      kept.push(each);
      gap = {};
      gaps.push(gap);
    }
  }
  return { kept, gaps };
}

describe('small DATA frames that are joined', () => {
  it('become one frame for each stream', () => {
    const bursts = [0, 1, 2].flatMap((round) => [
      ...many(16, (i) => data(1, 105, round * 16 + i)),
      ...many(16, (i) => data(3, 105, 100 + round * 16 + i)),
    ]);
    const joined = join(bursts);
    assert.deepEqual(words(joined), ['0:1:5040', '0:3:5040']);
    assert.deepEqual(meaning(joined.frames), meaning(framesOf(Buffer.concat(bursts))));
  });

  it('are cut where a frame would exceed 16 KiB, and stay in their order behind that', () => {
    const parts = [
      ...many(20, (i) => data(1, 1000, i)),
      data(1, 10, 99),
      data(3, 7),
      ...many(3, (i) => data(1, 500, i)),
    ];
    const joined = join(parts);
    assert.deepEqual(words(joined), ['0:1:16000', '0:1:5510', '0:3:7']);
    assert.deepEqual(meaning(joined.frames), meaning(framesOf(Buffer.concat(parts))));
  });

  it('of more than eight streams are joined for eight, and the others stay as they are', () => {
    const joined = join([data(1, 60), data(1, 60), ...many(20, (i) => data(1 + 2 * (i % 10), 60))]);
    const seven = [3, 5, 7, 9, 11, 13, 15].map((id) => `0:${id}:120`);
    assert.deepEqual(words(joined), ['0:1:240', ...seven, '0:17:60', '0:19:60', '0:17:60', '0:19:60']);
  });

  it('never pass a frame of another kind, one with flags, or an empty one', () => {
    const trailers = frame(FrameType.headers, 5, 1, Buffer.from('trailers'));
    const parts = [
      ...many(5, (i) => data(1, 100, i)),
      ...[trailers, data(3, 100), data(3, 100), data(3, 0), data(3, 100), data(3, 100, 7, 1)],
      ...[data(5, 4), data(5, 5), data(5, 6), data(5, 2000), data(5, 7), data(5, 8)],
    ];
    const joined = join(parts);
    assert.deepEqual(words(joined), [
      ...['0:1:500', '1:1:8', '0:3:200', '0:3:0', '0:3:100', '0:3:100', '0:5:15', '0:5:2000', '0:5:15'],
    ]);
    assert.equal(joined.frames[5]!.flags, 1);
  });

  it('take the reserved bit of a stream id for nothing', () => {
    const parts = many(6, (i) => data(1, 100, i));
    parts[1]![5]! |= 0x80;
    parts[4]![5]! |= 0x80;
    assert.deepEqual(words(join(parts)), ['0:1:600']);
  });

  it('are those that are whole: what is left of a read stays behind them', () => {
    const parts = many(6, (i) => data(1, 100, i));
    for (const cut of [1, 50, 100, 104, 108]) {
      const read = Buffer.concat(parts);
      const joined = join([read.subarray(0, read.length - cut)]);
      assert.deepEqual(words(joined), ['0:1:500']);
      assert.deepEqual(joined.rest, parts[5]!.subarray(0, HEAD + 100 - cut));
    }
  });

  it('are left alone where there are few of them, of many streams or of one that is large', () => {
    const alone = [
      [data(1, 100), data(1, 100), data(1, 100)],
      [data(1, 600), data(1, 600)],
      [data(1, 200), data(1, 200), frame(FrameType.headers, 5, 1, Buffer.alloc(500))],
      many(64, (i) => data(1 + 2 * i, 105)),
      [data(1, 1025), ...many(20, () => data(1, 100))],
      many(1500, () => data(1, 100)),
    ];
    for (const parts of alone) assert.equal(join(parts).isTried, false);
  });

  it('mean the same as before, whatever a peer sends', () => {
    const id = fc.oneof(fc.constantFrom(1, 3), fc.integer({ min: 0, max: 0x7fffffff }));
    const size = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 1100 }));
    const small = fc.tuple(id, size, fc.nat(255)).map(([stream, bytes, fill]) => data(stream, bytes, fill));
    const other = fc
      .tuple(fc.nat(12), fc.nat(255), id, fc.integer({ min: 0, max: 3000 }))
      .map(([type, flags, stream, bytes]) => frame(type, flags, stream, Buffer.alloc(bytes, 5)));
    const parts = fc.array(fc.oneof({ weight: 9, arbitrary: small }, { weight: 1, arbitrary: other }), {
      ...{ minLength: 20, maxLength: 200, size: 'max' },
    });
    let tried = 0;
    fc.assert(
      fc.property(parts, fc.nat(1200), (frames, cut) => {
        const lead = many(3, (i) => data(1, 200, i));
        const whole = Buffer.concat([...lead, ...frames]);
        const read = whole.subarray(0, Math.max(700, whole.length - cut));
        const joined = join([read]);
        if (joined.isTried) tried++;
        const before = framesOf(read);
        const rest = before.reduce((at, { payload }) => at + HEAD + payload.length, 0);
        assert.deepEqual(meaning(joined.frames), meaning(before));
        assert.deepEqual(joined.rest, read.subarray(rest));
        assert.ok(joined.octets <= read.length);
        for (const { type, payload } of joined.frames) assert.ok(type !== 0 || payload.length <= 16_384);
      }),
      { numRuns: 300 },
    );
    assert.ok(tried > 100, `${tried} were joined`);
  });
});
