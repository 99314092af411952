import assert from 'node:assert/strict';
import type { Outcome } from '../../../../sidecar/core/outcome/outcome.js';
import { Detector } from '../../../../sidecar/core/outlier/detectors.js';
import { EjectionEvent, EjectionState, Evidence } from '../../../../sidecar/core/outlier/ejection.js';
import { EJECTION_SETTINGS, ejectionPool, end, fail, findingsOf } from '../../../kit/core/ejections.js';
import { constant } from '../../../kit/time/seeded-random.js';

const { nothing, ejected, reEjected, readmitted, observed } = EjectionEvent;

/** A pool of three, the first endpoint in it, and what happens to that. */
function setUp(...options: Parameters<typeof ejectionPool> extends [number, ...infer Rest] ? Rest : never) {
  const { pool, a: member } = ejectionPool(3, ...options);
  type End = Parameters<typeof end>;
  const ends = (outcome: End[2], nowMs: number, how?: End[4]) => end(pool, member, outcome, nowMs, how);
  const probe = (outcome: keyof typeof Outcome, nowMs: number, evidence: Evidence = Evidence.sound) => {
    assert.equal(pool.members.takeProbe(nowMs), member, 'no probe was due');
    return ends(outcome, nowMs, { probe: member.probe, evidence });
  };
  return { pool, member, ends, probe, fails: (nowMs = 0, times = 5) => fail(pool, member, nowMs, times) };
}

/** The same after five faults in a row. */
function setUpEjected(nowMs = 0, random = constant(0.5)) {
  const made = setUp({}, random);
  made.fails(nowMs);
  return made;
}

describe('Consecutive faults', () => {
  it('eject an endpoint at the fifth fault in a row, not at the fourth', () => {
    const { pool, member, ends, fails } = setUp();
    assert.deepEqual([fails(1_000, 4), pool.members.mayCall(member)], [nothing, true]);
    assert.deepEqual([ends('fault', 1_000), pool.members.mayCall(member)], [ejected, false]);
    const { detected, enforced } = findingsOf(pool);
    assert.deepEqual([detected, enforced, pool.members.ejected, pool.members.eligible], [1, 1, 1, 2]);
  });

  it('do not eject an endpoint for five faults with a success among them', () => {
    const { ends, fails } = setUp();
    fails(0, 4);
    ends('success', 0);
    assert.deepEqual([fails(0, 4), ends('fault', 0)], [nothing, ejected]);
  });

  for (const outcome of ['neutral', 'refusal', 'cancelled', 'overload'] as const)
    it(`are neither counted nor reset by the outcome ${outcome}`, () => {
      const { ends, fails } = setUp();
      for (let i = 0; i < 100; i += 1) assert.equal(ends(outcome, 0), nothing);
      fails(0, 4);
      ends(outcome, 0);
      assert.equal(ends('fault', 0), ejected);
    });

  it('do not count faults that rest on elapsed time while the event loop stood still', () => {
    const { member, ends, fails } = setUp();
    fails(0, 4);
    for (let i = 0; i < 20; i += 1) assert.equal(ends('fault', 0, { evidence: Evidence.doubtful }), nothing);
    assert.equal(member.consecutiveFaults, 4);
  });
});

describe('An ejection', () => {
  it('lasts base × count, at most the longest time, and no probe goes earlier', () => {
    let nowMs = 1_000;
    const { pool, member, probe } = setUpEjected(nowMs);
    for (const seconds of [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]) {
      assert.equal(member.untilMs - nowMs, seconds * 1_000);
      assert.equal(pool.members.takeProbe(member.untilMs - 1), undefined);
      nowMs = member.untilMs;
      assert.equal(probe('fault', nowMs), reEjected);
    }
  });

  for (const [draw, lengthMs] of [
    [0, 27_000],
    [0.5, 30_000],
    [0.999999, 33_000],
  ] as const)
    it(`lasts ${lengthMs} ms with a random number of ${draw}`, () =>
      assert.ok(Math.abs(setUpEjected(0, constant(draw)).member.untilMs - lengthMs) < 1));

  for (const [cleanMs, nextMs] of [
    [29_999, 90_000],
    [30_000, 60_000],
    [60_000, 30_000],
    [600_000, 30_000],
  ] as const)
    it(`lasts ${nextMs} ms after two ejections and ${cleanMs} ms without one`, () => {
      const { member, fails, probe } = setUpEjected();
      probe('fault', 30_000);
      probe('success', 90_000);
      fails(90_000 + cleanMs);
      assert.equal(member.untilMs - 90_000 - cleanMs, nextMs);
    });

  it('lasts the base time again after twenty ejections and ten times base without one', () => {
    const { member, fails, probe } = setUpEjected();
    for (let i = 0; i < 20; i += 1) probe('fault', member.untilMs);
    const backMs = member.untilMs;
    probe('success', backMs);
    fails(backMs + 300_000);
    assert.equal(member.untilMs - member.sinceMs, 30_000);
  });
});

describe('The probe of an ejected endpoint', () => {
  it('is one probing call at a time, to an available endpoint', () => {
    const { pool, member } = setUpEjected();
    pool.members.setAvailable(member, 'unavailable');
    assert.equal(pool.members.takeProbe(40_000), undefined);
    pool.members.setAvailable(member, 'available');
    assert.equal(pool.members.takeProbe(40_000), member);
    assert.deepEqual([member.state, pool.members.mayCall(member)], [EjectionState.probing, false]);
    for (let i = 0; i < 10; i += 1) assert.equal(pool.members.takeProbe(1e9), undefined);
  });

  it('readmits the endpoint with a success, and clears every counter', () => {
    const { pool, member, fails, probe } = setUpEjected();
    assert.equal(probe('success', 30_000), readmitted);
    assert.deepEqual([pool.members.mayCall(member), member.consecutiveFaults], [true, 0]);
    assert.deepEqual([pool.members.ejected, pool.members.eligible], [0, 3]);
    assert.equal(fails(30_000, 4), nothing);
  });

  for (const [outcome, lastedMs, evidence, waitMs] of [
    ['neutral', 0, 'sound', 0],
    ['neutral', 2_000, 'sound', 0],
    ['cancelled', 0, 'sound', 0],
    ['cancelled', 99, 'sound', 0],
    ['cancelled', 100, 'sound', 1_000],
    ['cancelled', 100, 'doubtful', 0],
    ['cancelled', 2, 'slow', 1_000],
    ['refusal', 0, 'sound', 1_000],
    ['overload', 0, 'sound', 1_000],
  ] as const) {
    const what = `${outcome} after ${lastedMs} ms (${evidence})`;
    it(`proves nothing by ${what}: the next probe goes ${waitMs} ms later`, () => {
      const { pool, member, ends, probe } = setUpEjected();
      const endMs = 30_000 + lastedMs;
      assert.equal(pool.members.takeProbe(30_000), member);
      const details = { startedMs: 30_000, probe: member.probe, evidence: Evidence[evidence] };
      assert.deepEqual([ends(outcome, endMs, details), member.count], [nothing, 1]);
      if (waitMs > 0) assert.equal(pool.members.takeProbe(endMs + waitMs - 1), undefined);
      assert.equal(probe('success', endMs + waitMs), readmitted);
    });
  }

  for (const [outcome, evidence, waitsMs] of [
    ['neutral', 'sound', [0, 1_000, 2_000, 4_000, 4_000, 4_000]],
    ['cancelled', 'slow', [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]],
    ['cancelled', 'sound', [0, 1_000, 2_000, 4_000]],
    ['fault', 'doubtful', [0, 1_000, 2_000, 4_000]],
    ['overload', 'sound', [1_000, 2_000, 4_000, 4_000, 4_000]],
    ['refusal', 'sound', [1_000, 2_000, 4_000, 4_000, 4_000]],
  ] as const)
    it(`is repeated later and later while each proves nothing: ${outcome} (${evidence})`, () => {
      const { pool, member, probe } = setUpEjected();
      let nowMs = 30_000;
      for (const waitMs of waitsMs) {
        assert.equal(probe(outcome, nowMs, Evidence[evidence]), nothing);
        assert.equal(member.untilMs - nowMs, waitMs);
        if (waitMs > 0) assert.equal(pool.members.takeProbe(member.untilMs - 1), undefined);
        nowMs = member.untilMs;
      }
      assert.deepEqual([probe('success', nowMs), member.count], [readmitted, 1]);
    });

  it('is repeated ever later while each takes a second of its call and proves nothing', () => {
    const { pool, member, ends } = setUpEjected();
    let nowMs = 30_000;
    for (const waitMs of [0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      assert.equal(pool.members.takeProbe(nowMs), member);
      ends('neutral', nowMs + 1_000, { startedMs: nowMs, probe: member.probe, evidence: Evidence.sound });
      assert.equal(member.untilMs - nowMs - 1_000, waitMs);
      nowMs = member.untilMs;
    }
  });

  it('is repeated at once again after the next ejection, and after news of the endpoint', () => {
    const { pool, member, probe } = setUpEjected();
    const proveNothing = (nowMs: number): number => {
      for (let i = 0; i < 2; i += 1) probe('neutral', nowMs);
      return member.untilMs - nowMs;
    };
    assert.equal(proveNothing(30_000), 1_000);
    assert.equal(probe('fault', member.untilMs), reEjected);
    assert.equal(proveNothing(member.untilMs), 1_000);
    pool.members.probeNow(member, member.untilMs - 500);
    assert.equal(proveNothing(member.untilMs), 1_000);
  });

  it('proves nothing by a fault that a stall of this process may explain', () => {
    const { pool, member, probe } = setUpEjected();
    assert.equal(probe('fault', 30_000, Evidence.doubtful), nothing);
    assert.equal(pool.members.takeProbe(30_000), member);
  });

  it('is the only call that decides: late results of calls begun before the ejection do not count', () => {
    const { pool, member, ends } = setUpEjected(1_000);
    ends('success', 2_000, { startedMs: 500 });
    assert.equal(member.state, EjectionState.ejected);
    assert.equal(pool.members.takeProbe(31_000), member);
    const { probe } = member;
    ends('success', 31_000, { startedMs: 500 });
    ends('fault', 31_000, { startedMs: 500 });
    assert.equal(member.state, EjectionState.probing);
    ends('success', 31_010, { startedMs: 31_000, probe });
    for (let i = 0; i < 20; i += 1) assert.equal(ends('fault', 32_000, { startedMs: 500 }), nothing);
    assert.equal(member.consecutiveFaults, 0);
  });

  it('is given to another call when it takes too long, and its own end no longer counts', () => {
    const { pool, member, ends } = setUpEjected();
    assert.equal(pool.members.takeProbe(30_000, 60_000), member);
    const { probe: first } = member;
    assert.deepEqual([pool.members.isProbeDue(59_999), pool.members.takeProbe(59_999)], [false, undefined]);
    assert.deepEqual([pool.members.isProbeDue(60_000), pool.members.takeProbe(60_000)], [true, member]);
    const succeed = (probe: number) => ends('success', 60_010, { startedMs: 30_000, probe });
    assert.deepEqual([succeed(first), member.state], [nothing, EjectionState.probing]);
    assert.equal(succeed(member.probe), readmitted);
  });

  it('is not taken by asking whether one is due', () => {
    const { pool, member } = setUpEjected();
    for (let i = 0; i < 3; i += 1)
      assert.deepEqual([pool.members.isProbeDue(29_999), pool.members.isProbeDue(30_000)], [false, true]);
    assert.equal(pool.members.takeProbe(30_000), member);
    assert.equal(pool.members.isProbeDue(1e9), false);
  });

  it('is not mistaken for a later probe when it ends after a readmission', () => {
    const { pool, member, ends, fails } = setUpEjected();
    pool.members.takeProbe(30_000);
    const stale = member.probe;
    pool.members.readmit(member, 31_000);
    assert.equal(pool.members.mayCall(member), true);
    fails(31_000);
    pool.members.takeProbe(1e9);
    assert.equal(ends('success', 1e9, { startedMs: 30_000, probe: stale }), nothing);
    assert.equal(member.state, EjectionState.probing);
  });
});

describe('EjectionPool in mode observe', () => {
  it('counts what would be ejected, and ejects no endpoint', () => {
    const { pool, member, ends, fails } = setUp({ mode: 'observe' });
    assert.deepEqual([fails(), fails(0, 4), ends('fault', 0)], [observed, nothing, observed]);
    assert.equal(pool.members.mayCall(member), true);
    const nothingElse = { overCap: 0, lastEligible: 0 };
    assert.deepEqual(findingsOf(pool), { detected: 2, enforced: 0, observed: 2, ...nothingElse });
  });

  it('applies to consecutive faults alone when only that detector observes, and finds nothing when it is off', () => {
    const detectors = (mode: 'observe' | 'off') => ({ consecutive: { mode } });
    const { pool, fails } = setUp({ detectors: detectors('observe') });
    assert.equal(fails(), observed);
    const counts = pool.counts.by[Detector.consecutive]!;
    assert.deepEqual([counts.detected, counts.enforced, counts.notEnforced.observed], [1, 0, 1]);
    pool.configure({ ...EJECTION_SETTINGS, detectors: detectors('off') }, 0);
    assert.deepEqual([fails(0, 50), counts.detected], [nothing, 1]);
    pool.configure(EJECTION_SETTINGS, 0);
    assert.equal(fails(), ejected);
  });

  it('readmits all endpoints when it is switched on', () => {
    const { pool, member } = setUpEjected();
    pool.configure({ ...EJECTION_SETTINGS, mode: 'observe' }, 5_000);
    assert.deepEqual([pool.members.mayCall(member), pool.members.ejected], [true, 0]);
  });
});
