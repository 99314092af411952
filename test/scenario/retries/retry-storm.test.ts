/**
 * Every attempt fails and every call would be tried again. The extra load stays within the budget, a share of
 * the calls and a small reserve, however long it lasts.
 */
import assert from 'node:assert/strict';
import { Status } from '../../../sidecar/core/outcome/status.js';
import { failure, SimulatedPool } from '../../kit/scenario/simulated-pool.js';

const ROUTE = {
  idempotent: true,
  retry: { attempts: 5, on: [Status.UNAVAILABLE], backoff: { baseMs: 25, maxMs: 250 } },
};

describe('Scenario: retry storm', () => {
  for (const [callsPerSecond, ratio, perSecond] of [
    [100, 0.2, 3],
    [100, 0.2, 0],
    [100, 0, 3],
    [1, 0.2, 3],
    [5, 0.05, 0.5],
  ] as const) {
    it(`adds at most ${ratio} of the calls and ${perSecond}/s, at ${callsPerSecond} calls/s`, () => {
      const pool = new SimulatedPool(['a', 'b', 'c', 'd'], { route: ROUTE, ratio, perSecond });
      for (const endpoint of pool.endpoints) endpoint.answer = () => failure(Status.UNAVAILABLE, 0);
      const calls = callsPerSecond * 60;
      for (let i = 0; i < calls; i += 1) {
        pool.nowMs = Math.max(pool.nowMs, (i * 1_000) / callsPerSecond);
        assert.equal(pool.call(), Status.UNAVAILABLE);
      }
      const extra = pool.attempts - calls;
      const allowed = ratio * calls + perSecond * (pool.nowMs / 1_000 + 10);
      const found = `${extra} extra attempts, ${allowed} allowed`;
      assert.ok(extra <= allowed + 1e-6, found);
      assert.ok(extra > 0 && extra >= Math.min(allowed * 0.7, calls), found);
    });
  }

  it('adds nothing on a route that does not ask for it', () => {
    const pool = new SimulatedPool(['a', 'b', 'c', 'd']);
    for (const endpoint of pool.endpoints) endpoint.answer = () => failure(Status.UNAVAILABLE);
    for (let i = 0; i < 1_000; i += 1) pool.call();
    assert.equal(pool.attempts, 1_000);
  });
});
