import assert from 'node:assert/strict';
import type { Tensor } from '../../../../../proto/datatypes.js';
import { goldenData } from '../../../../../proto/golden-values.js';
import { fromValues } from '../../../../../proto/tensors.js';
import { goldenText } from '../../../../../services/model-server/authoring/golden-block.js';
import { parseCard } from '../../../../../services/model-server/models/card.js';

const ofOne = (values: readonly (number | bigint | boolean | string)[], datatype: Tensor['datatype']) => {
  return { datatype, dims: [values.length], data: fromValues(values, datatype, 'x') } satisfies Tensor;
};

/** What a card with the golden block of this tensor gives back, as its input and as its output. */
function roundTrip(tensor: Tensor) {
  const spec = { name: 'x', datatype: tensor.datatype, shape: [-1], symbols: [undefined] };
  const run = { inputs: [spec], outputs: [spec], given: [tensor], results: [tensor] };
  const { inputs, outputs } = parseCard(goldenText(run, '')).golden;
  return [inputs, outputs].map((side) => goldenData(side['x']!.values, tensor.datatype, 'x'));
}

describe('the golden block of a card', () => {
  for (const length of [1, 100])
    for (const [datatype, value] of [
      ['INT64', 9007199254740993n],
      ['INT64', -(2n ** 63n)],
      ['UINT64', 2n ** 64n - 1n],
      ['UINT32', 4294967295],
      ['INT32', -123456789],
      ['FP64', 0.1234567890123456],
      ['FP64', 1e20],
      ['FP32', 2 ** 70],
      ['BOOL', true],
      ['BYTES', 'a "b"\n'],
    ] as const)
      it(`gives ${value} of ${datatype} back exactly, among ${length}`, () => {
        const tensor = ofOne(new Array(length).fill(value), datatype);
        assert.deepEqual(roundTrip(tensor), [tensor.data, tensor.data]);
      });

  it('writes single precision with the digits that it has', () => {
    const text = goldenText(
      {
        inputs: [],
        outputs: [{ name: 'y', datatype: 'FP32', shape: [2], symbols: [undefined] }],
        given: [],
        results: [ofOne([0.1, 3], 'FP32')],
      },
      '',
    );
    assert.match(text, /values: \[0\.1, 3\]/);
  });
});
