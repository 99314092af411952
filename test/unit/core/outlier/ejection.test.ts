import assert from 'node:assert/strict';
import type { Outcome } from '../../../../sidecar/core/outcome/outcome.js';
import { Detector } from '../../../../sidecar/core/outlier/detectors.js';
import {
  type Ejection,
  EjectionEvent,
  EjectionState,
  Evidence,
} from '../../../../sidecar/core/outlier/ejection.js';
import type { EjectionPool } from '../../../../sidecar/core/outlier/ejection-pool.js';
import { EJECTION_SETTINGS, ejectionPool, end, fail } from '../../../kit/core/ejections.js';
import { constant } from '../../../kit/time/seeded-random.js';

function probe(
  pool: EjectionPool,
  member: Ejection,
  outcome: keyof typeof Outcome,
  nowMs: number,
  evidence: Evidence = Evidence.sound,
): EjectionEvent {
  assert.equal(pool.takeProbe(nowMs), member, 'no probe was due');
  return end(pool, member, outcome, nowMs, { probe: member.probe, evidence });
}

describe('Consecutive faults', () => {
  it('eject an endpoint at the fifth fault in a row, not at the fourth', () => {
    const { pool, a: member } = ejectionPool(3);
    assert.equal(fail(pool, member, 1_000, 4), EjectionEvent.nothing);
    assert.equal(pool.mayCall(member), true);
    assert.equal(end(pool, member, 'fault', 1_000), EjectionEvent.ejected);
    assert.equal(pool.mayCall(member), false);
    assert.deepEqual([pool.detected, pool.enforced, pool.ejected, pool.eligible], [1, 1, 1, 2]);
  });

  it('do not eject an endpoint for five faults with a success among them', () => {
    const { pool, a: member } = ejectionPool(3);
    fail(pool, member, 0, 4);
    end(pool, member, 'success', 0);
    assert.equal(fail(pool, member, 0, 4), EjectionEvent.nothing);
    assert.equal(end(pool, member, 'fault', 0), EjectionEvent.ejected);
  });

  for (const outcome of ['neutral', 'refusal', 'cancelled', 'overload'] as const) {
    it(`are neither counted nor reset by the outcome ${outcome}`, () => {
      const { pool, a: member } = ejectionPool(3);
      for (let i = 0; i < 100; i += 1) assert.equal(end(pool, member, outcome, 0), EjectionEvent.nothing);
      fail(pool, member, 0, 4);
      end(pool, member, outcome, 0);
      assert.equal(end(pool, member, 'fault', 0), EjectionEvent.ejected);
    });
  }

  it('do not count faults that rest on elapsed time while the event loop stood still', () => {
    const { pool, a: member } = ejectionPool(3);
    fail(pool, member, 0, 4);
    for (let i = 0; i < 20; i += 1) {
      const event = end(pool, member, 'fault', 0, { evidence: Evidence.doubtful });
      assert.equal(event, EjectionEvent.nothing);
    }
    assert.equal(member.consecutiveFaults, 4);
  });
});

describe('An ejection', () => {
  it('lasts base × count, at most the longest time, and no probe goes earlier', () => {
    const { pool, a: member } = ejectionPool(3);
    const lengths: number[] = [];
    let nowMs = 1_000;
    fail(pool, member, nowMs);
    for (let i = 0; i < 12; i += 1) {
      lengths.push(member.untilMs - nowMs);
      assert.equal(pool.takeProbe(member.untilMs - 1), undefined);
      nowMs = member.untilMs;
      assert.equal(probe(pool, member, 'fault', nowMs), EjectionEvent.reEjected);
    }
    assert.deepEqual(
      lengths,
      [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300].map((seconds) => seconds * 1_000),
    );
  });

  for (const [draw, lengthMs] of [
    [0, 27_000],
    [0.5, 30_000],
    [0.999999, 33_000],
  ] as const) {
    it(`lasts ${lengthMs} ms with a random number of ${draw}`, () => {
      const { pool, a: member } = ejectionPool(3, {}, constant(draw));
      fail(pool, member, 0);
      assert.ok(Math.abs(member.untilMs - lengthMs) < 1);
    });
  }

  for (const [cleanMs, nextMs] of [
    [29_999, 90_000],
    [30_000, 60_000],
    [60_000, 30_000],
    [600_000, 30_000],
  ] as const) {
    it(`lasts ${nextMs} ms after two ejections and ${cleanMs} ms without one`, () => {
      const { pool, a: member } = ejectionPool(3);
      fail(pool, member, 0);
      probe(pool, member, 'fault', 30_000);
      probe(pool, member, 'success', 90_000);
      const nowMs = 90_000 + cleanMs;
      fail(pool, member, nowMs);
      assert.equal(member.untilMs - nowMs, nextMs);
    });
  }

  it('lasts the base time again after twenty ejections and ten times base without one', () => {
    const { pool, a: member } = ejectionPool(3);
    fail(pool, member, 0);
    for (let i = 0; i < 20; i += 1) probe(pool, member, 'fault', member.untilMs);
    const backMs = member.untilMs;
    probe(pool, member, 'success', backMs);
    fail(pool, member, backMs + 300_000);
    assert.equal(member.untilMs - member.sinceMs, 30_000);
  });
});

describe('The probe of an ejected endpoint', () => {
  it('is one probing call at a time, to an available endpoint', () => {
    const { pool, a: member } = ejectionPool(3);
    fail(pool, member, 0);
    pool.setAvailable(member, 'unavailable');
    assert.equal(pool.takeProbe(40_000), undefined);
    pool.setAvailable(member, 'available');
    assert.equal(pool.takeProbe(40_000), member);
    assert.equal(member.state, EjectionState.probing);
    assert.equal(pool.mayCall(member), false);
    for (let i = 0; i < 10; i += 1) assert.equal(pool.takeProbe(1e9), undefined);
  });

  it('readmits the endpoint with a success, and clears every counter', () => {
    const { pool, a: member } = ejectionPool(3);
    fail(pool, member, 0);
    assert.equal(probe(pool, member, 'success', 30_000), EjectionEvent.readmitted);
    assert.equal(pool.mayCall(member), true);
    assert.equal(member.consecutiveFaults, 0);
    assert.deepEqual([pool.ejected, pool.eligible], [0, 3]);
    assert.equal(fail(pool, member, 30_000, 4), EjectionEvent.nothing);
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
      const { pool, a: member } = ejectionPool(3);
      fail(pool, member, 0);
      const endMs = 30_000 + lastedMs;
      assert.equal(pool.takeProbe(30_000), member);
      const details = { startedMs: 30_000, probe: member.probe, evidence: Evidence[evidence] };
      assert.equal(end(pool, member, outcome, endMs, details), EjectionEvent.nothing);
      assert.equal(member.count, 1);
      if (waitMs > 0) assert.equal(pool.takeProbe(endMs + waitMs - 1), undefined);
      assert.equal(probe(pool, member, 'success', endMs + waitMs), EjectionEvent.readmitted);
    });
  }

  it('proves nothing by a fault that a stall of this process may explain', () => {
    const { pool, a: member } = ejectionPool(3);
    fail(pool, member, 0);
    assert.equal(probe(pool, member, 'fault', 30_000, Evidence.doubtful), EjectionEvent.nothing);
    assert.equal(pool.takeProbe(30_000), member);
  });

  it('is the only call that decides: late results of calls begun before the ejection do not count', () => {
    const { pool, a: member } = ejectionPool(3);
    fail(pool, member, 1_000);
    end(pool, member, 'success', 2_000, { startedMs: 500 });
    assert.equal(member.state, EjectionState.ejected);
    assert.equal(pool.takeProbe(31_000), member);
    const { probe: number } = member;
    end(pool, member, 'success', 31_000, { startedMs: 500 });
    end(pool, member, 'fault', 31_000, { startedMs: 500 });
    assert.equal(member.state, EjectionState.probing);
    end(pool, member, 'success', 31_010, { startedMs: 31_000, probe: number });
    for (let i = 0; i < 20; i += 1)
      assert.equal(end(pool, member, 'fault', 32_000, { startedMs: 500 }), EjectionEvent.nothing);
    assert.equal(member.consecutiveFaults, 0);
  });

  it('is given to another call when it takes too long, and its own end no longer counts', () => {
    const { pool, a: member } = ejectionPool(3);
    fail(pool, member, 0);
    assert.equal(pool.takeProbe(30_000, 60_000), member);
    const { probe: first } = member;
    assert.deepEqual([pool.isProbeDue(59_999), pool.takeProbe(59_999)], [false, undefined]);
    assert.deepEqual([pool.isProbeDue(60_000), pool.takeProbe(60_000)], [true, member]);
    const succeed = (probe: number): EjectionEvent =>
      end(pool, member, 'success', 60_010, { startedMs: 30_000, probe });
    assert.equal(succeed(first), EjectionEvent.nothing);
    assert.equal(member.state, EjectionState.probing);
    assert.equal(succeed(member.probe), EjectionEvent.readmitted);
  });

  it('is not taken by asking whether one is due', () => {
    const { pool, a: member } = ejectionPool(3);
    fail(pool, member, 0);
    for (let i = 0; i < 3; i += 1)
      assert.deepEqual([pool.isProbeDue(29_999), pool.isProbeDue(30_000)], [false, true]);
    assert.equal(pool.takeProbe(30_000), member);
    assert.equal(pool.isProbeDue(1e9), false);
  });

  it('is not mistaken for a later probe when it ends after a readmission', () => {
    const { pool, a: member } = ejectionPool(3);
    fail(pool, member, 0);
    pool.takeProbe(30_000);
    const stale = member.probe;
    pool.readmit(member, 31_000);
    assert.equal(pool.mayCall(member), true);
    fail(pool, member, 31_000);
    pool.takeProbe(1e9);
    const event = end(pool, member, 'success', 1e9, { startedMs: 30_000, probe: stale });
    assert.equal(event, EjectionEvent.nothing);
    assert.equal(member.state, EjectionState.probing);
  });
});

describe('EjectionPool in mode observe', () => {
  it('counts what would be ejected, and ejects no endpoint', () => {
    const { pool, a: member } = ejectionPool(3, { mode: 'observe' });
    assert.equal(fail(pool, member, 0), EjectionEvent.observed);
    assert.equal(fail(pool, member, 0, 4), EjectionEvent.nothing);
    assert.equal(end(pool, member, 'fault', 0), EjectionEvent.observed);
    assert.equal(pool.mayCall(member), true);
    assert.deepEqual([pool.detected, pool.enforced, pool.notEnforced.observed], [2, 0, 2]);
  });

  it('applies to consecutive faults alone when only that detector observes, and finds nothing when it is off', () => {
    const detectors = (mode: 'observe' | 'off') => ({ consecutive: { mode } });
    const { pool, a: member } = ejectionPool(3, { detectors: detectors('observe') });
    assert.equal(fail(pool, member, 0), EjectionEvent.observed);
    const counts = pool.counts.by[Detector.consecutive]!;
    assert.deepEqual([counts.detected, counts.enforced, counts.notEnforced.observed], [1, 0, 1]);
    pool.configure({ ...EJECTION_SETTINGS, detectors: detectors('off') }, 0);
    assert.equal(fail(pool, member, 0, 50), EjectionEvent.nothing);
    assert.equal(counts.detected, 1);
    pool.configure(EJECTION_SETTINGS, 0);
    assert.equal(fail(pool, member, 0), EjectionEvent.ejected);
  });

  it('readmits all endpoints when it is switched on', () => {
    const { pool, a: member } = ejectionPool(3);
    fail(pool, member, 0);
    pool.configure({ ...EJECTION_SETTINGS, mode: 'observe' }, 5_000);
    assert.equal(pool.mayCall(member), true);
    assert.equal(pool.ejected, 0);
  });
});
