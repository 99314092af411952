/**
 * One of three endpoints breaks in the middle of traffic, is ejected at its fifth fault, stays out for the base
 * time, is probed by one call while still broken, stays out twice as long, is probed again and is back.
 */
import assert from 'node:assert/strict';
import { AttemptEnd } from '../../../sidecar/core/outcome/outcome.js';
import { Status } from '../../../sidecar/core/outcome/status.js';
import { EjectionEvent, EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { ended, failure, ok, SimulatedPool } from '../../kit/scenario/simulated-pool.js';

const IDEMPOTENT = {
  idempotent: true,
  retry: { attempts: 2, on: [Status.UNAVAILABLE], backoff: { baseMs: 25, maxMs: 250 } },
};

/** Calls until `name` has changed its state, and the number it took. */
function callsUntil(pool: SimulatedPool, name: string, state: EjectionState): number {
  const { ejection } = pool.get(name);
  for (let calls = 1; calls <= 20_000; calls += 1) {
    pool.call();
    if (ejection.state === state) return calls;
  }
  return assert.fail(`${name} never came to state ${state}`);
}

describe('Scenario: one endpoint fails', () => {
  it('is ejected at the fifth fault, out for base × count, probed by one call, and admitted again', () => {
    const pool = new SimulatedPool(['a', 'b', 'c'], { route: IDEMPOTENT, balance: 'round-robin' });
    for (let i = 0; i < 300; i += 1) pool.call();
    const broken = pool.get('b');
    broken.answer = () => failure(Status.UNAVAILABLE);
    const before = broken.attempts;
    callsUntil(pool, 'b', EjectionState.ejected);
    assert.equal(broken.attempts - before, 5);
    assert.equal(broken.ejection.untilMs - pool.nowMs <= 30_000, true);

    const outSinceMs = broken.ejection.sinceMs;
    while (pool.nowMs < outSinceMs + 29_000) assert.equal(pool.call(), Status.OK);
    assert.equal(broken.attempts - before, 5, 'got a call while it was out');

    pool.wait(1_000);
    assert.equal(pool.call(), Status.OK, 'the probing call was not tried again elsewhere');
    assert.equal(broken.attempts - before, 6);
    assert.equal(broken.ejection.untilMs - broken.ejection.sinceMs, 60_000);

    broken.answer = () => ok();
    pool.wait(59_000);
    pool.call();
    assert.equal(broken.attempts - before, 6);
    pool.wait(1_000);
    pool.call();
    assert.equal(broken.ejection.state, EjectionState.admitted);
    const { ejected, reEjected, readmitted } = EjectionEvent;
    assert.deepEqual(pool.notable, [ejected, reEjected, readmitted]);
    for (let i = 0; i < 2_000; i += 1) pool.call();
    assert.ok(broken.attempts - before > 100, 'gets no share after its return');
  });

  it('costs no call on an idempotent route, whichever way it fails', () => {
    const { reset, connectionLost, connectError, attemptTimeout, missingTrailers } = AttemptEnd;
    for (const how of [reset, connectionLost, connectError, attemptTimeout, missingTrailers]) {
      const pool = new SimulatedPool(['a', 'b', 'c'], { route: IDEMPOTENT });
      for (let i = 0; i < 100; i += 1) pool.call();
      pool.get('b').answer = () => ended(how);
      for (let i = 0; i < 6_000; i += 1) assert.equal(pool.call(), Status.OK, `end ${how}`);
      assert.ok(pool.notable.includes(EjectionEvent.ejected), `end ${how}`);
    }
  });

  it('gets one call in seconds until its ejection, where calls come one by one and go to the best', () => {
    const pool = new SimulatedPool(['a', 'b', 'c']);
    for (let i = 0; i < 300; i += 1) pool.call();
    const broken = pool.get('b');
    broken.answer = () => failure(Status.UNAVAILABLE);
    const [before, sinceMs] = [broken.attempts, pool.nowMs];
    callsUntil(pool, 'b', EjectionState.ejected);
    assert.equal(broken.attempts - before, 5);
    assert.ok(pool.nowMs - sinceMs > 10_000 && pool.nowMs - sinceMs < 60_000, `${pool.nowMs - sinceMs} ms`);
  });

  it('costs no call on any route while it refuses connections or streams', () => {
    for (const how of ['connectError', 'refusedStream', 'goawayUnprocessed'] as const) {
      const pool = new SimulatedPool(['a', 'b', 'c'], { ratio: 0, perSecond: 0 });
      pool.get('b').answer = () => ended(AttemptEnd[how]);
      for (let i = 0; i < 2_000; i += 1) assert.equal(pool.call(), Status.OK, how);
    }
  });

  it('is not ejected for what callers do wrong, however often', () => {
    const pool = new SimulatedPool(['a', 'b', 'c']);
    for (const endpoint of pool.endpoints) endpoint.answer = () => failure(Status.INVALID_ARGUMENT);
    for (let i = 0; i < 1_000; i += 1) assert.equal(pool.call(), Status.INVALID_ARGUMENT);
    assert.deepEqual(pool.notable, []);
  });

  it('is not ejected for being full, but gets little traffic', () => {
    const pool = new SimulatedPool(['a', 'b', 'c']);
    for (let i = 0; i < 300; i += 1) pool.call();
    const full = pool.get('b');
    full.answer = () => failure(Status.RESOURCE_EXHAUSTED);
    const before = full.attempts;
    for (let i = 0; i < 1_000; i += 1) pool.call();
    assert.deepEqual(pool.notable, []);
    assert.ok(full.attempts - before < 50, `${full.attempts - before} of 1,000`);
  });
});
