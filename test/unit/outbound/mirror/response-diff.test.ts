import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toHalf } from '../../../../proto/datatypes.js';
import { type Comparison, compareResponses } from '../../../../sidecar/outbound/mirror/response-diff.js';
import { grpcMessage } from '../../../kit/http2/h2-frames.js';
import { runs } from '../../../kit/mocha/effort.js';
import { anAnswer, anAnswerOf } from '../../../kit/service/infer-answers.js';
import { kept } from '../../../kit/service/infer-requests.js';

const TOLERANCE = 1e-3;

function compare(call: Buffer, copy: Buffer, tolerance = TOLERANCE): Comparison {
  return compareResponses(kept(call), kept(copy), { tolerance, seed: 1 });
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

describe('Two answers of ModelInfer', () => {
  const same = { kind: 'same', argmax: true } as const;
  const differs = (about: 'values' | 'shape' | 'unreadable', why: string, more = {}) =>
    ({ kind: 'differs', about, why, ...more }) as const;
  const values = (why: string, argmax: boolean) => differs('values', `output "scores": ${why}`, { argmax });
  const { NaN: none, POSITIVE_INFINITY: infinite } = Number;
  const others = '1 of 1 largest classes are others';

  for (const [what, call, copy, expected] of [
    ['the same', [0.1, 0.9], [0.1, 0.9], same],
    ['within the tolerance', [0.1, 0.9], [0.1009, 0.9], same],
    ['within it, relative beyond 1', [1000, 2000], [1000.9, 2001], same],
    ['both no number', [none, 1], [none, 1], same],
    ['both infinite', [infinite, 1], [infinite, 1], same],
    ['two classes alike, in the other order', [0.5, 0.5001], [0.5001, 0.5], same],
    ['one class only', [3], [3], { kind: 'same' }],
    ['a number that differs', [0.1, 0.9], [0.2, 0.9], values('1 of 2 elements differ, by up to 0.1', true)],
    [
      'another largest class',
      [0.1, 0.9],
      [0.9, 0.1],
      values(`2 of 2 elements differ, by up to 0.8; ${others}`, false),
    ],
    [
      'no number where there was one',
      [0.1, 0.9],
      [0.1, none],
      values(`1 of 2 elements differ; ${others}`, false),
    ],
    [
      'another number of classes',
      [0.1, 0.9],
      [0.1, 0.8, 0.1],
      differs('shape', 'output "scores" has 1×2 elements, and 1×3 in the copy'),
    ],
  ] as const) {
    it(`with ${what}`, () => {
      assert.deepEqual(compare(anAnswer(call), anAnswer(copy)), expected);
    });
  }

  const isDifferent = (
    call: Buffer,
    copy: Buffer,
    [about, why]: readonly ['values' | 'shape', string],
  ): void => assert.deepEqual(compare(call, copy), differs(about, why));

  it('have their largest classes by row', () => {
    const shape = [2, 2];
    const found = compare(anAnswer([0, 1, 1, 0], { shape }), anAnswer([0, 1, 0, 1], { shape }));
    assert.ok(found.kind === 'differs');
    assert.match(found.why, /1 of 2 largest classes are others$/);
  });

  it('are told apart by output, in any order, with outputs that only the copy has', () => {
    const [one, two] = [
      { name: 'one', datatype: 'INT64', shape: [2] },
      { name: 'two', datatype: 'BYTES', shape: [1], contents: { bytes_contents: [Buffer.from('seven')] } },
    ];
    const labels = { ...one!, contents: { int64_contents: ['9007199254740993', '1'] } };
    const others = { ...one!, contents: { int64_contents: ['9007199254740992', '1'] } };
    assert.deepEqual(compare(anAnswerOf([labels, two!]), anAnswerOf([two!, labels])), { kind: 'same' });
    assert.deepEqual(compare(anAnswerOf([labels]), anAnswerOf([two!, labels])), { kind: 'same' });
    isDifferent(anAnswerOf([labels, two!]), anAnswerOf([labels]), [
      'shape',
      'output "two" is missing in the copy',
    ]);
    isDifferent(anAnswerOf([labels]), anAnswerOf([others]), [
      'values',
      'output "one": 1 of 2 elements differ',
    ]);
  });

  it('may be raw or typed, and are not alike in another datatype', () => {
    const shape = [1, 2];
    const typed = anAnswerOf([
      { name: 'scores', datatype: 'FP32', shape, contents: { fp32_contents: [0.1, 0.9] } },
    ]);
    assert.deepEqual(compare(anAnswer([0.1, 0.9]), typed), { kind: 'same', argmax: true });
    const wide = anAnswerOf(
      [{ name: 'scores', datatype: 'FP64', shape }],
      [bytesOf(Float64Array.from([0.1, 0.9]))],
    );
    isDifferent(anAnswer([0.1, 0.9]), wide, ['shape', 'output "scores" is FP32, and FP64 in the copy']);
  });

  it('may be of half precision', () => {
    const half = (...values: number[]) =>
      anAnswerOf(
        [{ name: 'x', datatype: 'FP16', shape: [values.length] }],
        [bytesOf(Uint16Array.from(values, toHalf))],
      );
    const brain = (...bits: number[]) =>
      anAnswerOf([{ name: 'x', datatype: 'BF16', shape: [bits.length] }], [bytesOf(Uint16Array.from(bits))]);
    assert.deepEqual(compare(half(1, 2), half(1, 2)), { kind: 'same', argmax: true });
    const found = compare(half(1, 2), half(3, 2));
    assert.ok(found.kind === 'differs' && found.argmax === false);
    assert.match(found.why, /by up to 2;/);
    // 1.0 and 2.0, then −1.0 and 2.0.
    const other = compare(brain(0x3f80, 0x4000), brain(0xbf80, 0x4000));
    assert.ok(other.kind === 'differs' && other.argmax === true);
    assert.match(other.why, /1 of 2 elements differ, by up to 2$/);
  });

  it('are not compared when compressed, or when the call’s own is none', () => {
    const answer = anAnswer([1, 2]);
    const packed = Buffer.from(answer);
    packed[0] = 1;
    assert.deepEqual(compare(packed, answer), { kind: 'not-compared', why: 'encoded' });
    assert.deepEqual(compare(answer, packed), { kind: 'not-compared', why: 'encoded' });
    assert.deepEqual(compare(Buffer.from('garbage'), answer), { kind: 'not-compared', why: 'unreadable' });
  });

  it('say nothing dangerous of a hostile name', () => {
    const hostile = anAnswerOf([
      { name: `a"\n${'x'.repeat(5000)}`, datatype: 'INT32', shape: [1], contents: { int_contents: [1] } },
    ]);
    const found = compare(hostile, anAnswerOf([]));
    assert.ok(found.kind === 'differs');
    assert.ok(found.why.length < 120 && !/[\n\r]/.test(found.why));
  });

  it('never throw, whatever they are', () => {
    const valid = anAnswer([0.1, 0.9]);
    const damaged = fc.tuple(fc.nat(valid.length - 1), fc.nat(255)).map(([at, byte]) => {
      const copy = Buffer.from(valid);
      copy[at] = byte;
      return copy;
    });
    const noise = fc.uint8Array({ maxLength: 40 }).map((bytes) => grpcMessage(Buffer.from(bytes)));
    const any = fc.oneof(
      damaged,
      noise,
      fc.uint8Array({ maxLength: 10 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(any, any, (call, copy) => {
        compare(call, copy);
      }),
      { numRuns: runs(400) },
    );
    const huge = anAnswerOf([
      { name: 'x', datatype: 'FP32', shape: ['4294967296', '4294967296'], contents: {} },
      { name: 'y', datatype: 'BYTES', shape: ['9007199254740991'] },
      { name: 'z', datatype: 'FP32', shape: ['-1'] },
    ]);
    assert.deepEqual(compare(valid, huge), differs('unreadable', "the copy's answer cannot be read"));
  });

  describe('that are large', () => {
    const ROWS = 2_000;
    const CLASSES = 100;
    const scores = Array.from({ length: ROWS * CLASSES }, (_, i) => (i * 7) % 101);
    const large = (change: (score: number, i: number) => number, shape = [ROWS, CLASSES]): Buffer =>
      anAnswer(scores.map(change), { shape });
    const ours = large((score) => score);

    it('are the same where no score of the sample differs', () => {
      assert.deepEqual(compare(ours, ours), same);
      assert.deepEqual(
        compare(
          ours,
          large((score) => score + 1e-4),
        ),
        same,
      );
    });

    it('differ where all scores do, and their largest classes are those of whole rows', () => {
      const found = compare(
        ours,
        large((score) => score + 3),
      );
      const why = 'output "scores": 8100 of 8100 elements looked at (it has 200000) differ, by up to 3';
      assert.deepEqual(found, differs('values', why, { argmax: true }));
      const turned = compare(
        ours,
        large((score) => -score),
      );
      assert.equal(turned.kind === 'differs' && turned.argmax, false);
    });

    it('differ in every place that the sample falls on, and in no other', () => {
      const found = compare(
        ours,
        large((score, i) => (i % (2 * CLASSES) < CLASSES ? score : score + 3)),
      );
      const { why } = found as { readonly why: string };
      const count = Number(/: (\d+) of 8100 elements/.exec(why)?.[1]);
      assert.ok(count > 2_000 && count < 6_000, why);
    });

    it('differ in their shape before any score is read', () => {
      const found = compare(
        ours,
        large((score) => score, [CLASSES, ROWS]),
      );
      const why = 'output "scores" has 2000×100 elements, and 100×2000 in the copy';
      assert.deepEqual(found, differs('shape', why));
    });

    it('are compared by runs where a row is longer than the sample', () => {
      const shape = [1, ROWS * CLASSES];
      const [one, other] = [large((score) => score, shape), large((score) => score + 3, shape)];
      assert.equal(compare(one, one).kind, 'same');
      assert.match((compare(one, other) as { why: string }).why, /: 8192 of 8192 elements looked at/);
    });

    it('differ where the copy is short, or none', () => {
      assert.deepEqual(
        compare(ours, anAnswer([1, 2])),
        differs('shape', 'output "scores" has 2000×100 elements, and 1×2 in the copy'),
      );
      const unreadable = differs('unreadable', "the copy's answer cannot be read");
      assert.deepEqual(compare(ours, grpcMessage(Buffer.alloc(300_000, 0xff))), unreadable);
      assert.deepEqual(compare(ours, Buffer.alloc(0)), unreadable);
      assert.deepEqual(compare(anAnswer([1]), grpcMessage(Buffer.alloc(300_000, 0xff))), unreadable);
    });

    it('are not compared where the elements are of no fixed size, or the call’s own is none', () => {
      const text = Buffer.concat(
        Array.from({ length: 10_000 }, () => Buffer.from([4, 0, 0, 0, 65, 66, 67, 68])),
      );
      const texts = anAnswerOf([{ name: 'y', datatype: 'BYTES', shape: [10_000] }], [text]);
      assert.deepEqual(compare(texts, texts), { kind: 'not-compared', why: 'too-large' });
      const none = grpcMessage(Buffer.alloc(300_000, 0xff));
      assert.deepEqual(compare(none, ours), { kind: 'not-compared', why: 'unreadable' });
    });
  });
});
