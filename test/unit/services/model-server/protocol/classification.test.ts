import assert from 'node:assert/strict';
import { type Tensor, toHalf } from '../../../../../proto/datatypes.js';
import { classCounts, classify } from '../../../../../services/model-server/protocol/classification.js';

const fp32 = (dims: number[], ...values: number[]): Tensor => ({
  datatype: 'FP32',
  dims,
  data: Float32Array.from(values),
});

describe('classification of an output', () => {
  it('gives the k largest, the lower index first of equals, with six digits', () => {
    const tensor = fp32([4], 0.5, 2, 0.5, 0.25);
    assert.deepEqual(classify(tensor, { count: 3, labels: undefined, isBatched: false }), {
      datatype: 'BYTES',
      dims: [3],
      data: ['2.000000:1', '0.500000:0', '0.500000:2'],
    });
  });

  it('writes numbers as Triton does, whatever their size, and integers without a point', () => {
    const all = (tensor: Tensor) =>
      classify(tensor, { count: 9, labels: undefined, isBatched: false }).data as string[];
    const { POSITIVE_INFINITY, NEGATIVE_INFINITY, NaN: NAN } = Number;
    assert.deepEqual(all(fp32([5], 0, 2 ** 70, NAN, NEGATIVE_INFINITY, POSITIVE_INFINITY)), [
      'inf:4',
      `${2n ** 70n}.000000:1`,
      '0.000000:0',
      '-inf:3',
      'nan:2',
    ]);
    assert.deepEqual(all({ datatype: 'INT64', dims: [2], data: BigInt64Array.of(-1n, 2n ** 60n) }), [
      `${2n ** 60n}:1`,
      '-1:0',
    ]);
    assert.deepEqual(all({ datatype: 'UINT8', dims: [1], data: Uint8Array.of(7) }), ['7:0']);
  });

  it('gives labels, and each row of a batch its own', () => {
    const tensor = fp32([2, 3], 1, 2, 3, 3, 2, 1);
    const { dims, data } = classify(tensor, { count: 1, labels: ['a', 'b', 'c'], isBatched: true });
    assert.deepEqual(
      [dims, data],
      [
        [2, 1],
        ['3.000000:2:c', '3.000000:0:a'],
      ],
    );
  });

  it('gives no more classes than there are, and none of an empty batch', () => {
    assert.equal(classify(fp32([2], 1, 2), { count: 9, labels: undefined, isBatched: false }).data.length, 2);
    assert.deepEqual(classify(fp32([0, 3]), { count: 2, labels: undefined, isBatched: true }), {
      datatype: 'BYTES',
      dims: [0, 0],
      data: [],
    });
  });

  it('puts what is no number last', () => {
    const { data } = classify(fp32([3], Number.NaN, -1, Number.NEGATIVE_INFINITY), {
      count: 3,
      labels: undefined,
      isBatched: false,
    });
    assert.deepEqual(data, ['-1.000000:1', '-inf:2', 'nan:0']);
  });

  it('takes integers of 64 bits and half precision', () => {
    const wide: Tensor = { datatype: 'INT64', dims: [2], data: BigInt64Array.of(2n ** 62n, 2n ** 62n + 1n) };
    const one = { count: 1, labels: undefined, isBatched: false };
    assert.deepEqual(classify(wide, one).data, ['4611686018427387905:1']);
    const half: Tensor = { datatype: 'FP16', dims: [2], data: Uint16Array.of(toHalf(-1), toHalf(0.5)) };
    assert.deepEqual(classify(half, one).data, ['0.500000:1']);
  });

  it('is asked for by a whole number from 1; 0 asks for nothing', () => {
    const count = (classification: object) =>
      classCounts('m', [{ name: 'o', parameters: { classification } }] as never)[0];
    assert.equal(count({ int64_param: 3 }), 3);
    assert.equal(count({ uint64_param: '4' }), 4);
    assert.equal(count({ int64_param: 0 }), undefined);
    assert.deepEqual(classCounts('m', [{ name: 'o' }]), [undefined]);
    for (const wrong of [{ int64_param: -1 }, { string_param: '3' }, { double_param: 1.5 }, {}])
      assert.throws(
        () => count(wrong),
        /model 'm', output 'o': found classification .*, expected an integer from 1/,
      );
  });
});
