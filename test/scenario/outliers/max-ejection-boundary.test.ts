/**
 * The written arithmetic of the cap, max(1, floor(n / 2)), met by traffic: as many endpoints fail as is allowed,
 * then one more.
 */
import assert from 'node:assert/strict';
import { Status } from '../../../sidecar/core/outcome/status.js';
import { EjectionEvent, EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { findingsOf } from '../../kit/core/ejections.js';
import { failure, SimulatedPool } from '../../kit/scenario/simulated-pool.js';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

function run(count: number, failing: number): SimulatedPool {
  const pool = new SimulatedPool(NAMES.slice(0, count), { balance: 'round-robin' });
  for (let i = 0; i < failing; i += 1) pool.endpoints[i]!.answer = () => failure(Status.UNAVAILABLE);
  // For 25 s, so that no ejection of 30 s ends meanwhile.
  while (pool.nowMs < 25_000) {
    pool.call();
    pool.wait(5);
  }
  return pool;
}

describe('Scenario: the boundary of ejections', () => {
  for (const [count, cap] of [
    [2, 1],
    [3, 1],
    [4, 2],
    [5, 2],
    [8, 4],
  ] as const) {
    it(`ejects ${cap} of ${count} when ${cap} fail, and ${cap} when ${cap + 1} fail`, () => {
      const within = run(count, cap);
      assert.equal(within.ejections.members.ejected, cap);
      const { observed, overCap, lastEligible } = findingsOf(within.ejections);
      assert.deepEqual([observed, overCap, lastEligible], [0, 0, 0]);

      const beyond = run(count, cap + 1);
      assert.equal(beyond.ejections.members.ejected, cap);
      const found = findingsOf(beyond.ejections);
      assert.ok(found.overCap + found.lastEligible > 0);
      const kept: readonly EjectionEvent[] = [EjectionEvent.overCap, EjectionEvent.lastEligible];
      assert.ok(beyond.notable.some((event) => kept.includes(event)));
    });
  }

  it('goes on without a failed call after the ejections that are allowed', () => {
    const pool = run(4, 2);
    for (let i = 0; i < 100; i += 1) assert.equal(pool.call(), Status.OK);
  });

  it('leaves the only endpoint of a pool alone', () => {
    const pool = run(1, 1);
    assert.equal(pool.endpoints[0]!.ejection.state, EjectionState.admitted);
    const { detected, enforced } = findingsOf(pool.ejections);
    assert.equal(enforced, 0);
    assert.ok(detected > 0);
  });
});
