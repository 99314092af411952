import assert from 'node:assert/strict';
import type { Datatype, TensorSpec } from '../../../../../proto/datatypes.js';
import { attemptsFor, seededInputs } from '../../../../../services/model-server/authoring/seeded-inputs.js';

const spec = (datatype: Datatype, ...dims: (number | string)[]): TensorSpec => ({
  name: 'x',
  datatype,
  shape: dims.map((d) => (typeof d === 'number' ? d : -1)),
  symbols: dims.map((d) => (typeof d === 'string' && d !== '' ? d : undefined)),
});
const attempt = { size: 8, maxInteger: 3, maxByte: 255 };
const made = (inputs: TensorSpec[], sizes: Record<string, number> = {}, seed = 1) =>
  seededInputs(inputs, { sizes, attempt, seed });
const dimsOf = (inputs: TensorSpec[], sizes: Record<string, number> = {}) =>
  made(inputs, sizes).map(({ dims }) => dims.join());

describe('inputs from seeds', () => {
  it('have one row, the size of the attempt elsewhere, and one size for each name', () => {
    assert.deepEqual(dimsOf([spec('FP32', 'n', 4, 'width'), spec('FP32', 'n'), spec('FP32')]), [
      '1,4,8',
      '1',
      '',
    ]);
    assert.deepEqual(dimsOf([spec('FP32', 'samples'), spec('FP32', '', '')]), ['8', '1,8']);
  });

  it('have the sizes that are given, rows included', () => {
    assert.deepEqual(dimsOf([spec('INT64', 'n', 'length')], { n: 2, length: 5 }), ['2,5']);
  });

  it('are the same for the same seed, and others for another', () => {
    const inputs = [spec('FP32', 64)];
    assert.deepEqual(made(inputs), made(inputs));
    assert.notDeepEqual(made(inputs, {}, 1), made(inputs, {}, 2));
  });

  it('keep integers small, bytes in their range, floats from 0 to 1, and text in words', () => {
    const range = (datatype: Datatype): [number, number] => {
      const numbers = Array.from(made([spec(datatype, 500)])[0]!.data as Float32Array, Number);
      return [Math.min(...numbers), Math.max(...numbers)];
    };
    for (const datatype of ['INT64', 'INT32', 'UINT16'] as const) assert.deepEqual(range(datatype), [0, 3]);
    assert.deepEqual(range('BOOL'), [0, 1]);
    assert.ok(range('UINT8')[1] > 200);
    const [low, high] = range('FP32');
    assert.ok(low >= 0 && high <= 1 && high - low > 0.9, `${low} ${high}`);
    assert.ok((made([spec('BYTES', 3)])[0]!.data as string[]).every((word) => /^[a-z]+$/.test(word)));
  });

  it('are tried in more sizes only where one is free, and with smaller integers only where there are some', () => {
    assert.equal(attemptsFor([spec('FP32', 1, 4)], {}).length, 1);
    assert.equal(attemptsFor([spec('INT64', 1, 4)], {}).length, 3);
    assert.equal(attemptsFor([spec('INT64', 'n', 4)], { n: 1 }).length, 3);
    const sizes = new Set(attemptsFor([spec('FP32', 'n', 'width')], {}).map(({ size }) => size));
    assert.ok(sizes.has(8) && sizes.has(224), [...sizes].join());
  });
});
