import assert from 'node:assert/strict';
import { Safetensors } from '../../../../services/embed/safetensors.js';

const header = (entries: unknown, length?: number): Buffer => {
  const text = Buffer.from(JSON.stringify(entries));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(length ?? text.length));
  return Buffer.concat([size, text]);
};
const floats = (...values: number[]): Buffer => Buffer.from(new Float32Array(values).buffer);

describe('a safetensors file', () => {
  const entries = {
    __metadata__: { format: 'pt' },
    a: { dtype: 'F32', shape: [2, 1], data_offsets: [0, 8] },
    b: { dtype: 'F32', shape: [], data_offsets: [8, 12] },
    ids: { dtype: 'I64', shape: [1], data_offsets: [8, 16] },
    short: { dtype: 'F32', shape: [3], data_offsets: [0, 8] },
    beyond: { dtype: 'F32', shape: [2], data_offsets: [12, 20] },
  };
  const file = Buffer.concat([header(entries), floats(1.5, -2, 7, 0)]);

  it('gives tensors by their names', () => {
    const tensors = new Safetensors(file);
    assert.deepEqual([...tensors.floats('a')], [1.5, -2]);
    assert.deepEqual([...tensors.floats('b')], [7]);
    assert.deepEqual(tensors.get('a').shape, [2, 1]);
    assert.deepEqual([tensors.has('a'), tensors.has('toString')], [true, false]);
  });

  it('gives numbers that are a copy', () => {
    const tensors = new Safetensors(file);
    tensors.floats('a').fill(0);
    assert.deepEqual([...tensors.floats('a')], [1.5, -2]);
  });

  for (const [name, message] of [
    ['gone', 'safetensors: there is no tensor gone'],
    ['ids', 'safetensors: ids is I64, expected F32'],
    ['short', 'safetensors: short has bytes 0 to 8 of 16, expected 12 of them'],
    ['beyond', 'safetensors: beyond has bytes 12 to 20 of 16, expected 8 of them'],
  ] as const) {
    it(`refuses a tensor: ${message}`, () => {
      assert.throws(() => new Safetensors(file).get(name), { message });
    });
  }

  it('refuses a file that is none', () => {
    for (const wrong of [Buffer.alloc(3), header({}, 1000), header({}, 2 ** 40)])
      assert.throws(() => new Safetensors(wrong), /^Error: no safetensors: found a header of -?\d+ bytes/);
  });
});
