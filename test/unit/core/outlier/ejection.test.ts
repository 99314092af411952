import assert from 'node:assert/strict';
import { Outcome } from '../../../../sidecar/core/outcome/outcome.js';
import { Detector } from '../../../../sidecar/core/outlier/detectors.js';
import {
  Ejection,
  EjectionEvent,
  type EjectionSettings,
  EjectionState,
  Evidence,
  NO_PROBE,
} from '../../../../sidecar/core/outlier/ejection.js';
import { EjectionPool } from '../../../../sidecar/core/outlier/ejection-pool.js';
import { constant } from '../../../kit/time/seeded-random.js';

const SETTINGS: EjectionSettings = {
  mode: 'enforce',
  consecutiveFaults: 5,
  baseMs: 30_000,
  maxMs: 300_000,
  jitter: 0.1,
};
/** Half of the range: no jitter at all. */
const NO_JITTER = constant(0.5);

function setUp(count: number, settings: Partial<EjectionSettings> = {}, random = NO_JITTER) {
  const pool = new EjectionPool({ ...SETTINGS, ...settings }, random);
  const members = Array.from({ length: count }, () => new Ejection());
  for (const member of members) pool.add(member);
  return { pool, members, member: members[0]! };
}

/** One ordinary attempt that ends at `nowMs`; by default it began just then. */
function end(
  pool: EjectionPool,
  member: Ejection,
  outcome: Outcome,
  nowMs: number,
  startedMs = nowMs,
): EjectionEvent {
  return pool.record(member, outcome, startedMs, nowMs, NO_PROBE, Evidence.sound);
}

function fail(pool: EjectionPool, member: Ejection, nowMs: number, times = 5): EjectionEvent {
  let verdict: EjectionEvent = EjectionEvent.nothing;
  for (let i = 0; i < times; i += 1) verdict = end(pool, member, Outcome.fault, nowMs);
  return verdict;
}

function probe(
  pool: EjectionPool,
  member: Ejection,
  outcome: Outcome,
  nowMs: number,
  evidence: Evidence = Evidence.sound,
): EjectionEvent {
  assert.equal(pool.takeProbe(nowMs), member, 'no probe was due');
  return pool.record(member, outcome, nowMs, nowMs, member.probe, evidence);
}

describe('EjectionPool, what ejects', () => {
  it('the fifth fault in a row, not the fourth', () => {
    const { pool, member } = setUp(3);
    assert.equal(fail(pool, member, 1_000, 4), EjectionEvent.nothing);
    assert.equal(pool.mayCall(member), true);
    assert.equal(end(pool, member, Outcome.fault, 1_000), EjectionEvent.ejected);
    assert.equal(pool.mayCall(member), false);
    assert.deepEqual([pool.detected, pool.enforced, pool.ejected, pool.eligible], [1, 1, 1, 2]);
  });

  it('not five faults with a success among them', () => {
    const { pool, member } = setUp(3);
    fail(pool, member, 0, 4);
    end(pool, member, Outcome.success, 0);
    assert.equal(fail(pool, member, 0, 4), EjectionEvent.nothing);
    assert.equal(end(pool, member, Outcome.fault, 0), EjectionEvent.ejected);
  });

  for (const outcome of ['neutral', 'refusal', 'cancelled', 'overload'] as const) {
    it(`${outcome} neither raises nor resets the count`, () => {
      const { pool, member } = setUp(3);
      for (let i = 0; i < 100; i += 1)
        assert.equal(end(pool, member, Outcome[outcome], 0), EjectionEvent.nothing);
      fail(pool, member, 0, 4);
      end(pool, member, Outcome[outcome], 0);
      assert.equal(end(pool, member, Outcome.fault, 0), EjectionEvent.ejected);
    });
  }

  it('not faults known from elapsed time while our own event loop stood still', () => {
    const { pool, member } = setUp(3);
    fail(pool, member, 0, 4);
    for (let i = 0; i < 20; i += 1) {
      assert.equal(
        pool.record(member, Outcome.fault, 0, 0, NO_PROBE, Evidence.doubtful),
        EjectionEvent.nothing,
      );
    }
    assert.equal(member.consecutiveFaults, 4);
  });
});

describe('EjectionPool, how long', () => {
  it('base × count, at most the longest, and a probe no earlier', () => {
    const { pool, member } = setUp(3);
    const lengths: number[] = [];
    let nowMs = 1_000;
    fail(pool, member, nowMs);
    for (let i = 0; i < 12; i += 1) {
      lengths.push(member.untilMs - nowMs);
      assert.equal(pool.takeProbe(member.untilMs - 1), undefined);
      nowMs = member.untilMs;
      assert.equal(probe(pool, member, Outcome.fault, nowMs), EjectionEvent.reEjected);
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
    it(`with a draw of ${draw}, ${lengthMs} ms`, () => {
      const { pool, member } = setUp(3, {}, constant(draw));
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
    it(`after two ejections and ${cleanMs} ms without one, ${nextMs} ms`, () => {
      const { pool, member } = setUp(3);
      fail(pool, member, 0);
      probe(pool, member, Outcome.fault, 30_000);
      probe(pool, member, Outcome.success, 90_000);
      const nowMs = 90_000 + cleanMs;
      fail(pool, member, nowMs);
      assert.equal(member.untilMs - nowMs, nextMs);
    });
  }

  it('after twenty ejections, base again once ten times base were clean: what is beyond the longest is not remembered', () => {
    const { pool, member } = setUp(3);
    fail(pool, member, 0);
    for (let i = 0; i < 20; i += 1) probe(pool, member, Outcome.fault, member.untilMs);
    const backMs = member.untilMs;
    probe(pool, member, Outcome.success, backMs);
    fail(pool, member, backMs + 300_000);
    assert.equal(member.untilMs - member.sinceMs, 30_000);
  });
});

describe('EjectionPool, the way back', () => {
  it('is one probing call at a time, to an available endpoint', () => {
    const { pool, member } = setUp(3);
    fail(pool, member, 0);
    pool.setAvailable(member, 'unavailable');
    assert.equal(pool.takeProbe(40_000), undefined);
    pool.setAvailable(member, 'available');
    assert.equal(pool.takeProbe(40_000), member);
    assert.equal(member.state, EjectionState.probing);
    assert.equal(pool.mayCall(member), false);
    for (let i = 0; i < 10; i += 1) assert.equal(pool.takeProbe(1e9), undefined);
  });

  it('a success re-admits, and clears every counter', () => {
    const { pool, member } = setUp(3);
    fail(pool, member, 0);
    assert.equal(probe(pool, member, Outcome.success, 30_000), EjectionEvent.readmitted);
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
    it(`${what} proves nothing: the next probe goes ${waitMs} ms later`, () => {
      const { pool, member } = setUp(3);
      fail(pool, member, 0);
      const endMs = 30_000 + lastedMs;
      assert.equal(pool.takeProbe(30_000), member);
      const verdict = pool.record(member, Outcome[outcome], 30_000, endMs, member.probe, Evidence[evidence]);
      assert.equal(verdict, EjectionEvent.nothing);
      assert.equal(member.count, 1);
      if (waitMs > 0) assert.equal(pool.takeProbe(endMs + waitMs - 1), undefined);
      assert.equal(probe(pool, member, Outcome.success, endMs + waitMs), EjectionEvent.readmitted);
    });
  }

  it('a fault that our own stall may explain proves nothing either', () => {
    const { pool, member } = setUp(3);
    fail(pool, member, 0);
    assert.equal(probe(pool, member, Outcome.fault, 30_000, Evidence.doubtful), EjectionEvent.nothing);
    assert.equal(pool.takeProbe(30_000), member);
  });

  it('late results of calls begun before the ejection decide nothing, before and after re-admission', () => {
    const { pool, member } = setUp(3);
    fail(pool, member, 1_000);
    end(pool, member, Outcome.success, 2_000, 500);
    assert.equal(member.state, EjectionState.ejected);
    assert.equal(pool.takeProbe(31_000), member);
    const { probe: number } = member;
    end(pool, member, Outcome.success, 31_000, 500);
    end(pool, member, Outcome.fault, 31_000, 500);
    assert.equal(member.state, EjectionState.probing);
    pool.record(member, Outcome.success, 31_000, 31_010, number, Evidence.sound);
    for (let i = 0; i < 20; i += 1)
      assert.equal(end(pool, member, Outcome.fault, 32_000, 500), EjectionEvent.nothing);
    assert.equal(member.consecutiveFaults, 0);
  });

  it('a probe that lasts longer than it may is another call’s, and its end counts no longer', () => {
    const { pool, member } = setUp(3);
    fail(pool, member, 0);
    assert.equal(pool.takeProbe(30_000, 60_000), member);
    const { probe: first } = member;
    assert.deepEqual([pool.isProbeDue(59_999), pool.takeProbe(59_999)], [false, undefined]);
    assert.deepEqual([pool.isProbeDue(60_000), pool.takeProbe(60_000)], [true, member]);
    const end = (probe: number): EjectionEvent =>
      pool.record(member, Outcome.success, 30_000, 60_010, probe, Evidence.sound);
    assert.equal(end(first), EjectionEvent.nothing);
    assert.equal(member.state, EjectionState.probing);
    assert.equal(end(member.probe), EjectionEvent.readmitted);
  });

  it('to ask whether one is due takes none', () => {
    const { pool, member } = setUp(3);
    fail(pool, member, 0);
    for (let i = 0; i < 3; i += 1)
      assert.deepEqual([pool.isProbeDue(29_999), pool.isProbeDue(30_000)], [false, true]);
    assert.equal(pool.takeProbe(30_000), member);
    assert.equal(pool.isProbeDue(1e9), false);
  });

  it('a probe that ends after another way back is not taken for a later probe', () => {
    const { pool, member } = setUp(3);
    fail(pool, member, 0);
    pool.takeProbe(30_000);
    const stale = member.probe;
    pool.readmit(member, 31_000);
    assert.equal(pool.mayCall(member), true);
    fail(pool, member, 31_000);
    pool.takeProbe(1e9);
    assert.equal(
      pool.record(member, Outcome.success, 30_000, 1e9, stale, Evidence.sound),
      EjectionEvent.nothing,
    );
    assert.equal(member.state, EjectionState.probing);
  });
});

describe('EjectionPool, observing', () => {
  it('counts what would be ejected, and ejects nobody', () => {
    const { pool, member } = setUp(3, { mode: 'observe' });
    assert.equal(fail(pool, member, 0), EjectionEvent.observed);
    assert.equal(fail(pool, member, 0, 4), EjectionEvent.nothing);
    assert.equal(end(pool, member, Outcome.fault, 0), EjectionEvent.observed);
    assert.equal(pool.mayCall(member), true);
    assert.deepEqual([pool.detected, pool.enforced, pool.notEnforced.observed], [2, 0, 2]);
  });

  it('concerns faults in a row alone where only they observe, and finds none where they are off', () => {
    const detectors = (mode: 'observe' | 'off') => ({ consecutive: { mode } });
    const { pool, member } = setUp(3, { detectors: detectors('observe') });
    assert.equal(fail(pool, member, 0), EjectionEvent.observed);
    const counts = pool.counts.by[Detector.consecutive]!;
    assert.deepEqual([counts.detected, counts.enforced, counts.notEnforced.observed], [1, 0, 1]);
    pool.configure({ ...SETTINGS, detectors: detectors('off') }, 0);
    assert.equal(fail(pool, member, 0, 50), EjectionEvent.nothing);
    assert.equal(counts.detected, 1);
    pool.configure(SETTINGS, 0);
    assert.equal(fail(pool, member, 0), EjectionEvent.ejected);
  });

  it('re-admits everyone when it is switched on', () => {
    const { pool, member } = setUp(3);
    fail(pool, member, 0);
    pool.configure({ ...SETTINGS, mode: 'observe' }, 5_000);
    assert.equal(pool.mayCall(member), true);
    assert.equal(pool.ejected, 0);
  });
});
