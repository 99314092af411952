/**
 * All endpoints fail at once. Traffic goes on to those that cannot be ejected, the pool panics when too few are
 * left, and the first that works again works at once.
 */
import assert from 'node:assert/strict';
import { Status } from '../../../sidecar/core/outcome/status.js';
import { findingsOf } from '../../kit/core/ejections.js';
import { failure, ok, SimulatedPool } from '../../kit/scenario/simulated-pool.js';

describe('Scenario: all endpoints fail', () => {
  for (const count of [1, 2, 3, 4, 8]) {
    it(`finds an endpoint for every call, with ${count} in the pool`, () => {
      const pool = new SimulatedPool(Array.from({ length: count }, (_, i) => `${i}`));
      for (const endpoint of pool.endpoints) endpoint.answer = () => failure(Status.UNAVAILABLE);
      for (let i = 0; i < 3_000; i += 1) {
        const before = pool.attempts;
        assert.equal(pool.call(), Status.UNAVAILABLE);
        assert.equal(pool.attempts, before + 1, 'no endpoint');
        pool.wait(20);
        assert.ok(pool.ejections.members.eligible >= 1);
      }
      assert.ok(findingsOf(pool.ejections).detected >= count);
    });
  }

  it('serves again as soon as they do', () => {
    const pool = new SimulatedPool(['a', 'b', 'c']);
    for (const endpoint of pool.endpoints) endpoint.answer = () => failure(Status.UNAVAILABLE);
    for (let i = 0; i < 500; i += 1) pool.call();
    for (const endpoint of pool.endpoints) endpoint.answer = () => ok();
    for (let i = 0; i < 500; i += 1) assert.equal(pool.call(), Status.OK);
    pool.wait(300_000);
    pool.call();
    assert.equal(pool.ejections.members.ejected, 0);
  });

  it('panics when too few are left: the ejected serve again, the disconnected do not', () => {
    const pool = new SimulatedPool(['a', 'b', 'c', 'd'], { balance: 'round-robin' });
    const [a, b, c, d] = pool.endpoints;
    for (const endpoint of [a!, b!]) endpoint.answer = () => failure(Status.INTERNAL);
    for (let i = 0; i < 400; i += 1) pool.call();
    assert.deepEqual([pool.ejections.members.ejected, pool.ejections.members.isPanicking], [2, false]);
    pool.ejections.members.setAvailable(c!.ejection, 'unavailable');
    pool.ejections.members.setAvailable(d!.ejection, 'unavailable');
    assert.equal(pool.ejections.members.isPanicking, true);
    for (const endpoint of pool.endpoints)
      endpoint.eligible = pool.ejections.members.mayCall(endpoint.ejection);
    const before = [c!.attempts, d!.attempts];
    for (let i = 0; i < 100; i += 1) assert.equal(pool.call(), Status.INTERNAL);
    assert.deepEqual([c!.attempts, d!.attempts], before);
  });
});
