import assert from 'node:assert/strict';
import { FEW_CALLS, FewCalls, type SlowBound } from '../../../../sidecar/core/outlier/few-calls.js';
import { RecentTimes } from '../../../../sidecar/core/stats/histogram.js';

/** Peers whose calls take from 1 to 100 ms, evenly. */
const peers = new RecentTimes(5_000, 2, 26);
for (let ms = 1; ms <= 100; ms += 1) peers.record(ms, 0);
const BOUND: SlowBound = { peers: [peers], leastMs: 80 };

function slowAfter(...calls: readonly (readonly [tookMs: number, endMs: number])[]): number {
  const few = new FewCalls();
  for (const [tookMs, endMs] of calls) {
    few.record(tookMs, endMs);
    few.look(BOUND);
  }
  return few.slow;
}
const slowOnes = (n: number, everyMs = 10_000) =>
  Array.from({ length: n }, (_, i) => [1_000, (i + 1) * everyMs] as const);

describe('The few calls of an endpoint', () => {
  it('count where each is slower than nearly all of the peers’, one after the other', () => {
    assert.equal(slowAfter(...slowOnes(FEW_CALLS)), FEW_CALLS);
  });

  it('begin anew after one that is not', () => {
    assert.equal(slowAfter(...slowOnes(5), [60, 60_000], [1_000, 70_000]), 1);
    assert.equal(
      slowAfter(...slowOnes(5), [90, 60_000]),
      0,
      'slower than the median, and not than nearly all',
    );
  });

  it('count once where they were held up together', () => {
    assert.equal(slowAfter([1_000, 5_000], [1_500, 5_000], [900, 5_001], [1_000, 6_500]), 2);
  });

  it('are forgotten after a minute without another', () => {
    assert.equal(slowAfter(...slowOnes(5), [1_000, 111_000]), 1);
  });

  it('show nothing where there is nothing to hold them against', () => {
    const few = new FewCalls();
    for (let i = 1; i <= 20; i += 1) {
      few.record(1_000, i * 2_000);
      few.look(null);
    }
    assert.equal(few.slow, 0);
  });
});
