import assert from 'node:assert/strict';
import { failureRatio } from '../../../../sidecar/core/outlier/failure-ratio.js';
import { windowOf } from '../../../kit/core/ejections.js';

describe('The failure-ratio detector', () => {
  const settings = { above: 0.85, minPeers: 5, minCalls: 50 };
  /** Reason against an endpoint beside so many peers with enough calls. */
  const why = (successes: number, faults: number, peers = 4): string | undefined => {
    const windows = [windowOf(successes, faults), ...Array.from({ length: peers }, () => windowOf(50, 0))];
    return failureRatio.find(windows, settings, 0)[0]?.why;
  };

  it('finds an endpoint above its bound, not at it, and only where enough endpoints have calls', () => {
    assert.deepEqual([why(15, 85), why(0, 100, 3), why(0, 49, 5)], [undefined, undefined, undefined]);
    assert.equal(why(14, 86), 'failure ratio 0.86 over 100 calls in 10 s');
  });
});
