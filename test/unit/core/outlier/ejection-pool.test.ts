import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Outcome } from '../../../../sidecar/core/outcome/outcome.js';
import { Detector } from '../../../../sidecar/core/outlier/detectors.js';
import {
  Ejection,
  EjectionEvent,
  EjectionState,
  Evidence,
  NO_PROBE,
} from '../../../../sidecar/core/outlier/ejection.js';
import { EjectionPool } from '../../../../sidecar/core/outlier/ejection-pool.js';
import { constant, seeded } from '../../../kit/time/seeded-random.js';

const SETTINGS = {
  mode: 'enforce',
  consecutiveFaults: 5,
  baseMs: 30_000,
  maxMs: 300_000,
  jitter: 0.1,
} as const;

function setUp(count: number) {
  const pool = new EjectionPool(SETTINGS, constant(0.5));
  const members = Array.from({ length: count }, () => new Ejection());
  for (const member of members) pool.add(member);
  return { pool, members };
}

function fail(pool: EjectionPool, member: Ejection, nowMs = 0): EjectionEvent {
  let verdict: EjectionEvent = EjectionEvent.nothing;
  for (let i = 0; i < 5; i += 1)
    verdict = pool.record(member, Outcome.fault, nowMs, nowMs, NO_PROBE, Evidence.sound);
  return verdict;
}

describe('EjectionPool, the guard', () => {
  for (const [count, most] of [
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [5, 2],
    [8, 4],
  ] as const) {
    it(`ejects at most ${most} of ${count}, however many fail`, () => {
      const { pool, members } = setUp(count);
      const verdicts = members.map((member) => fail(pool, member));
      assert.equal(verdicts.filter((verdict) => verdict === EjectionEvent.ejected).length, most);
      assert.equal(pool.ejected, most);
      assert.equal(pool.detected, count);
      assert.equal(pool.notEnforced.overCap + pool.notEnforced.lastEligible, count - most);
    });
  }

  it('never ejects the last eligible one, even below the cap', () => {
    const { pool, members } = setUp(4);
    const [a, b, c, d] = members as [Ejection, Ejection, Ejection, Ejection];
    pool.setAvailable(b, 'unavailable');
    pool.setAvailable(c, 'unavailable');
    pool.setAvailable(d, 'unavailable');
    assert.equal(fail(pool, a), EjectionEvent.lastEligible);
    pool.setAvailable(d, 'available');
    assert.equal(fail(pool, a), EjectionEvent.ejected);
    assert.equal(fail(pool, d), EjectionEvent.lastEligible);
  });

  it('re-admits those ejected when discovery takes the others away', () => {
    const { pool, members } = setUp(4);
    const [a, b, c, d] = members as [Ejection, Ejection, Ejection, Ejection];
    fail(pool, a, 0);
    fail(pool, b, 1_000);
    pool.remove(c, 2_000);
    assert.deepEqual([pool.ejected, a.state, b.state], [1, EjectionState.admitted, EjectionState.ejected]);
    pool.remove(d, 2_000);
    pool.remove(a, 2_000);
    assert.deepEqual([pool.ejected, pool.eligible], [0, 1]);
    pool.remove(a, 2_000);
    assert.equal(pool.size, 1);
  });

  it('counts an endpoint added twice once', () => {
    const { pool, members } = setUp(2);
    pool.add(members[0]!);
    assert.deepEqual([pool.size, pool.eligible], [2, 2]);
  });
});

describe('EjectionPool, panic', () => {
  it('begins below half eligible, not at half', () => {
    const { pool, members } = setUp(4);
    fail(pool, members[0]!);
    fail(pool, members[1]!);
    assert.equal(pool.eligible, 2);
    assert.equal(pool.isPanicking, false);
    pool.setAvailable(members[2]!, 'unavailable');
    assert.equal(pool.isPanicking, true);
  });

  it('lets calls go to the ejected again, and never to the disconnected', () => {
    const { pool, members } = setUp(4);
    const [a, b, c, d] = members as [Ejection, Ejection, Ejection, Ejection];
    fail(pool, a);
    fail(pool, b);
    pool.setAvailable(b, 'unavailable');
    pool.setAvailable(c, 'unavailable');
    assert.deepEqual(
      [a, b, c, d].map((member) => pool.mayCall(member)),
      [true, false, false, true],
    );
    pool.setAvailable(c, 'available');
    assert.equal(pool.mayCall(a), false);
  });

  it('is not declared when nobody is ejected: there is nobody to bring back', () => {
    const { pool, members } = setUp(3);
    for (const member of members) pool.setAvailable(member, 'unavailable');
    assert.equal(pool.isPanicking, false);
    assert.equal(pool.mayCall(members[0]!), false);
  });
});

describe('EjectionPool, of one whose sidecar says that it is down', () => {
  const down = (pool: EjectionPool, member: Ejection, nowMs = 0, probe = NO_PROBE): EjectionEvent =>
    pool.recordDown(member, nowMs, nowMs, probe);

  it('ejects it at once, beyond the cap, and does not bring it back in a panic', () => {
    const { pool, members } = setUp(4);
    const [a, b, c, d] = members as [Ejection, Ejection, Ejection, Ejection];
    for (const member of [a, b, c]) assert.equal(down(pool, member), EjectionEvent.ejected);
    assert.equal(down(pool, d), EjectionEvent.lastEligible);
    assert.deepEqual([pool.ejected, pool.eligible], [3, 1]);
    assert.deepEqual(
      members.map((member) => pool.mayCall(member)),
      [false, false, false, true],
    );
    assert.match(a.why, /its sidecar says/);
    const counts = pool.counts.by[Detector.modelUnavailable]!;
    assert.deepEqual([counts.detected, counts.enforced, counts.notEnforced.lastEligible], [4, 3, 1]);
  });

  it('takes nothing from the cap: one that is found out by its faults may go too', () => {
    const { pool, members } = setUp(4);
    const [a, b, c] = members as [Ejection, Ejection, Ejection];
    down(pool, a);
    assert.equal(fail(pool, b), EjectionEvent.ejected);
    assert.equal(fail(pool, c), EjectionEvent.ejected);
  });

  it('brings one back that was ejected on statistics rather than keep it as the last one', () => {
    const { pool, members } = setUp(2);
    const [a, b] = members as [Ejection, Ejection];
    fail(pool, a);
    assert.equal(down(pool, b), EjectionEvent.ejected);
    assert.deepEqual([pool.mayCall(a), pool.mayCall(b), pool.eligible], [true, false, 1]);
    assert.equal(down(pool, a), EjectionEvent.lastEligible, 'which is the last one then');
  });

  it('tries it after half a second, then after twice as long, up to the base, and takes it back with one success', () => {
    const { pool, members } = setUp(3);
    const [a] = members as [Ejection];
    down(pool, a);
    let nowMs = 0;
    for (const waitMs of [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      // The settings vary it by a tenth; chance is at its middle here.
      assert.equal(pool.takeProbe(nowMs + waitMs - 1), undefined);
      nowMs += waitMs;
      assert.equal(pool.takeProbe(nowMs), a);
      assert.equal(down(pool, a, nowMs, a.probe), EjectionEvent.reEjected);
    }
    assert.equal(pool.takeProbe(nowMs + 30_000), a);
    nowMs += 30_000;
    assert.equal(
      pool.record(a, Outcome.success, nowMs, nowMs, a.probe, Evidence.sound),
      EjectionEvent.readmitted,
    );
    assert.equal(a.count, 0, 'it counts for no longer ejection another time');
    assert.equal(down(pool, a, nowMs), EjectionEvent.ejected);
    assert.equal(a.untilMs, nowMs + 500);
  });

  it('knows it from a trial too', () => {
    const { pool, members } = setUp(2);
    const [a, b] = members as [Ejection, Ejection];
    fail(pool, a);
    assert.equal(pool.takeProbe(30_000), a);
    assert.equal(down(pool, a, 30_000, a.probe), EjectionEvent.reEjected);
    assert.ok(a.isDown);
    assert.equal(a.untilMs, 31_000);
    assert.equal(fail(pool, b, 30_000), EjectionEvent.lastEligible);
  });

  it('leaves the last one in, says so once, and goes on counting its faults', () => {
    const { pool, members } = setUp(1);
    const [a] = members as [Ejection];
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(() => down(pool, a)),
      [
        EjectionEvent.lastEligible,
        EjectionEvent.nothing,
        EjectionEvent.nothing,
        EjectionEvent.nothing,
        EjectionEvent.lastEligible,
      ],
    );
  });

  for (const [mode, ejected] of [
    ['observe', 0],
    ['off', 0],
  ] as const) {
    it(`only counts it, or not even that, when told to ${mode}`, () => {
      const pool = new EjectionPool(
        { ...SETTINGS, detectors: { modelUnavailable: { mode } } },
        constant(0.5),
      );
      const members = [new Ejection(), new Ejection(), new Ejection()];
      for (const member of members) pool.add(member);
      assert.equal(
        down(pool, members[0]!),
        mode === 'observe' ? EjectionEvent.observed : EjectionEvent.nothing,
      );
      assert.equal(pool.ejected, ejected);
      for (let i = 0; i < 4; i += 1) down(pool, members[0]!);
      assert.equal(pool.ejected, 1, 'by faults in a row');
    });
  }
});

describe('EjectionPool, under anything', () => {
  it('never has more than the cap ejected, keeps its counts, probes one call at a time, and ejects no last one', () => {
    const step = fc.record({
      kind: fc.constantFrom(
        'fail',
        'fail',
        'fail',
        'down',
        'down',
        'succeed',
        'end',
        'probe',
        'endProbe',
        'remove',
        'add',
        'away',
        'back',
        'wait',
      ),
      who: fc.nat(7),
      outcome: fc.constantFrom(...Object.values(Outcome)),
      waitMs: fc.nat(100_000),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.array(step, { maxLength: 120 }),
        fc.nat(),
        (count, steps, seed) => {
          const pool = new EjectionPool(SETTINGS, seeded(seed));
          const members = Array.from({ length: count }, () => new Ejection());
          const present = new Set(members);
          for (const member of members) pool.add(member);
          const probing = new Map<Ejection, number>();
          let nowMs = 0;
          for (const { kind, who, outcome, waitMs } of steps) {
            const member = members[who % count]!;
            const eligibleBefore = pool.eligible;
            let verdict: EjectionEvent = EjectionEvent.nothing;
            if (kind === 'wait') nowMs += waitMs;
            else if (kind === 'remove') {
              pool.remove(member, nowMs);
              present.delete(member);
              probing.delete(member);
            } else if (kind === 'add') {
              pool.add(member);
              pool.keepToCap(nowMs);
              present.add(member);
            } else if (kind === 'away' || kind === 'back')
              pool.setAvailable(member, kind === 'away' ? 'unavailable' : 'available');
            else if (!present.has(member)) continue;
            else if (kind === 'fail') verdict = fail(pool, member, nowMs);
            else if (kind === 'down') verdict = pool.recordDown(member, nowMs, nowMs, NO_PROBE);
            else if (kind === 'succeed')
              pool.record(member, Outcome.success, nowMs, nowMs, NO_PROBE, Evidence.sound);
            else if (kind === 'end')
              pool.record(member, outcome, nowMs - 500, nowMs, NO_PROBE, Evidence.sound);
            else if (kind === 'probe') {
              const isDue = (each: Ejection): boolean =>
                each.state === EjectionState.ejected && each.isAvailable && each.untilMs <= nowMs;
              const dueNow = [...present].filter(isDue);
              assert.equal(pool.isProbeDue(nowMs), dueNow.length > 0);
              const due = pool.takeProbe(nowMs);
              assert.equal(due !== undefined, dueNow.length > 0);
              if (due !== undefined) {
                assert.ok(dueNow.includes(due));
                assert.ok(!probing.has(due), 'two probes at once');
                probing.set(due, due.probe);
              }
            } else if (probing.has(member)) {
              const probe = probing.get(member)!;
              if (waitMs % 3 === 0) pool.recordDown(member, nowMs, nowMs, probe);
              else pool.record(member, outcome, nowMs, nowMs, probe, Evidence.sound);
              probing.delete(member);
            }
            for (const [other, number] of probing) if (other.probe !== number) probing.delete(other);

            const out = [...present].filter(({ state }) => state !== EjectionState.admitted).length;
            const eligible = [...present].filter(
              ({ state, isAvailable }) => isAvailable && state === EjectionState.admitted,
            ).length;
            assert.equal(pool.ejected, out);
            assert.equal(pool.eligible, eligible);
            const down = [...present].filter(({ isDown }) => isDown).length;
            assert.ok([...present].every(({ isDown, state }) => !isDown || state !== EjectionState.admitted));
            const most = Math.max(1, Math.floor(present.size / 2));
            assert.ok(out - down <= most, `${out} of ${present.size} ejected, ${down} of them down`);
            assert.ok(out < present.size || out === 0, 'everyone is out');
            if (verdict === EjectionEvent.ejected)
              assert.ok(eligible >= 1, `the last of ${eligibleBefore} was ejected`);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('EjectionPool beside one that could take over', () => {
  it('ejects everyone, and does not panic', () => {
    const { pool, members } = setUp(2);
    pool.hasAlternative = true;
    for (const member of members) assert.equal(fail(pool, member), EjectionEvent.ejected);
    assert.equal(pool.ejected, 2);
    assert.ok(!pool.isPanicking);
    for (const member of members) assert.ok(!pool.mayCall(member));
  });

  it('uses the ejected again when the other one is lost', () => {
    const { pool, members } = setUp(2);
    pool.hasAlternative = true;
    for (const member of members) fail(pool, member);
    pool.hasAlternative = false;
    assert.ok(pool.isPanicking);
    for (const member of members) assert.ok(pool.mayCall(member));
  });

  it('takes over an ejected one from it, whose time goes on', () => {
    const [one, other] = [setUp(3), setUp(2)];
    const moved = one.members[0]!;
    fail(one.pool, moved);
    one.pool.remove(moved, 0);
    other.pool.add(moved);
    assert.equal(one.pool.ejected, 0);
    assert.equal(other.pool.ejected, 1);
    assert.equal(other.pool.takeProbe(29_999), undefined);
    assert.equal(other.pool.takeProbe(30_000), moved);
    other.pool.record(moved, Outcome.success, 30_000, 30_001, moved.probe, Evidence.sound);
    assert.equal(moved.state, EjectionState.admitted);
    assert.equal(other.pool.ejected, 0);
  });
});
