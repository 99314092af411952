import assert from 'node:assert/strict';
import type { ModelMetadataResponse } from '../../../../proto/messages.js';
import { requestsOf } from '../../../../sidecar/cli/infer/request.js';

const metadata = (shape: number[]): ModelMetadataResponse => ({
  name: 'm',
  versions: [],
  platform: '',
  inputs: [
    { name: 'x', datatype: 'FP32', shape },
    { name: 'rate', datatype: 'INT32', shape: [] },
  ],
  outputs: [],
  properties: {},
});
const given = [
  {
    name: 'x',
    tensor: { datatype: 'FP32', dims: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
    rowNames: [],
  },
  { name: 'rate', tensor: { datatype: 'INT32', dims: [], data: Int32Array.of(7) }, rowNames: [] },
] as const;
const requests = (shape: number[]) => requestsOf(given, metadata(shape), { model: 'm', version: '' });

describe('the requests for an input', () => {
  it('are one where the model takes all rows at once', () => {
    const [only, ...others] = requests([-1, 2]);
    assert.equal(others.length, 0);
    assert.equal(only!.parameters, undefined);
    assert.deepEqual(only!.inputs![0]!.shape, [3, 2]);
  });

  it('are a sequence of windows where it takes one at a time; what has no windows goes with each', () => {
    for (const shape of [[1, 2], [2]]) {
      const all = requests(shape);
      assert.deepEqual(
        all.map(({ parameters }) => [parameters!['sequence_start'], parameters!['sequence_end']]),
        [
          [{ bool_param: true }, { bool_param: false }],
          [{ bool_param: false }, { bool_param: false }],
          [{ bool_param: false }, { bool_param: true }],
        ],
      );
      assert.equal(new Set(all.map(({ parameters }) => parameters!['sequence_id']!.string_param)).size, 1);
      const second = all[1]!;
      assert.deepEqual(
        second.inputs!.map((input) => input.shape),
        [shape, []],
      );
      const [x, rate] = second.raw_input_contents!.map((raw) => Buffer.from(raw));
      assert.deepEqual([x!.readFloatLE(0), x!.readFloatLE(4), rate!.readInt32LE(0)], [3, 4, 7]);
    }
  });
});
