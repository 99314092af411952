import assert from 'node:assert/strict';
import { successRatio } from '../../../../sidecar/core/outlier/success-ratio.js';
import { windowOf } from '../../../kit/core/ejections.js';

describe('The success-ratio detector', () => {
  const find = (...outcomes: Parameters<typeof windowOf>) =>
    successRatio.find([windowOf(...outcomes)], { below: 0.8, minCalls: 5 }, 0)[0];

  for (const [successes, faults, isOutlier] of [
    [0, 4, false],
    [0, 5, true],
    [4, 1, false],
    [3, 1, false],
    [3, 2, true],
    [79, 21, true],
    [80, 20, false],
    [0, 0, false],
  ] as const)
    it(`${isOutlier ? 'finds' : 'does not find'} an endpoint with ${successes} successes and ${faults} faults`, () =>
      assert.equal(find(successes, faults) !== undefined, isOutlier));

  it('gives the ratio and the number of calls as the reason', () =>
    assert.equal(find(13, 19)!.why, 'success ratio 0.41 over 32 calls in 10 s'));

  it('does not count calls rejected because the endpoint was full', () =>
    assert.equal(find(4, 1, 1_000), undefined));
});
