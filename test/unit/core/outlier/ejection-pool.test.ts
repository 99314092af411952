import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Outcome } from '../../../../sidecar/core/outcome/outcome.js';
import { Detector } from '../../../../sidecar/core/outlier/detectors.js';
import {
  type Ejection,
  EjectionEvent,
  EjectionState,
  Evidence,
  NO_PROBE,
} from '../../../../sidecar/core/outlier/ejection.js';
import type { EjectionPool } from '../../../../sidecar/core/outlier/ejection-pool.js';
import { ejectionPool, end, fail } from '../../../kit/core/ejections.js';
import { seeded } from '../../../kit/time/seeded-random.js';

describe('EjectionPool, cap and last endpoint', () => {
  for (const [count, most] of [
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [5, 2],
    [8, 4],
  ] as const) {
    it(`ejects at most ${most} of ${count}, however many fail`, () => {
      const { pool, members } = ejectionPool(count);
      const events = members.map((member) => fail(pool, member));
      assert.equal(events.filter((event) => event === EjectionEvent.ejected).length, most);
      assert.equal(pool.ejected, most);
      assert.equal(pool.detected, count);
      assert.equal(pool.notEnforced.overCap + pool.notEnforced.lastEligible, count - most);
    });
  }

  it('never ejects the last eligible endpoint, even below the cap', () => {
    const { pool, a, b, c, d } = ejectionPool(4);
    pool.setAvailable(b, 'unavailable');
    pool.setAvailable(c, 'unavailable');
    pool.setAvailable(d, 'unavailable');
    assert.equal(fail(pool, a), EjectionEvent.lastEligible);
    pool.setAvailable(d, 'available');
    assert.equal(fail(pool, a), EjectionEvent.ejected);
    assert.equal(fail(pool, d), EjectionEvent.lastEligible);
  });

  it('readmits ejected endpoints when discovery removes the others', () => {
    const { pool, a, b, c, d } = ejectionPool(4);
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
    const { pool, members } = ejectionPool(2);
    pool.add(members[0]!);
    assert.deepEqual([pool.size, pool.eligible], [2, 2]);
  });
});

describe('EjectionPool, panic', () => {
  it('begins when fewer than half are eligible, not at half', () => {
    const { pool, members } = ejectionPool(4);
    fail(pool, members[0]!);
    fail(pool, members[1]!);
    assert.equal(pool.eligible, 2);
    assert.equal(pool.isPanicking, false);
    pool.setAvailable(members[2]!, 'unavailable');
    assert.equal(pool.isPanicking, true);
  });

  it('lets calls go to ejected endpoints again, and never to disconnected ones', () => {
    const { pool, a, b, c, d } = ejectionPool(4);
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

  it('does not begin when no endpoint is ejected', () => {
    const { pool, members } = ejectionPool(3);
    for (const member of members) pool.setAvailable(member, 'unavailable');
    assert.equal(pool.isPanicking, false);
    assert.equal(pool.mayCall(members[0]!), false);
  });
});

describe('An endpoint whose sidecar reports its model unavailable', () => {
  const down = (pool: EjectionPool, member: Ejection, nowMs = 0, probe = NO_PROBE): EjectionEvent =>
    pool.recordDown(member, nowMs, nowMs, probe);

  it('is ejected at once, beyond the cap, and not readmitted by panic', () => {
    const { pool, members, a, b, c, d } = ejectionPool(4);
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

  it('does not count against the cap: one with too many faults can be ejected too', () => {
    const { pool, a, b, c } = ejectionPool(4);
    down(pool, a);
    assert.equal(fail(pool, b), EjectionEvent.ejected);
    assert.equal(fail(pool, c), EjectionEvent.ejected);
  });

  it('is ejected as the last eligible one when another, ejected on statistics, can be readmitted', () => {
    const { pool, a, b } = ejectionPool(2);
    fail(pool, a);
    assert.equal(down(pool, b), EjectionEvent.ejected);
    assert.deepEqual([pool.mayCall(a), pool.mayCall(b), pool.eligible], [true, false, 1]);
    assert.equal(down(pool, a), EjectionEvent.lastEligible, 'it is the last eligible one now');
  });

  it('is probed after half a second, then after twice as long, up to the base, and readmitted by one success', () => {
    const { pool, a } = ejectionPool(3);
    down(pool, a);
    let nowMs = 0;
    for (const waitMs of [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      assert.equal(pool.takeProbe(nowMs + waitMs - 1), undefined);
      nowMs += waitMs;
      assert.equal(pool.takeProbe(nowMs), a);
      assert.equal(down(pool, a, nowMs, a.probe), EjectionEvent.reEjected);
    }
    assert.equal(pool.takeProbe(nowMs + 30_000), a);
    nowMs += 30_000;
    assert.equal(end(pool, a, 'success', nowMs, { probe: a.probe }), EjectionEvent.readmitted);
    assert.equal(a.count, 0, 'it does not prolong the next ejection');
    assert.equal(down(pool, a, nowMs), EjectionEvent.ejected);
    assert.equal(a.untilMs, nowMs + 500);
  });

  it('is recognised by a probe too', () => {
    const { pool, a, b } = ejectionPool(2);
    fail(pool, a);
    assert.equal(pool.takeProbe(30_000), a);
    assert.equal(down(pool, a, 30_000, a.probe), EjectionEvent.reEjected);
    assert.ok(a.isDown);
    assert.equal(a.untilMs, 31_000);
    assert.equal(fail(pool, b, 30_000), EjectionEvent.lastEligible);
  });

  it('stays admitted as the last eligible one, is reported once, and its faults count on', () => {
    const { pool, a } = ejectionPool(1);
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

  for (const [mode, event] of [
    ['observe', EjectionEvent.observed],
    ['off', EjectionEvent.nothing],
  ] as const) {
    it(`stays admitted when the detector is in mode ${mode}`, () => {
      const { pool, a } = ejectionPool(3, { detectors: { modelUnavailable: { mode } } });
      assert.equal(down(pool, a), event);
      assert.equal(pool.ejected, 0);
      for (let i = 0; i < 4; i += 1) down(pool, a);
      assert.equal(pool.ejected, 1, 'by faults in a row');
    });
  }
});

describe('EjectionPool under any sequence of events', () => {
  it('never exceeds the cap, has correct counts, probes with one call at a time, and never ejects the last endpoint', () => {
    const step = fc.record({
      kind: fc.constantFrom(
        ...(['fail', 'fail', 'fail', 'down', 'down', 'succeed', 'end', 'probe'] as const),
        ...(['endProbe', 'remove', 'add', 'away', 'back', 'wait'] as const),
      ),
      index: fc.nat(7),
      outcome: fc.constantFrom(...Object.values(Outcome)),
      waitMs: fc.nat(100_000),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.array(step, { maxLength: 120 }),
        fc.nat(),
        (count, steps, seed) => {
          const { pool, members } = ejectionPool(count, {}, seeded(seed));
          const present = new Set(members);
          const probing = new Map<Ejection, number>();
          let nowMs = 0;
          for (const { kind, index, outcome, waitMs } of steps) {
            const member = members[index % count]!;
            const eligibleBefore = pool.eligible;
            let event: EjectionEvent = EjectionEvent.nothing;
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
            else if (kind === 'fail') event = fail(pool, member, nowMs);
            else if (kind === 'down') event = pool.recordDown(member, nowMs, nowMs, NO_PROBE);
            else if (kind === 'succeed') end(pool, member, 'success', nowMs);
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
            assert.ok(out < present.size || out === 0, 'all are ejected');
            if (event === EjectionEvent.ejected)
              assert.ok(eligible >= 1, `the last of ${eligibleBefore} was ejected`);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('EjectionPool with an alternative pool', () => {
  it('ejects all endpoints, and does not panic', () => {
    const { pool, members } = ejectionPool(2);
    pool.hasAlternative = true;
    for (const member of members) assert.equal(fail(pool, member), EjectionEvent.ejected);
    assert.equal(pool.ejected, 2);
    assert.ok(!pool.isPanicking);
    for (const member of members) assert.ok(!pool.mayCall(member));
  });

  it('uses ejected endpoints again when the alternative is lost', () => {
    const { pool, members } = ejectionPool(2);
    pool.hasAlternative = true;
    for (const member of members) fail(pool, member);
    pool.hasAlternative = false;
    assert.ok(pool.isPanicking);
    for (const member of members) assert.ok(pool.mayCall(member));
  });

  it('takes over an ejected endpoint, whose ejection continues', () => {
    const [one, other] = [ejectionPool(3), ejectionPool(2)];
    const moved = one.members[0]!;
    fail(one.pool, moved);
    one.pool.remove(moved, 0);
    other.pool.add(moved);
    assert.equal(one.pool.ejected, 0);
    assert.equal(other.pool.ejected, 1);
    assert.equal(other.pool.takeProbe(29_999), undefined);
    assert.equal(other.pool.takeProbe(30_000), moved);
    end(other.pool, moved, 'success', 30_001, { startedMs: 30_000, probe: moved.probe });
    assert.equal(moved.state, EjectionState.admitted);
    assert.equal(other.pool.ejected, 0);
  });
});
