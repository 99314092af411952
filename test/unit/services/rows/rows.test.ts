import assert from 'node:assert/strict';
import { Rows } from '../../../../services/rows/rows.js';
import { requestOf, textTensor } from '../../../kit/service/model-context.js';

describe('requests as rows of one run', () => {
  it('are put together in their order, and each gets its own rows back', () => {
    const requests = [['a', 'b'], [], ['c']].map((texts) => requestOf({ text: textTensor(...texts) }));
    const rows = Rows.of(requests, 'text');
    assert.deepEqual(rows.texts, ['a', 'b', 'c']);
    const answers = rows.answers({
      name: { datatype: 'BYTES', dims: [3], data: ['A', 'B', 'C'] },
      pair: { datatype: 'FP32', dims: [3, 2], data: new Float32Array([1, 2, 3, 4, 5, 6]) },
    });
    assert.deepEqual(
      answers.map(({ outputs }) => outputs['name']!.data),
      [['A', 'B'], [], ['C']],
    );
    assert.deepEqual(
      answers.map(({ outputs }) => [outputs['pair']!.dims, [...outputs['pair']!.data]]),
      [
        [
          [2, 2],
          [1, 2, 3, 4],
        ],
        [[0, 2], []],
        [
          [1, 2],
          [5, 6],
        ],
      ],
    );
  });

  it('cut a list of one element a row', () => {
    const requests = [['a', 'b'], [], ['c']].map((texts) => requestOf({ text: textTensor(...texts) }));
    const rows = Rows.of(requests, 'text');
    assert.deepEqual(
      [0, 1, 2].map((request) => rows.of(request, [1, 2, 3])),
      [[1, 2], [], [3]],
    );
  });

  it('do not share memory with the run', () => {
    const data = new Float32Array([1, 2]);
    const [answer] = Rows.of([requestOf({ text: textTensor('a', 'b') })], 'text').answers({
      y: { datatype: 'FP32', dims: [2], data },
    });
    data.fill(0);
    assert.deepEqual([...answer!.outputs['y']!.data], [1, 2]);
  });
});
