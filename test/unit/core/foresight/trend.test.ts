import assert from 'node:assert/strict';
import { LastValues, trendOf } from '../../../../sidecar/core/foresight/trend.js';
import { normal } from '../../../kit/core/foresight.js';
import { seeded } from '../../../kit/time/seeded-random.js';

describe('a trend', () => {
  it('is the slope of a line, and all pairs rise', () => {
    const { slope, z } = trendOf([1, 3, 5, 7, 9, 11]);
    assert.equal(slope, 2);
    assert.ok(Math.abs(z - 15 / Math.sqrt((6 * 5 * 17) / 18)) < 1e-9);
    assert.ok(trendOf([3, 2, 1]).z < 0);
  });

  it('is not moved by a third of wild values', () => {
    const values = Array.from({ length: 21 }, (_, i) => (i % 4 === 1 ? 1_000 : i));
    assert.ok(Math.abs(trendOf(values).slope - 1) < 0.3);
  });

  it('is sure of noise as often as chance has it', () => {
    const random = seeded(5);
    let sure = 0;
    for (let run = 0; run < 2_000; run += 1)
      if (trendOf(Array.from({ length: 20 }, () => normal(random))).z > 1.96) sure += 1;
    assert.ok(sure > 20 && sure < 90, String(sure));
  });

  it('is that of the last values', () => {
    const values = new LastValues(3);
    for (const value of [1, 2, 3, 4]) values.add(value);
    assert.deepEqual(
      [values.from(), values.from(1), values.count, values.isFull],
      [[2, 3, 4], [3, 4], 3, true],
    );
    values.clear();
    assert.equal(values.count, 0);
  });
});
