import assert from 'node:assert/strict';
import { EdgeHistory, quantile } from '../../../../sidecar/cli/page/history.js';

const counts = (calls: number, failed = 0, fast = calls) => ({
  calls,
  failed,
  within: [
    [0.01, fast],
    [0.1, calls],
    [Number.POSITIVE_INFINITY, calls],
  ] as const,
});

describe('the history of calls', () => {
  it('has rates over a window, not over all that is known', () => {
    const history = new EdgeHistory(300_000);
    history.add(0, counts(0));
    history.add(50_000, counts(5_000, 5_000, 0));
    history.add(60_000, counts(5_100, 5_001, 50));
    assert.deepEqual(history.rates(60_000, 10_000), {
      perSecond: 10,
      successRatio: 0.99,
      p50: 0.01,
      p99: 0.0982,
    });
    assert.equal(history.rates(60_000, 60_000).perSecond, 85);
    assert.deepEqual(
      history.steps().map(({ atMs, perSecond }) => [atMs, perSecond]),
      [
        [50_000, 100],
        [60_000, 10],
      ],
    );
  });

  it('keeps no more than its time', () => {
    const history = new EdgeHistory(10_000);
    for (let atMs = 0; atMs <= 3_600_000; atMs += 2_000) history.add(atMs, counts(atMs));
    assert.equal(history.steps().length, 5);
  });

  it('begins again when the sidecar has started anew, and says nothing of calls without any', () => {
    const history = new EdgeHistory(300_000);
    history.add(0, counts(1_000));
    history.add(2_000, counts(10));
    assert.deepEqual(history.rates(2_000, 30_000), { perSecond: 0 });
    history.add(4_000, counts(30));
    assert.equal(history.rates(4_000, 30_000).perSecond, 10);
    assert.deepEqual(new EdgeHistory(1).rates(0, 1), { perSecond: 0 });
  });

  it('has quantiles as Prometheus has them', () => {
    const inf = Number.POSITIVE_INFINITY;
    assert.equal(
      quantile(
        [
          [1, 50],
          [2, 100],
          [inf, 100],
        ],
        0.75,
      ),
      1.5,
    );
    assert.equal(
      quantile(
        [
          [1, 0],
          [2, 10],
          [inf, 10],
        ],
        0.5,
      ),
      1.5,
    );
    assert.equal(
      quantile(
        [
          [1, 0],
          [2, 1],
          [inf, 100],
        ],
        0.99,
      ),
      2,
    );
    assert.equal(
      quantile(
        [
          [1, 0],
          [inf, 0],
        ],
        0.5,
      ),
      undefined,
    );
    assert.equal(quantile([], 0.5), undefined);
  });
});
