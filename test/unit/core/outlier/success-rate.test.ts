import assert from 'node:assert/strict';
import { RingWindow } from '../../../../sidecar/core/outlier/outcome-window.js';
import {
  judgeFailureRatio,
  judgeSuccessRate,
  judgeSuccessRatio,
  successRateThreshold,
  thresholdOf,
} from '../../../../sidecar/core/outlier/success-rate.js';

function windowOf(successes: number, faults: number, overloads = 0): RingWindow {
  const window = new RingWindow();
  for (let i = 0; i < successes; i += 1) window.success(0);
  for (let i = 0; i < faults; i += 1) window.fault(0);
  for (let i = 0; i < overloads; i += 1) window.overload(0);
  return window;
}

describe('Success ratio', () => {
  const settings = { below: 0.8, minCalls: 5 };
  for (const [successes, faults, isSuspect] of [
    [0, 4, false],
    [0, 5, true],
    [4, 1, false],
    [3, 1, false],
    [3, 2, true],
    [79, 21, true],
    [80, 20, false],
    [0, 0, false],
  ] as const) {
    it(`${isSuspect ? 'suspects' : 'does not suspect'} ${successes} successes beside ${faults} faults`, () => {
      assert.equal(judgeSuccessRatio(windowOf(successes, faults), settings) !== '', isSuspect);
    });
  }

  it('says what it found', () => {
    assert.equal(judgeSuccessRatio(windowOf(13, 19), settings), 'success ratio 0.41 over 32 calls in 10 s');
  });

  it('does not hear of calls turned away for being full', () => {
    assert.equal(judgeSuccessRatio(windowOf(4, 1, 1_000), settings), '');
  });
});

describe('Success rate against peers', () => {
  const settings = { factor: 1.9, minPeers: 5, minCalls: 100 };

  it("has Envoy's threshold", () => {
    assert.equal(successRateThreshold([50, 100, 100, 100, 100], 1.9), 52);
  });

  for (const [n, dead, isFound] of [
    [5, 1, true],
    [9, 1, true],
    [9, 2, false],
    [10, 2, true],
    [5, 2, false],
  ] as const) {
    it(`${isFound ? 'finds' : 'cannot find'} ${dead} dead of ${n}`, () => {
      const windows = Array.from({ length: n }, (_, i) => (i < dead ? windowOf(0, 100) : windowOf(100, 0)));
      const threshold = thresholdOf(windows, settings);
      assert.equal(judgeSuccessRate(windows[0]!, settings, threshold) !== '', isFound);
      assert.equal(judgeSuccessRate(windows[n - 1]!, settings, threshold), '');
    });
  }

  it('compares nobody in pools too small, or with too few calls', () => {
    const four = Array.from({ length: 4 }, () => windowOf(100, 0));
    assert.equal(thresholdOf(four, settings), -1);
    assert.equal(thresholdOf([...four, windowOf(0, 99)], settings), -1);
    const threshold = thresholdOf([...four, windowOf(0, 100)], settings);
    assert.ok(threshold > 0);
    assert.equal(judgeSuccessRate(windowOf(0, 99), settings, threshold), '');
  });

  it('convicts nobody for a fault or two among peers that have none', () => {
    const windows = [...Array.from({ length: 4 }, () => windowOf(1_000, 0)), windowOf(996, 4)];
    const threshold = thresholdOf(windows, settings);
    assert.ok(0.996 < threshold);
    assert.equal(judgeSuccessRate(windows[4]!, settings, threshold), '');
    assert.notEqual(judgeSuccessRate(windowOf(995, 5), settings, threshold), '');
  });
});

describe('Failure ratio', () => {
  const settings = { above: 0.85, minPeers: 5, minCalls: 50 };

  it('suspects above its bound, not at it, and only where enough have calls', () => {
    assert.equal(judgeFailureRatio(windowOf(15, 85), settings, 5), '');
    assert.equal(
      judgeFailureRatio(windowOf(14, 86), settings, 5),
      'failure ratio 0.86 over 100 calls in 10 s',
    );
    assert.equal(judgeFailureRatio(windowOf(0, 100), settings, 4), '');
    assert.equal(judgeFailureRatio(windowOf(0, 49), settings, 5), '');
  });
});
