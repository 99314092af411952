/**
 * A silence longer than a window leaves no memory of what was before it: latency fades to neutral, the budget of
 * retries holds nothing of old calls, and an old ejection counts no longer.
 */
import assert from 'node:assert/strict';
import { Status } from '../../../sidecar/core/outcome/status.js';
import { EjectionEvent } from '../../../sidecar/core/outlier/ejection.js';
import { failure, ok, SimulatedPool } from '../../kit/scenario/simulated-pool.js';

describe('Scenario: an idle gap forgets', () => {
  it('shuns an endpoint for its old peak no longer', () => {
    const pool = new SimulatedPool(['a', 'b']);
    pool.get('b').answer = () => ok(2_000);
    for (let i = 0; i < 50; i += 1) pool.call();
    pool.get('b').answer = () => ok(10);
    const before = pool.get('b').attempts;
    for (let i = 0; i < 10; i += 1) pool.call();
    assert.equal(pool.get('b').attempts, before, 'was not shunned to begin with');
    for (let i = 0; i < 600; i += 1) {
      pool.wait(200);
      pool.call();
    }
    assert.ok(pool.get('b').attempts - before > 100, `${pool.get('b').attempts - before} of 600`);
  });

  it('lets old calls pay for no new retries', () => {
    const pool = new SimulatedPool(['a', 'b'], { perSecond: 0 });
    for (let i = 0; i < 1_000; i += 1) pool.call();
    assert.ok(pool.budget.balance(pool.nowMs) > 100);
    pool.wait(10_000);
    assert.equal(pool.budget.balance(pool.nowMs), 0);
  });

  it('ejects for the base time again, not for longer, after a clean hour', () => {
    const pool = new SimulatedPool(['a', 'b', 'c']);
    const b = pool.get('b');
    const eject = (): number => {
      b.answer = () => failure(Status.INTERNAL);
      const ejections = b.ejection.ejections;
      while (b.ejection.ejections === ejections) {
        pool.wait(1_000);
        pool.call();
      }
      b.answer = () => ok();
      return b.ejection.untilMs - b.ejection.sinceMs;
    };
    const comeBack = (): void => {
      pool.wait(400_000);
      pool.call();
      assert.equal(pool.notable.at(-1), EjectionEvent.readmitted);
    };
    assert.equal(eject(), 30_000);
    comeBack();
    pool.wait(3_600_000);
    assert.equal(eject(), 30_000);
  });
});
