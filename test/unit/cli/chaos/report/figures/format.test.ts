import assert from 'node:assert/strict';
import {
  count,
  duration,
  percent,
  points,
} from '../../../../../../sidecar/cli/chaos/report/figures/format.js';

describe('figures for people', () => {
  it('are counts with commas, and lengths of time in the unit that reads well', () => {
    assert.deepEqual([0, 999, 1_000, 1_234_567.6].map(count), ['0', '999', '1,000', '1,234,568']);
    const spans = [0, 0.04, 9.94, 10, 999.4, 1_000, 1_234, 9_990, 12_345, 'never'] as const;
    assert.deepEqual(spans.map(duration), [
      ...['0 s', '0 ms', '9.9 ms', '10 ms', '999 ms'],
      ...['1 s', '1.23 s', '9.99 s', '12.3 s', 'never'],
    ]);
  });

  it('never show as 100 % or as 0 % what is not', () => {
    assert.deepEqual([1, 0.99999, 0.5, 0.0001, 0.00001, 0].map(percent), [
      ...['100 %', '99.99 %', '50 %', '0.01 %', '< 0.01 %', '0 %'],
    ]);
    assert.deepEqual([0.0444, -0.01].map(points), ['4.4 points', '-1 points']);
  });
});
