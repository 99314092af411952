import assert from 'node:assert/strict';
import type { Tensor, TensorSpec } from '../../../../../proto/datatypes.js';
import { probeBatching } from '../../../../../services/model-server/authoring/batching-probe.js';

const spec = (name: string, rows: number): TensorSpec => ({
  name,
  datatype: 'FP32',
  shape: [rows, 2],
  symbols: [undefined, undefined],
});
const row: Tensor = { datatype: 'FP32', dims: [1, 2], data: Float32Array.of(0.25, 0.5) };

/** A model on a clock of its own: what it costs is said by the number of rows. */
function model(costMs: (rows: number) => number, rows = -1, mixes = false) {
  let clock = 0;
  const session = {
    inputs: [spec('x', rows)],
    outputs: [spec('y', rows)],
    run: async ([x]: readonly Tensor[]): Promise<Tensor[]> => {
      const data = x!.data as Float32Array;
      clock += costMs(x!.dims[0]!);
      return [{ ...x!, data: mixes ? data.map((v) => v + data.length) : data.map((v) => 2 * v) }];
    },
  };
  return probeBatching(session, [row], () => clock);
}

describe('the batching probe', () => {
  it('takes the larger batch where a row gets cheaper still, with the measurement in a sentence', async () => {
    const { maxBatch, because } = await model((rows) => 10 + rows);
    assert.equal(maxBatch, 32);
    assert.equal(because, '8 requests take 88 ms one after the other, 18 ms as one batch: 4.9 times as fast');
  });

  it('takes the smaller batch where more rows cost more for each', async () => {
    assert.equal((await model((rows) => (rows > 8 ? 100 * rows : 10 + rows))).maxBatch, 8);
  });

  it('leaves batching off where it does not help', async () => {
    const { maxBatch, because } = await model((rows) => 5 * rows);
    assert.equal(maxBatch, 1);
    assert.match(
      because,
      /^it does not help: 8 requests take 40 ms one after the other, 40 ms as one batch$/,
    );
  });

  it('leaves it off where rows see each other, and where the number of rows is fixed', async () => {
    assert.match((await model(() => 1, -1, true)).because, /^batching: output 'y', element 0: found/);
    assert.match(
      (await model(() => 1, 1)).because,
      /'x' has shape \[1,2\], expected a first dimension of any size/,
    );
  });
});
