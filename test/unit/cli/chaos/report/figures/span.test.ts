import assert from 'node:assert/strict';
import { spreadOf } from '../../../../../../sidecar/cli/chaos/report/figures/span.js';

describe('the spread of times of several runs', () => {
  it('takes never for longer than every time, and leaves out runs that have none', () => {
    assert.equal(spreadOf([undefined, undefined]), undefined);
    assert.deepEqual(spreadOf([5, undefined]), { median: 5, least: 5, most: 5 });
    assert.deepEqual(spreadOf(['never', 100, 9]), { median: 100, least: 9, most: 'never' });
    assert.deepEqual(spreadOf([4, 2, 3, 1]), { median: 2.5, least: 1, most: 4 });
    assert.deepEqual(spreadOf(['never', 1]), { median: 'never', least: 1, most: 'never' });
    assert.deepEqual(spreadOf(['never', 3, 'never', 1]), { median: 'never', least: 1, most: 'never' });
    assert.deepEqual(spreadOf(['never', 'never', 1]), { median: 'never', least: 1, most: 'never' });
  });
});
