import assert from 'node:assert/strict';
import { goldenData, numbersOfBlock } from '../../../proto/golden-values.js';

describe('the values of a golden block', () => {
  it('are numbers, but integers that a number cannot hold, which stay text', () => {
    const words = ['1', '-0.5', '1e3', '9007199254740991', '9007199254740993', '-18446744073709551615'];
    const numbers = numbersOfBlock(` ${words.join(' \n')}`, assert.fail);
    assert.deepEqual(numbers, [1, -0.5, 1000, 9007199254740991, ...words.slice(4)]);
  });

  it('of a block with a word that is no number are refused by that word', () => {
    const problems: string[] = [];
    numbersOfBlock('1 two 3 four', (problem) => problems.push(problem));
    assert.deepEqual(problems, ["found 'two', expected numbers"]);
  });

  it('are exact for 64 bits, numbers for other datatypes, and text for BYTES', () => {
    const values = ['9007199254740993', 5];
    assert.deepEqual(goldenData(values, 'INT64', 'x'), BigInt64Array.of(9007199254740993n, 5n));
    assert.deepEqual(goldenData(values, 'FP64', 'x'), Float64Array.of(9007199254740992, 5));
    assert.deepEqual(goldenData(values, 'BYTES', 'x'), ['9007199254740993', '5']);
  });

  it('are refused where they are no numbers of the datatype', () => {
    assert.throws(() => goldenData(['one'], 'FP32', 'x'), /x: FP32 element 0: found one, expected a number/);
    assert.throws(() => goldenData(['999'], 'INT8', 'x'), /expected an integer from -128 to 127/);
  });
});
