import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Outcome } from '../../../../sidecar/core/outcome/outcome.js';
import { Detector, type DetectorSettings } from '../../../../sidecar/core/outlier/detectors.js';
import {
  type Ejection,
  EjectionEvent,
  EjectionState,
  Evidence,
} from '../../../../sidecar/core/outlier/ejection.js';
import type { EjectionPool } from '../../../../sidecar/core/outlier/ejection-pool.js';
import {
  ALL_DETECTORS,
  down,
  ejectionPool,
  end,
  fail,
  findingsOf,
  sweep,
} from '../../../kit/core/ejections.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const { nothing, ejected, reEjected, readmitted, observed, lastEligible } = EjectionEvent;

describe('EjectionPool, cap and last endpoint', () => {
  for (const [count, most] of [
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [5, 2],
    [8, 4],
  ] as const)
    it(`ejects at most ${most} of ${count}, however many fail`, () => {
      const { pool, members } = ejectionPool(count);
      const events = members.map((member) => fail(pool, member));
      assert.equal(events.filter((event) => event === ejected).length, most);
      const { detected, overCap, lastEligible: last } = findingsOf(pool);
      assert.deepEqual([pool.members.ejected, detected, overCap + last], [most, count, count - most]);
    });

  it('never ejects the last eligible endpoint, even below the cap', () => {
    const { pool, a, b, c, d } = ejectionPool(4);
    for (const away of [b, c, d]) pool.members.setAvailable(away, 'unavailable');
    assert.equal(fail(pool, a), lastEligible);
    pool.members.setAvailable(d, 'available');
    assert.deepEqual([fail(pool, a), fail(pool, d)], [ejected, lastEligible]);
  });

  it('readmits ejected endpoints when discovery removes the others', () => {
    const { pool, a, b, c, d } = ejectionPool(4);
    fail(pool, a, 0);
    fail(pool, b, 1_000);
    pool.members.remove(c, 2_000);
    assert.deepEqual(
      [pool.members.ejected, a.state, b.state],
      [1, EjectionState.admitted, EjectionState.ejected],
    );
    pool.members.remove(d, 2_000);
    pool.members.remove(a, 2_000);
    assert.deepEqual([pool.members.ejected, pool.members.eligible], [0, 1]);
    pool.members.remove(a, 2_000);
    assert.equal(pool.members.size, 1);
  });

  it('counts an endpoint added twice once', () => {
    const { pool, a } = ejectionPool(2);
    pool.add(a);
    assert.deepEqual([pool.members.size, pool.members.eligible], [2, 2]);
  });
});

describe('EjectionPool, panic', () => {
  it('begins when fewer than half are eligible, not at half', () => {
    const { pool, a, b, c } = ejectionPool(4);
    fail(pool, a);
    fail(pool, b);
    assert.deepEqual([pool.members.eligible, pool.members.isPanicking], [2, false]);
    pool.members.setAvailable(c, 'unavailable');
    assert.equal(pool.members.isPanicking, true);
  });

  it('lets calls go to ejected endpoints again, and never to disconnected ones', () => {
    const { pool, members, a, b, c } = ejectionPool(4);
    for (const failing of [a, b]) fail(pool, failing);
    for (const away of [b, c]) pool.members.setAvailable(away, 'unavailable');
    const mayCall = members.map((member) => pool.members.mayCall(member));
    assert.deepEqual(mayCall, [true, false, false, true]);
    pool.members.setAvailable(c, 'available');
    assert.equal(pool.members.mayCall(a), false);
  });

  it('does not begin when no endpoint is ejected', () => {
    const { pool, members } = ejectionPool(3);
    for (const member of members) pool.members.setAvailable(member, 'unavailable');
    assert.deepEqual([pool.members.isPanicking, pool.members.mayCall(members[0]!)], [false, false]);
  });
});

describe('An endpoint whose sidecar reports its model unavailable', () => {
  it('is ejected at once, beyond the cap, and not readmitted by panic', () => {
    const { pool, members, a, b, c, d } = ejectionPool(4);
    for (const member of [a, b, c]) assert.equal(down(pool, member), ejected);
    assert.equal(down(pool, d), lastEligible);
    assert.deepEqual([pool.members.ejected, pool.members.eligible], [3, 1]);
    const mayCall = members.map((member) => pool.members.mayCall(member));
    assert.deepEqual(mayCall, [false, false, false, true]);
    assert.match(a.why, /its sidecar says/);
    const counts = pool.counts.by[Detector.modelUnavailable]!;
    assert.deepEqual([counts.detected, counts.enforced, counts.notEnforced.lastEligible], [4, 3, 1]);
  });

  it('does not count against the cap: one with too many faults can be ejected too', () => {
    const { pool, a, b, c } = ejectionPool(4);
    down(pool, a);
    assert.deepEqual([fail(pool, b), fail(pool, c)], [ejected, ejected]);
  });

  it('is ejected as the last eligible one when another, ejected on statistics, can be readmitted', () => {
    const { pool, a, b } = ejectionPool(2);
    fail(pool, a);
    assert.equal(down(pool, b), ejected);
    assert.deepEqual(
      [pool.members.mayCall(a), pool.members.mayCall(b), pool.members.eligible],
      [true, false, 1],
    );
    assert.equal(down(pool, a), lastEligible, 'it is the last eligible one now');
  });

  it('is probed after half a second, then after twice as long, up to the base, and readmitted by one success', () => {
    const { pool, a } = ejectionPool(3);
    down(pool, a);
    let nowMs = 0;
    for (const waitMs of [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      assert.equal(pool.members.takeProbe(nowMs + waitMs - 1), undefined);
      nowMs += waitMs;
      assert.equal(pool.members.takeProbe(nowMs), a);
      assert.equal(down(pool, a, nowMs, a.probe), reEjected);
    }
    assert.equal(pool.members.takeProbe(nowMs + 30_000), a);
    nowMs += 30_000;
    assert.equal(end(pool, a, 'success', nowMs, { probe: a.probe }), readmitted);
    assert.equal(a.count, 0, 'it does not prolong the next ejection');
    assert.equal(down(pool, a, nowMs), ejected);
    assert.equal(a.untilMs, nowMs + 500);
  });

  it('is recognised by a probe too', () => {
    const { pool, a, b } = ejectionPool(2);
    fail(pool, a);
    assert.equal(pool.members.takeProbe(30_000), a);
    assert.equal(down(pool, a, 30_000, a.probe), reEjected);
    assert.ok(a.isDown);
    assert.equal(a.untilMs, 31_000);
    assert.equal(fail(pool, b, 30_000), lastEligible);
  });

  it('stays admitted as the last eligible one, is reported once, and its faults count on', () => {
    const { pool, a } = ejectionPool(1);
    const events = [1, 2, 3, 4, 5].map(() => down(pool, a));
    assert.deepEqual(events, [lastEligible, nothing, nothing, nothing, lastEligible]);
  });

  for (const [mode, event] of [
    ['observe', observed],
    ['off', nothing],
  ] as const)
    it(`stays admitted when the detector is in mode ${mode}`, () => {
      const { pool, a } = ejectionPool(3, { detectors: { modelUnavailable: { mode } } });
      assert.deepEqual([down(pool, a), pool.members.ejected], [event, 0]);
      for (let i = 0; i < 4; i += 1) down(pool, a);
      assert.equal(pool.members.ejected, 1, 'by faults in a row');
    });
});

describe('EjectionPool under any sequence of events', () => {
  it('never exceeds the cap, has correct counts, probes with one call at a time, and never ejects the last endpoint', () => {
    const step = fc.record({
      kind: fc.constantFrom(
        ...(['fail', 'fail', 'fail', 'down', 'down', 'succeed', 'end', 'probe'] as const),
        ...(['endProbe', 'remove', 'add', 'away', 'back', 'wait'] as const),
      ),
      index: fc.nat(7),
      outcome: fc.constantFrom(...(Object.keys(Outcome) as (keyof typeof Outcome)[])),
      waitMs: fc.nat(100_000),
    });
    const counts = fc.integer({ min: 1, max: 8 });
    fc.assert(
      fc.property(counts, fc.array(step, { maxLength: 120 }), fc.nat(), (count, steps, seed) => {
        const { pool, members } = ejectionPool(count, {}, seeded(seed));
        const present = new Set(members);
        const probing = new Map<Ejection, number>();
        let nowMs = 0;
        for (const { kind, index, outcome, waitMs } of steps) {
          const member = members[index % count]!;
          const eligibleBefore = pool.members.eligible;
          let event: EjectionEvent = nothing;
          if (kind === 'wait') nowMs += waitMs;
          else if (kind === 'remove') {
            pool.members.remove(member, nowMs);
            present.delete(member);
            probing.delete(member);
          } else if (kind === 'add') {
            pool.add(member);
            pool.members.keepToCap(nowMs);
            present.add(member);
          } else if (kind === 'away' || kind === 'back')
            pool.members.setAvailable(member, kind === 'away' ? 'unavailable' : 'available');
          else if (!present.has(member)) continue;
          else if (kind === 'fail') event = fail(pool, member, nowMs);
          else if (kind === 'down') event = down(pool, member, nowMs);
          else if (kind === 'succeed') end(pool, member, 'success', nowMs);
          else if (kind === 'end') end(pool, member, outcome, nowMs, { startedMs: nowMs - 500 });
          else if (kind === 'probe') {
            const isDue = (each: Ejection): boolean =>
              each.state === EjectionState.ejected && each.isAvailable && each.untilMs <= nowMs;
            const dueNow = [...present].filter(isDue);
            assert.equal(pool.members.isProbeDue(nowMs), dueNow.length > 0);
            const due = pool.members.takeProbe(nowMs);
            assert.equal(due !== undefined, dueNow.length > 0);
            if (due !== undefined) {
              assert.ok(dueNow.includes(due));
              assert.ok(!probing.has(due), 'two probes at once');
              probing.set(due, due.probe);
            }
          } else if (probing.has(member)) {
            const probe = probing.get(member)!;
            if (waitMs % 3 === 0) down(pool, member, nowMs, probe);
            else end(pool, member, outcome, nowMs, { probe });
            probing.delete(member);
          }
          for (const [other, number] of probing) if (other.probe !== number) probing.delete(other);

          const admitted = [...present].filter(({ state }) => state === EjectionState.admitted);
          const out = present.size - admitted.length;
          const eligible = admitted.filter(({ isAvailable }) => isAvailable).length;
          assert.deepEqual([pool.members.ejected, pool.members.eligible], [out, eligible]);
          const reported = [...present].filter(({ isDown }) => isDown).length;
          assert.ok(admitted.every(({ isDown }) => !isDown));
          const most = Math.max(1, Math.floor(present.size / 2));
          assert.ok(out - reported <= most, `${out} of ${present.size} ejected, ${reported} of them down`);
          assert.ok(out < present.size || out === 0, 'all are ejected');
          if (event === ejected) assert.ok(eligible >= 1, `the last of ${eligibleBefore} was ejected`);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('Failures that requests cause at all endpoints, beside faults of one', () => {
  /** The answer to a request that fails everywhere. */
  const garbage = (pool: EjectionPool, member: Ejection, nowMs = 0, times = 1): EjectionEvent => {
    let event: EjectionEvent = nothing;
    for (let i = 0; i < times; i += 1)
      event = end(pool, member, 'fault', nowMs, { evidence: Evidence.answered });
    return event;
  };
  /** Each endpoint has failed so many calls in a row, because of the requests. */
  const allFail = (times: number) => {
    const made = ejectionPool(3);
    for (let i = 0; i < times; i += 1)
      for (const member of made.members) assert.equal(garbage(made.pool, member), nothing);
    return made;
  };

  it('leave an endpoint as many faults of its own in a row as any other', () => {
    const { pool, a } = allFail(500);
    const events = Array.from({ length: 5 }, () => [end(pool, a, 'fault', 0), garbage(pool, a)]);
    assert.deepEqual(events, [...Array.from({ length: 4 }, () => [nothing, nothing]), [ejected, nothing]]);
  });

  it('do not excuse a row that is too long to be chance, whatever it consists of', () => {
    const { pool, members, a } = ejectionPool(3);
    for (const member of members)
      for (let i = 0; i < 100; i += 1) {
        end(pool, member, 'success', 0);
        if (i % 10 === 0) garbage(pool, member);
      }
    assert.equal(fail(pool, a, 0, 4), nothing);
    assert.deepEqual([garbage(pool, a, 0, 5), garbage(pool, a)], [nothing, ejected]);
  });

  it('do not excuse the first fault of an endpoint that was readmitted without a probe', () => {
    const { pool, a, b, c } = allFail(500);
    assert.equal(fail(pool, a), ejected);
    pool.readmitUnprobed(a, 100);
    for (const peer of [b, c]) garbage(pool, peer, 100);
    assert.equal(end(pool, a, 'fault', 100), ejected);
  });

  for (const [what, detectors] of Object.entries<DetectorSettings>({
    'success ratio': { successRatio: ALL_DETECTORS.successRatio },
    'success rate': { successRate: { ...ALL_DETECTORS.successRate, minPeers: 3, factor: 1 } },
    'failure ratio': { failureRatio: { mode: 'enforce', above: 0.2, minPeers: 3, minCalls: 50 } },
  })) {
    /** A quarter of all calls is garbage, and so many calls of the first endpoint fail in another way. */
    const mixed = (own: number) => {
      const made = ejectionPool(3, { detectors });
      for (const member of made.members)
        for (let i = 0; i < 400; i += 1) {
          if (i % 4 === 0) garbage(made.pool, member);
          else if (member === made.a && i % 4 === 1 && i < 4 * own) end(made.pool, member, 'fault', 0);
          else end(made.pool, member, 'success', 0);
        }
      return made;
    };
    it(`do not make faults of its own out of a few: ${what}`, () => {
      for (const own of [0, 1, 4]) {
        const { pool, a } = mixed(own);
        assert.deepEqual(sweep(pool, 1_000), [], `${own}`);
        assert.equal(a.state, EjectionState.admitted);
      }
    });
    it(`do not hide that it fails more calls by itself: ${what}`, () => {
      const { pool, a } = mixed(100);
      assert.deepEqual(sweep(pool, 1_000), [ejected]);
      assert.equal(a.state, EjectionState.ejected);
    });
  }

  it('are compared when the row has doubled or after a while, not for each of them', () => {
    const { pool, a, b } = allFail(100);
    end(pool, a, 'success', 0);
    const answers = b.answers!;
    const moveTo = answers.moveTo.bind(answers);
    let compared = 0;
    answers.moveTo = (nowMs) => {
      compared += 1;
      moveTo(nowMs);
    };
    garbage(pool, a, 0, 5);
    assert.equal(compared, 1);
    garbage(pool, a, 0, 995);
    assert.equal(compared, 8, 'at 5, 10, 20 … 640');
    garbage(pool, a, 99, 100);
    assert.equal(compared, 8);
    garbage(pool, a, 100, 100);
    assert.equal(compared, 9, 'after 100 ms');
    end(pool, a, 'success', 101);
    garbage(pool, a, 101, 5);
    assert.equal(compared, 10, 'a new row');
    assert.equal(a.ejections, 0);
  });
});

describe('EjectionPool with an alternative pool', () => {
  it('ejects all endpoints, and does not panic', () => {
    const { pool, members } = ejectionPool(2);
    pool.members.hasAlternative = true;
    for (const member of members) assert.equal(fail(pool, member), ejected);
    assert.deepEqual([pool.members.ejected, pool.members.isPanicking], [2, false]);
    for (const member of members) assert.ok(!pool.members.mayCall(member));
  });

  it('uses ejected endpoints again when the alternative is lost', () => {
    const { pool, members } = ejectionPool(2);
    pool.members.hasAlternative = true;
    for (const member of members) fail(pool, member);
    pool.members.hasAlternative = false;
    assert.ok(pool.members.isPanicking);
    for (const member of members) assert.ok(pool.members.mayCall(member));
  });

  it('takes over an ejected endpoint, whose ejection continues', () => {
    const [one, other] = [ejectionPool(3), ejectionPool(2)];
    const moved = one.members[0]!;
    fail(one.pool, moved);
    one.pool.members.remove(moved, 0);
    other.pool.add(moved);
    assert.deepEqual([one.pool.members.ejected, other.pool.members.ejected], [0, 1]);
    assert.equal(other.pool.members.takeProbe(29_999), undefined);
    assert.equal(other.pool.members.takeProbe(30_000), moved);
    end(other.pool, moved, 'success', 30_001, { startedMs: 30_000, probe: moved.probe });
    assert.deepEqual([moved.state, other.pool.members.ejected], [EjectionState.admitted, 0]);
  });
});
