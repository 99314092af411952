/** The load in the mean of the last second. */
import assert from 'node:assert/strict';
import { LoadAverages } from '../../../../sidecar/core/admission/load-averages.js';

describe('Averages of the load', () => {
  it('begin with the first sample, without rates', () => {
    const averages = new LoadAverages();
    averages.end(true, 0, 100);
    averages.sample(5, 100);
    assert.deepEqual([averages.calls, averages.rps, averages.eps], [5, 0, 0]);
  });

  it('come near a steady load within a few seconds, however often they are sampled', () => {
    for (const everyMs of [10, 100, 500]) {
      const averages = new LoadAverages();
      averages.sample(0, 0);
      for (let ms = everyMs; ms <= 6_000; ms += everyMs) {
        for (let i = 0; i < everyMs / 10; i += 1) averages.end(i % 4 === 0 && everyMs >= 100, 0, ms);
        averages.sample(8, ms);
      }
      assert.ok(Math.abs(averages.calls - 8) < 0.1, `${averages.calls}`);
      assert.ok(Math.abs(averages.rps - 100) < 1, `${averages.rps}`);
      if (everyMs >= 100) assert.ok(Math.abs(averages.eps - 27) < 4, `${averages.eps}`);
    }
  });

  it('begin with the first call, not with the idle time before it', () => {
    const averages = new LoadAverages();
    for (let ms = 0; ms <= 3_000; ms += 1_000) averages.sample(0, ms);
    averages.sample(6, 3_040);
    assert.equal(averages.calls, 6);
    averages.sample(0, 4_040);
    assert.ok(Math.abs(averages.calls - 6 / Math.E) < 1e-9, `${averages.calls}`);
  });

  it('count short calls that no sample meets, such as those that a report in trailers leaves out', () => {
    const averages = new LoadAverages();
    for (let ms = 125; ms <= 6_000; ms += 125) {
      averages.sample(0, ms);
      averages.end(false, 25, ms);
    }
    averages.sample(0, 6_001);
    assert.ok(Math.abs(averages.calls - 0.2) < 0.03, `${averages.calls}`);
    averages.sample(0, 12_000);
    assert.ok(averages.calls < 0.001, `${averages.calls}`);
  });

  it('count a call that has just ended by its part in the last second', () => {
    const averages = new LoadAverages();
    averages.sample(0, 0);
    averages.end(false, 60_000, 60_000);
    averages.sample(0, 60_000);
    assert.ok(averages.calls > 0.99 && averages.calls <= 1, `${averages.calls}`);
  });

  it('forget a burst', () => {
    const averages = new LoadAverages();
    averages.sample(0, 0);
    for (let i = 0; i < 100; i += 1) averages.end(false, 0, 500);
    averages.sample(100, 1_000);
    assert.ok(averages.calls > 50 && averages.rps > 50);
    averages.sample(0, 8_000);
    assert.ok(averages.calls < 0.1 && averages.rps < 0.1);
  });

  it('a second sample at the same time changes nothing', () => {
    const averages = new LoadAverages();
    averages.sample(4, 0);
    averages.sample(9, 0);
    assert.equal(averages.calls, 4);
  });
});
