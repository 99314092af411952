import assert from 'node:assert/strict';
import { boxesOf, boxText } from '../../../../../sidecar/cli/infer/answers/boxes.js';
import type { Output } from '../../../../../sidecar/cli/infer/output.js';

const output = (datatype: string, shape: number[], data: (number | string)[]): Output => ({
  name: 'any',
  datatype,
  shape,
  data,
});

describe('boxes', () => {
  it('come with the text and the score that stand beside them, whatever the outputs are called', () => {
    const outputs = [
      output('BYTES', [2], ['one', 'two']),
      output('FP32', [2], [0.5, 0.25]),
      output('FP32', [2, 4], [0, 1, 2, 3, 4, 5, 6, 7]),
    ];
    const boxes = boxesOf(outputs)!;
    assert.deepEqual(boxes[1], { box: [4, 5, 6, 7], text: 'two', score: 0.25 });
    assert.match(boxText(boxes), /^one +50\.0 % +0 1 2 3$/m);
  });

  it('may be corners', () => {
    assert.deepEqual(boxesOf([output('INT32', [1, 4, 2], [0, 0, 9, 0, 9, 5, 0, 5])]), [
      { box: [0, 0, 9, 0, 9, 5, 0, 5] },
    ]);
  });

  it('may be none', () => {
    assert.equal(boxText(boxesOf([output('FP32', [0, 4], [])])!), 'nothing found');
    assert.equal(boxesOf([output('FP32', [3], [1, 2, 3])]), undefined);
  });
});
