import assert from 'node:assert/strict';
import type { Tensor } from '../../../../../proto/datatypes.js';
import type { ExecutedJob } from '../../../../../services/model-server/runs/executor.js';
import {
  combine,
  runStacked,
  sameRowShape,
  slice,
} from '../../../../../services/model-server/runs/stacking.js';

const tensor = (dims: number[], ...values: number[]): Tensor => ({
  datatype: 'INT32',
  dims,
  data: Int32Array.from(values),
});
const job = (...inputs: (Tensor | undefined)[]): ExecutedJob => ({
  inputs,
  wanted: [0],
  parameters: {},
  deadlineMs: Number.POSITIVE_INFINITY,
});

describe('requests as one run', () => {
  it('are stacked along the first dimension, numbers and text', () => {
    const text = (...data: string[]): Tensor => ({ datatype: 'BYTES', dims: [data.length], data });
    const [numbers, words] = combine([
      job(tensor([1, 2], 1, 2), text('a')),
      job(tensor([2, 2], 3, 4, 5, 6), text('b', 'c')),
    ]);
    assert.deepEqual(numbers, tensor([3, 2], 1, 2, 3, 4, 5, 6));
    assert.deepEqual(words, text('a', 'b', 'c'));
  });

  it('are cut apart without a copy of numbers', () => {
    const whole = tensor([3, 2], 1, 2, 3, 4, 5, 6);
    const part = slice(whole, 1, 2);
    assert.deepEqual(part, tensor([2, 2], 3, 4, 5, 6));
    assert.equal((part.data as Int32Array).buffer, (whole.data as Int32Array).buffer);
  });

  it('fit when all sizes but the first are the same, and every input has the rows of its request', () => {
    const head = job(tensor([1, 2], 1, 2), tensor([1], 1));
    assert.equal(sameRowShape(head, job(tensor([3, 2]), tensor([3]))), true);
    assert.equal(sameRowShape(head, job(tensor([1, 3]), tensor([1]))), false, 'another width');
    assert.equal(sameRowShape(head, job(tensor([2, 2]), tensor([1]))), false, 'rows that differ');
    assert.equal(sameRowShape(head, job(tensor([1, 2]), undefined)), false, 'an input is left out');
    assert.equal(sameRowShape(job(tensor([2, 2]), tensor([1])), job(tensor([1, 2]), tensor([1]))), false);
  });

  it('give each caller the rows and outputs that it asked for', async () => {
    const network = {
      outputCount: 2,
      run: async ([x]: readonly Tensor[], wanted: readonly number[]) => {
        assert.deepEqual(wanted, [0, 1]);
        const doubled = Int32Array.from(x!.data as Int32Array, (value) => 2 * value);
        return [x!, { ...x!, data: doubled }];
      },
    };
    const answers = await runStacked(network, [
      { ...job(tensor([1], 1)), wanted: [1] },
      { ...job(tensor([2], 2, 3)), wanted: [1, 0] },
    ]);
    assert.deepEqual(answers, [
      { outputs: [tensor([1], 2)] },
      { outputs: [tensor([2], 4, 6), tensor([2], 2, 3)] },
    ]);
  });

  it('fail together when another number of rows comes out than went in', async () => {
    const network = { outputCount: 1, run: async () => [tensor([1], 1)] };
    await assert.rejects(
      runStacked(network, [job(tensor([1], 1)), job(tensor([1], 2))]),
      /another number of rows/,
    );
  });
});
