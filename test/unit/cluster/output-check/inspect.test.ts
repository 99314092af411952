import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toHalf } from '../../../../proto/datatypes.js';
import type { InferTensor } from '../../../../proto/messages.js';
import { ANSWER_READERS } from '../../../../sidecar/cluster/output-check/answer-readers.js';
import { MAX_RUNS, RUN } from '../../../../sidecar/cluster/output-check/odd-numbers.js';
import { MODEL_INFER } from '../../../../sidecar/codec/inference.js';
import { grpcMessage } from '../../../kit/http2/h2-frames.js';
import { anAnswer, anAnswerOf } from '../../../kit/service/infer-answers.js';
import { kept } from '../../../kit/service/infer-requests.js';

const SEED = 7;
const inspectAnswer = ANSWER_READERS.get(MODEL_INFER)!;
const flawOf = (body: Buffer, frame?: number) => inspectAnswer(kept(body, frame), SEED)?.flaw;

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Scores with one that is none. */
function withNaN(count: number, at: number): Float32Array {
  const scores = new Float32Array(count);
  scores[at] = Number.NaN;
  return scores;
}

const rawOf = (datatype: string, array: ArrayBufferView, count: number): Buffer =>
  anAnswerOf([{ name: 'y', datatype, shape: [1, count] }], [bytesOf(array)]);

describe('An answer of ModelInfer under inspection', () => {
  it('is known by its model and the form of its outputs, in any order', () => {
    const body = anAnswerOf(
      [
        { name: 'b', datatype: 'FP32', shape: [2, 3] },
        { name: 'a', datatype: 'INT64', shape: [2] },
      ],
      [new Uint8Array(24), new Uint8Array(16)],
    );
    const found = inspectAnswer(kept(body), SEED);
    assert.deepEqual(
      [found?.model, found?.shape, found?.flaw],
      ['["digits","1"]', '"a" INT64[], "b" FP32[3]', ''],
    );
  });

  it('has a flaw where one number is NaN, wherever that is and however the answer is cut', () => {
    const cases = fc.tuple(
      fc.integer({ min: 2, max: 12_000 }),
      fc.nat(),
      fc.integer({ min: 4_096, max: 9_001 }),
    );
    fc.assert(
      fc.property(cases, ([count, at, frame]) => {
        const body = anAnswerOf(
          [{ name: 'y', datatype: 'FP32', shape: [count] }],
          [bytesOf(withNaN(count, at % count))],
        );
        assert.equal(flawOf(body, frame), `output "y": 1 of ${count} numbers are NaN or infinite`);
      }),
      { numRuns: 60 },
    );
  });

  for (const [datatype, good, bad] of [
    ['FP32', Float32Array.of(1, -3.4e38), Float32Array.of(1, Number.NEGATIVE_INFINITY)],
    ['FP64', Float64Array.of(1, 1.7e308), Float64Array.of(1, Number.NaN)],
    ['FP16', Uint16Array.of(toHalf(1), toHalf(65_504)), Uint16Array.of(toHalf(1), toHalf(Number.NaN))],
    ['BF16', Uint16Array.of(0x3f80, 0x7f7f), Uint16Array.of(0x3f80, 0x7f80)],
  ] as const) {
    it(`is read in ${datatype}, to its largest number`, () => {
      assert.equal(flawOf(rawOf(datatype, good, 2)), '');
      assert.equal(flawOf(rawOf(datatype, bad, 2)), 'output "y": 1 of 2 numbers are NaN or infinite');
    });
  }

  const contents = (more: InferTensor['contents'], datatype: string, shape: number[]): Buffer =>
    anAnswerOf([{ name: 'y', datatype, shape, contents: more! }]);

  it('is read in typed contents as well, small and large', () => {
    const zeros = new Array<number>(10_000).fill(0);
    assert.equal(flawOf(contents({ fp32_contents: [0, 1] }, 'FP32', [2])), '');
    assert.match(flawOf(contents({ fp32_contents: [0, Number.NaN] }, 'FP32', [2]))!, /^output "y": 1 of 2 /);
    assert.equal(flawOf(contents({ fp64_contents: zeros }, 'FP64', [10_000])), '');
    assert.match(flawOf(contents({ fp64_contents: [...zeros, Infinity] }, 'FP64', [10_001]))!, /1 of 10001 /);
    assert.equal(flawOf(contents({ int64_contents: ['7'] }, 'INT64', [1])), '');
    assert.equal(
      flawOf(contents({ int64_contents: ['7'] }, 'INT64', [2])),
      'output "y" does not fit its shape',
    );
  });

  for (const [what, body, flaw] of [
    ['is shorter than its shape', rawOf('FP32', new Float32Array(3), 4), 'does not fit its shape'],
    ['is longer than its shape', rawOf('INT32', new Int32Array(5), 4), 'does not fit its shape'],
    ['has nothing in it', contents({}, 'FP32', [2]), 'does not fit its shape'],
    ['has a negative size', contents({}, 'FP32', [-1]), 'has no shape that there is'],
    ['has too many elements', contents({}, 'FP32', [2 ** 40, 2 ** 40]), 'has no shape that there is'],
    ['has an unknown datatype', contents({}, 'FP31', [1]), 'has no datatype that there is'],
    ['has a third truth', rawOf('BOOL', Uint8Array.of(1, 2), 2), 'does not fit its shape'],
    ['has a text that is cut off', rawOf('BYTES', Uint8Array.of(9, 0, 0, 0, 1), 1), 'does not fit its shape'],
  ] as const) {
    it(`has a flaw where an output ${what}`, () => assert.equal(flawOf(body), `output "y" ${flaw}`));
  }

  it('with many texts is stepped over, and found cut off', () => {
    const text = Buffer.from([7, 0, 0, 0, ...Buffer.from('letters')]);
    const raw = Buffer.concat(Array.from({ length: 500 }, () => text));
    assert.equal(flawOf(rawOf('BYTES', raw, 500), 4_097), '');
    assert.equal(flawOf(rawOf('BYTES', raw.subarray(1), 500), 4_097), 'output "y" does not fit its shape');
  });

  describe('that is large', () => {
    const MANY = 1_000_000;

    it('shows a stretch of NaN that is as long as one part of the sample and one run', () => {
      const scores = new Float32Array(MANY);
      const part = Math.ceil(MANY / MAX_RUNS);
      scores.fill(Number.NaN, 123_456, 123_456 + 2 * part);
      const found = flawOf(rawOf('FP32', scores, MANY), 65_536);
      assert.match(
        found!,
        /^output "y": \d+ of 16384 numbers looked at \(it has 1000000\) are NaN or infinite$/,
      );
    });

    it('is searched to the end for what the sample missed', () => {
      for (const at of [0, 65_535, 65_536, 999_999]) {
        const found = inspectAnswer(kept(rawOf('FP32', withNaN(MANY, at), MANY), 65_536), SEED)!;
        let steps = 0;
        let isOdd = found.rest!.step();
        for (; isOdd === undefined; steps++) isOdd = found.rest!.step();
        assert.equal(isOdd, true, `${at}`);
        assert.ok(steps <= 31);
      }
      const clean = inspectAnswer(kept(rawOf('FP32', new Float32Array(MANY), MANY), 65_536), SEED)!;
      let isOdd: boolean | undefined;
      do isOdd = clean.rest!.step();
      while (isOdd === undefined);
      assert.equal(isOdd, false);
    });

    it('is looked at in the same places with the same seed, and in others with another', () => {
      const every = new Float32Array(MANY);
      for (let i = 0; i < MANY; i += 1_000) every[i] = Number.NaN;
      const body = kept(rawOf('FP32', every, MANY), 65_536);
      const flaws = [3, 3, 4].map((seed) => inspectAnswer(body, seed)?.flaw);
      assert.equal(flaws[0], flaws[1]);
      assert.notEqual(flaws[0], flaws[2]);
    });

    it('and fits into the sample is read whole, with nothing left to search', () => {
      const count = MAX_RUNS * RUN;
      const found = inspectAnswer(kept(rawOf('FP32', withNaN(count, count - 1), count), 65_536), SEED)!;
      assert.deepEqual(
        [found.rest, found.flaw],
        [null, `output "y": 1 of ${count} numbers are NaN or infinite`],
      );
    });
  });

  describe('that is none', () => {
    const answer = anAnswer([1, 2, 3]);
    const prefixed = (length: number): Buffer => {
      const body = Buffer.from(answer);
      body.writeUInt32BE(length, 1);
      return body;
    };

    for (const [what, body] of [
      ['is empty', Buffer.alloc(0)],
      ['is shorter than a prefix', answer.subarray(0, 4)],
      ['is compressed', Buffer.concat([Buffer.of(1), answer.subarray(1)])],
      ['says in its prefix that it is longer than it is', prefixed(answer.length - 4)],
      ['says in its prefix that it is shorter than it is', prefixed(answer.length - 6)],
      ['says in its prefix that it has 4 GiB', prefixed(0xffffffff)],
      ['is text', grpcMessage(Buffer.from('no message'))],
      [
        'says that a field is longer than it is',
        grpcMessage(Buffer.from([0x2a, 0xff, 0xff, 0xff, 0xff, 0x7f])),
      ],
      ['has a length of more than ten bytes', grpcMessage(Buffer.alloc(40, 0xff))],
      ['has very many fields', grpcMessage(Buffer.alloc(1 << 20, Buffer.from([0x32, 0])))],
      [
        'has very many dimensions',
        grpcMessage(Buffer.from([0x2a, 0x84, 0x10, 0x1a, 0x80, 0x10, ...Buffer.alloc(2_050, 1)])),
      ],
    ] as const) {
      it(`as it ${what} is not read`, () => assert.equal(inspectAnswer(kept(body), SEED), undefined));
    }

    it('for its bytes are out of chance never throws', () => {
      const noise = fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.nat(answer.length - 1));
      fc.assert(
        fc.property(noise, ([bytes, at]) => {
          const changed = Buffer.from(answer);
          for (const [i, byte] of bytes.entries()) changed[5 + ((at + i * 7) % (answer.length - 5))] = byte;
          inspectAnswer(kept(changed), SEED);
          inspectAnswer(kept(grpcMessage(Buffer.from(bytes))), SEED);
        }),
        { numRuns: 500 },
      );
    });
  });
});
