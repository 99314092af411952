import assert from 'node:assert/strict';
import { RestartLimit } from '../../../../sidecar/core/health/restart-limit.js';
import { HEALTHY_RUN_MS } from '../../../../sidecar/core/retry/backoff.js';

const SETTINGS = { starts: 5, withinMs: 60_000, retryAfterMs: 300_000 };

describe('RestartLimit', () => {
  /** Starts it at each of the times and lets it die `afterMs` later; the verdict on the last death. */
  function deaths(limit: RestartLimit, timesMs: readonly number[], afterMs = 100) {
    let verdict = null;
    for (const nowMs of timesMs) {
      limit.started(nowMs);
      verdict = limit.died(0, nowMs + afterMs);
    }
    return verdict;
  }

  it('restarts a process four times and gives it up at the fifth end', () => {
    const limit = new RestartLimit(SETTINGS);
    assert.equal(deaths(limit, [0, 200, 600, 1_400]), null);
    assert.deepEqual(deaths(limit, [3_000]), { starts: 5, inMs: 3_100, retryAfterMs: 300_000 });
  });

  it('gives one start to a process that was given up before the sidecar began anew', () => {
    const limit = new RestartLimit(SETTINGS);
    limit.resume();
    assert.deepEqual(deaths(limit, [1_000]), { starts: 1, inMs: 100, retryAfterMs: 300_000 });
    limit.started(2_000);
    limit.ready();
    assert.equal(limit.died(10, 2_010), null, 'it was ready: the limit has begun anew');
  });

  it('does not give up a process whose starts are further apart', () => {
    const limit = new RestartLimit(SETTINGS);
    for (let i = 0; i < 1_000; i++) assert.equal(deaths(limit, [i * 15_100]), null, `death ${i}`);
  });

  it('counts starts up to the last millisecond', () => {
    assert.notEqual(deaths(new RestartLimit(SETTINGS), [0, 1, 2, 3, 59_900]), null);
    assert.equal(deaths(new RestartLimit(SETTINGS), [0, 1, 2, 3, 59_901]), null);
  });

  for (const [what, withinMs, readyMs, ranMs, pausedMs] of [
    ['ends now and then with healthy runs between', 3_600_000, HEALTHY_RUN_MS, HEALTHY_RUN_MS, 0],
    ['serves for most of the time between its ends', 60_000, 4_500, 6_000, 500],
  ] as const)
    it(`never gives up a process that ${what}`, () => {
      const limit = new RestartLimit({ ...SETTINGS, withinMs });
      let nowMs = 0;
      for (let i = 0; i < 1_000; i++) {
        limit.started(nowMs);
        limit.ready();
        nowMs += ranMs;
        assert.equal(limit.died(readyMs, nowMs), null, `death ${i}`);
        nowMs += pausedMs;
      }
    });

  it('forgets earlier ends at a healthy run', () => {
    const limit = new RestartLimit({ ...SETTINGS, withinMs: 600_000 });
    assert.equal(deaths(limit, [0, 200, 600, 1_400]), null);
    limit.started(3_000);
    assert.equal(limit.died(HEALTHY_RUN_MS, 70_000), null);
    assert.equal(deaths(limit, [70_100, 70_300, 70_700, 71_500]), null);
    assert.notEqual(deaths(limit, [73_000]), null);
  });

  it('gives up a process that is ready for a moment each time, and one that serves for the lesser part', () => {
    for (const [readyMs, everyMs] of [
      [1_900, 2_000],
      [4_000, 9_000],
    ] as const) {
      const limit = new RestartLimit(SETTINGS);
      const verdicts = [0, 1, 2, 3, 4].map((i) => {
        limit.started(i * everyMs);
        limit.ready();
        return limit.died(readyMs, (i + 1) * everyMs);
      });
      assert.notEqual(verdicts.at(-1), null, `${readyMs} of ${everyMs} ms`);
    }
  });

  it('gives up again at once when the slow retry ends, and counts all starts', () => {
    const limit = new RestartLimit(SETTINGS);
    deaths(limit, [0, 200, 600, 1_400, 3_000]);
    assert.deepEqual(deaths(limit, [303_100]), { starts: 6, inMs: 303_200, retryAfterMs: 300_000 });
    assert.deepEqual(deaths(limit, [603_200]), { starts: 7, inMs: 603_300, retryAfterMs: 300_000 });
  });

  it('has its whole limit again once a slow retry became ready', () => {
    const limit = new RestartLimit(SETTINGS);
    deaths(limit, [0, 200, 600, 1_400, 3_000]);
    limit.started(303_000);
    limit.ready();
    assert.equal(limit.died(5_000, 308_000), null);
    assert.equal(deaths(limit, [308_100, 308_300, 308_700, 309_500]), null);
    assert.deepEqual(deaths(limit, [311_000]), { starts: 5, inMs: 3_000, retryAfterMs: 300_000 });
  });

  it('gives up at the first end where only one start is allowed', () => {
    const verdict = deaths(new RestartLimit({ ...SETTINGS, starts: 1 }), [7]);
    assert.deepEqual(verdict, { starts: 1, inMs: 100, retryAfterMs: 300_000 });
  });

  it('knows before an end whether it would be the last, and changes nothing by the question', () => {
    const limit = new RestartLimit(SETTINGS);
    assert.equal(deaths(limit, [0, 200, 600, 1_400]), null);
    limit.started(3_000);
    for (let i = 0; i < 3; i++) assert.equal(limit.mayDie(0, 3_100), false);
    // It has served for most of the time, or is healthy, or the first of these starts is long ago.
    assert.equal(limit.mayDie(4_000, 7_000), true);
    assert.equal(limit.mayDie(HEALTHY_RUN_MS, 64_000), true);
    assert.equal(limit.mayDie(0, 60_001), true);
    assert.deepEqual(limit.died(0, 3_100), { starts: 5, inMs: 3_100, retryAfterMs: 300_000 });
    limit.started(303_100);
    assert.equal(limit.mayDie(10, 303_200), false);
  });
});
