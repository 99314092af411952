import assert from 'node:assert/strict';
import fc from 'fast-check';
import { planRuns } from '../../../../services/embed/runs.js';

describe('the runs of ragged texts', () => {
  it('put texts of like length together, in the order of length', () => {
    assert.deepEqual(planRuns([10, 200, 12, 190, 15]), [
      [0, 2, 4],
      [3, 1],
    ]);
  });

  it('are none for no texts, and one for one', () => {
    assert.deepEqual(planRuns([]), []);
    assert.deepEqual(planRuns([9999]), [[0]]);
  });

  it('have every text once, are bounded, and pad no text beyond half as much again', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 2, max: 256 }), { maxLength: 300 }), (lengths) => {
        const runs = planRuns(lengths);
        assert.deepEqual(
          runs.flat().sort((a, b) => a - b),
          lengths.map((_, i) => i),
        );
        for (const run of runs) {
          const own = run.map((i) => lengths[i]!);
          assert.ok(run.length * Math.max(...own) <= 4096);
          assert.ok(Math.max(...own) <= 1.5 * Math.min(...own));
        }
      }),
    );
  });
});
