import assert from 'node:assert/strict';
import {
  successRate,
  successRateThreshold,
  thresholdOf,
} from '../../../../sidecar/core/outlier/success-rate.js';
import { windowOf } from '../../../kit/core/ejections.js';

describe('The success-rate detector', () => {
  const settings = { factor: 1.9, minPeers: 5, minCalls: 100 };
  const times = (count: number, successes: number, faults: number) =>
    Array.from({ length: count }, () => windowOf(successes, faults));
  /** Indexes of the endpoints found. */
  const outliers = (...windows: ReturnType<typeof windowOf>[]): number[] =>
    successRate.find(windows, settings, 0).flatMap((finding, i) => (finding === undefined ? [] : [i]));

  it("has Envoy's threshold", () => assert.equal(successRateThreshold([50, 100, 100, 100, 100], 1.9), 52));

  for (const [count, failing, isFound] of [
    [5, 1, true],
    [9, 1, true],
    [9, 2, false],
    [10, 2, true],
    [5, 2, false],
  ] as const)
    it(`${isFound ? 'finds' : 'cannot find'} ${failing} of ${count} endpoints that fail every call`, () => {
      const found = outliers(...times(failing, 0, 100), ...times(count - failing, 100, 0));
      assert.deepEqual(found, isFound ? Array.from({ length: failing }, (_, i) => i) : []);
    });

  it('compares no endpoints in pools too small, or with too few calls', () => {
    const four = times(4, 100, 0);
    assert.equal(thresholdOf(four, settings), -1);
    assert.equal(thresholdOf([...four, windowOf(0, 99)], settings), -1);
    assert.ok(thresholdOf([...four, windowOf(0, 100)], settings) > 0);
    assert.deepEqual(outliers(...four, windowOf(0, 100), windowOf(0, 99)), [4]);
  });

  it('does not find an endpoint with fewer than five faults among peers that have none', () => {
    const peers = times(4, 1_000, 0);
    assert.ok(0.996 < thresholdOf([...peers, windowOf(996, 4)], settings));
    assert.deepEqual(outliers(...peers, windowOf(996, 4)), []);
    assert.deepEqual(outliers(...peers, windowOf(995, 5)), [4]);
  });
});
