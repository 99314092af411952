/**
 * Requests that no endpoint can read, such as bytes that are no message, are answered with INTERNAL wherever they go. They eject nothing, however
 * many one caller sends; an endpoint that fails what others answer well is ejected as ever.
 */
import assert from 'node:assert/strict';
import { Status } from '../../../sidecar/core/outcome/status.js';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { ALL_DETECTORS } from '../../kit/core/ejections.js';
import { failure, ok, type Settings, SimulatedPool } from '../../kit/scenario/simulated-pool.js';
import { seeded } from '../../kit/time/seeded-random.js';

describe('Scenario: requests at fault', () => {
  /** A pool of which each call is garbage with this chance. */
  const poolWith = (garbage: number, names: readonly string[], settings: Settings = {}): SimulatedPool => {
    const random = seeded(7);
    const pool = new SimulatedPool(names, settings);
    let isGarbage = false;
    for (const endpoint of pool.endpoints)
      endpoint.answer = () => (isGarbage ? failure(Status.INTERNAL) : ok());
    const { call } = pool;
    pool.call = (...args) => {
      isGarbage = random() < garbage;
      return call.apply(pool, args);
    };
    return pool;
  };
  const brokenIn = (pool: SimulatedPool, name: string) => {
    const broken = pool.get(name);
    broken.answer = () => failure(Status.INTERNAL);
    return broken;
  };
  /** Attempts that the endpoint needed until it was ejected. */
  const attemptsUntilEjected = (pool: SimulatedPool, name: string): number => {
    const endpoint = pool.get(name);
    const before = endpoint.attempts;
    for (let i = 0; i < 5_000 && endpoint.ejection.state === EjectionState.admitted; i++) pool.call();
    assert.equal(endpoint.ejection.state, EjectionState.ejected);
    return endpoint.attempts - before;
  };
  const BALANCERS = ['least-loaded', 'round-robin'] as const;

  for (const balance of BALANCERS)
    for (const names of ['ab', 'abc', 'abcdefgh'])
      for (const garbage of [1, 0.9, 0.5, 0.2])
        it(`eject nothing: ${garbage * 100} % of all calls, ${names.length} endpoints, ${balance}`, () => {
          const pool = poolWith(garbage, [...names], { balance });
          for (let i = 0; i < 3_000; i++) pool.call();
          assert.deepEqual(pool.notable, []);
        });

  it('eject nothing in a burst after good calls, nor while these go on', () => {
    const pool = poolWith(0, ['a', 'b', 'c'], { balance: 'round-robin' });
    for (let i = 0; i < 600; i++) pool.call();
    const before = pool.endpoints.map(({ answer }) => answer);
    for (const endpoint of pool.endpoints) endpoint.answer = () => failure(Status.UNKNOWN);
    for (let i = 0; i < 100; i++) pool.call();
    pool.endpoints.forEach((endpoint, i) => {
      endpoint.answer = before[i]!;
    });
    for (let i = 0; i < 600; i++) assert.equal(pool.call(), Status.OK);
    assert.deepEqual(pool.notable, []);
  });

  for (const balance of BALANCERS)
    it(`do not hide an endpoint that fails alone: it is ejected at its fifth fault (${balance})`, () => {
      const pool = poolWith(0, ['a', 'b', 'c'], { balance });
      for (let i = 0; i < 300; i++) pool.call();
      brokenIn(pool, 'b');
      assert.equal(attemptsUntilEjected(pool, 'b'), 5);
    });

  for (const [names, first, second] of [
    ['abc', 'a', 'b'],
    ['abcd', 'b', 'd'],
  ] as const)
    it(`do not hide two of ${names.length} that fail: the others answer well`, () => {
      const pool = poolWith(0, [...names], { balance: 'round-robin' });
      for (let i = 0; i < 300; i++) pool.call();
      for (const name of [first, second]) brokenIn(pool, name);
      assert.equal(attemptsUntilEjected(pool, first), 5);
    });

  for (const garbage of [0.05, 0.3])
    it(`do not hide a broken endpoint among ${garbage * 100} % of garbage`, () => {
      const pool = poolWith(garbage, ['a', 'b', 'c'], { balance: 'round-robin' });
      for (let i = 0; i < 300; i++) pool.call();
      brokenIn(pool, 'b');
      const attempts = attemptsUntilEjected(pool, 'b');
      assert.ok(attempts <= 20, `${attempts} attempts`);
    });

  /** Besides, the endpoint fails its n-th calls by itself, as `isOwn` says. */
  const failsToo = (pool: SimulatedPool, name: string, isOwn: (n: number) => boolean): void => {
    const endpoint = pool.get(name);
    const { answer } = endpoint;
    let n = 0;
    endpoint.answer = (nowMs) => (isOwn(n++) ? failure(Status.UNAVAILABLE) : answer(nowMs));
  };
  const callAndSweep = (pool: SimulatedPool, calls: number): void => {
    for (let i = 0; i < calls; i++) {
      pool.call();
      if (i % 100 === 99) pool.sweep();
    }
  };
  const SWEPT: Settings = { balance: 'round-robin', detectors: ALL_DETECTORS };

  for (const garbage of [0.9, 0.5, 0.25])
    it(`eject nothing when one endpoint has a rare failure of another kind: ${garbage * 100} %`, () => {
      const pool = poolWith(garbage, ['a', 'b', 'c'], SWEPT);
      failsToo(pool, 'b', (n) => n % 400 === 200);
      callAndSweep(pool, 3_000);
      assert.deepEqual(pool.notable, []);
    });

  it('eject nothing when all calls fail and one endpoint has a failure of another kind', () => {
    const pool = poolWith(1, ['a', 'b', 'c'], SWEPT);
    failsToo(pool, 'b', (n) => n === 500);
    callAndSweep(pool, 3_000);
    assert.deepEqual(pool.notable, []);
  });

  for (const garbage of [0.9, 0.25])
    it(`do not hide an endpoint that fails every second call in another way: ${garbage * 100} %`, () => {
      const pool = poolWith(garbage, ['a', 'b', 'c'], SWEPT);
      callAndSweep(pool, 300);
      failsToo(pool, 'b', (n) => n % 2 === 0);
      callAndSweep(pool, 300);
      assert.equal(pool.get('b').ejection.ejections, 1);
      for (const name of ['a', 'c']) assert.equal(pool.get(name).ejection.ejections, 0);
    });

  it('do not hide an endpoint that fails all calls in another way: it is ejected at its fifth fault', () => {
    const pool = poolWith(1, ['a', 'b', 'c'], { balance: 'round-robin' });
    for (let i = 0; i < 300; i++) pool.call();
    failsToo(pool, 'b', () => true);
    assert.equal(attemptsUntilEjected(pool, 'b'), 5);
  });

  it('do not keep an endpoint out that is tried with one of them', () => {
    const pool = poolWith(0, ['a', 'b', 'c'], { balance: 'round-robin' });
    for (let i = 0; i < 300; i++) pool.call();
    const b = pool.get('b');
    const well = b.answer;
    b.answer = () => failure(Status.UNAVAILABLE);
    assert.equal(attemptsUntilEjected(pool, 'b'), 5);
    b.answer = well;
    pool.wait(b.ejection.untilMs - pool.nowMs - 200);
    const answers = pool.endpoints.map(({ answer }) => answer);
    for (const endpoint of pool.endpoints) endpoint.answer = () => failure(Status.INTERNAL);
    const before = b.attempts;
    for (let i = 0; i < 400; i++) pool.call();
    assert.equal(b.attempts, before + 1);
    pool.endpoints.forEach((endpoint, i) => {
      endpoint.answer = answers[i]!;
    });
    assert.equal(b.ejection.failedProbes, 0);
    pool.wait(1_000);
    pool.call();
    assert.equal(b.ejection.state, EjectionState.admitted);
  });

  /** It was lost, and has come back, as another process perhaps. */
  const comesBack = (pool: SimulatedPool, name: string): void =>
    pool.ejections.members.forgetHistory(pool.get(name).ejection, pool.nowMs);

  for (const garbage of [0.9, 0.5, 0.3])
    it(`eject nothing when the other endpoints have just come back: ${garbage * 100} %`, () => {
      const pool = poolWith(garbage, ['a', 'b', 'c'], SWEPT);
      callAndSweep(pool, 300);
      comesBack(pool, 'a');
      callAndSweep(pool, 3);
      comesBack(pool, 'b');
      pool.sweep();
      callAndSweep(pool, 600);
      assert.deepEqual(pool.notable, []);
    });

  it('do not hide those that fail beside one that has come back well', () => {
    const pool = poolWith(0, ['a', 'b'], { balance: 'round-robin' });
    const well = pool.get('a').answer;
    brokenIn(pool, 'a');
    brokenIn(pool, 'b');
    for (let i = 0; i < 300; i++) pool.call();
    assert.deepEqual(pool.notable, []);
    pool.get('a').answer = well;
    comesBack(pool, 'a');
    const attempts = attemptsUntilEjected(pool, 'b');
    assert.ok(attempts <= 20, `${attempts} attempts`);
  });

  it('are forgotten where an endpoint comes back: they excuse no failures of another kind', () => {
    const pool = poolWith(0.5, ['a', 'b', 'c'], SWEPT);
    callAndSweep(pool, 300);
    comesBack(pool, 'b');
    failsToo(pool, 'b', (n) => n % 2 === 0);
    callAndSweep(pool, 300);
    assert.equal(pool.get('b').ejection.ejections, 1);
    for (const name of ['a', 'c']) assert.equal(pool.get(name).ejection.ejections, 0);
  });
});
