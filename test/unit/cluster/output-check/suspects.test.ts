import assert from 'node:assert/strict';
import { Suspects } from '../../../../sidecar/cluster/output-check/suspects.js';

describe('Suspects', () => {
  it('are such for ten seconds after their last charge', () => {
    const suspects = new Suspects<string>();
    assert.deepEqual([suspects.isAny(0), suspects.has('a', 0)], [false, false]);
    suspects.add('a', 0);
    suspects.add('a', 5_000);
    assert.deepEqual(
      [suspects.isAny(14_999), suspects.has('a', 14_999), suspects.has('b', 14_999)],
      [true, true, false],
    );
    assert.deepEqual([suspects.has('a', 15_000), suspects.isAny(15_000)], [false, false]);
  });

  it('are forgotten with their endpoint', () => {
    const suspects = new Suspects<string>();
    suspects.add('a', 0);
    suspects.add('b', 0);
    suspects.clear('a');
    assert.deepEqual([suspects.has('a', 1), suspects.has('b', 1)], [false, true]);
    suspects.clear('b');
    assert.equal(suspects.isAny(1), false);
  });
});
