import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Detector, type DetectorSettings } from '../../../../sidecar/core/outlier/detectors.js';
import type { Ejection } from '../../../../sidecar/core/outlier/ejection.js';
import { EjectionEvent, EjectionState, Evidence } from '../../../../sidecar/core/outlier/ejection.js';
import type { EjectionPool } from '../../../../sidecar/core/outlier/ejection-pool.js';
import {
  ALL_DETECTORS,
  EJECTION_SETTINGS,
  ejectionPool,
  end,
  findingsOf,
  sweep,
} from '../../../kit/core/ejections.js';
import { constant, seeded } from '../../../kit/time/seeded-random.js';

const { nothing, ejected, reEjected, observed, overCap, lastEligible, recovered, readmitted, othersFull } =
  EjectionEvent;

const setUp = (count: number, detectors: DetectorSettings = ALL_DETECTORS, random = constant(0.5)) =>
  ejectionPool(count, { detectors, jitter: 0 }, random);

/** `+` a success, `-` a fault, `o` an overload; never five faults in a row unless asked for. */
function feed(pool: EjectionPool, member: Ejection, pattern: string, nowMs = 0): void {
  const outcomes = { '+': 'success', '-': 'fault', o: 'overload' } as const;
  for (const each of pattern) end(pool, member, outcomes[each as keyof typeof outcomes], nowMs);
}

describe('An endpoint whose ejection is suppressed because it is the last one', () => {
  /** Both fail; the first is ejected, the second is the last one. */
  const outage = () => {
    const { pool, a: gone, b: kept } = setUp(2);
    feed(pool, gone, '+---'.repeat(20));
    feed(pool, kept, '+---'.repeat(10));
    assert.deepEqual(sweep(pool, 1_000), [ejected, lastEligible]);
    assert.equal(gone.state, EjectionState.ejected);
    return { pool, gone, kept };
  };
  it('has recovered after five successes in a row, and is not ejected for its old faults when the others are back', () => {
    const { pool, gone, kept } = outage();
    const events = Array.from({ length: 6 }, () => end(pool, kept, 'success', 1_000));
    assert.deepEqual(events, [nothing, nothing, nothing, nothing, recovered, nothing], 'once');
    pool.members.readmit(gone, 1_000);
    feed(pool, gone, '+'.repeat(30), 1_000);
    assert.deepEqual(sweep(pool, 2_000), []);
    assert.equal(kept.state, EjectionState.admitted);
  });

  it('is ejected when the others are back and it goes on failing now and then', () => {
    const { pool, gone, kept } = outage();
    feed(pool, kept, '++++-'.repeat(4), 1_000);
    pool.members.readmit(gone, 1_000);
    assert.deepEqual(sweep(pool, 2_000), [ejected]);
    assert.equal(kept.state, EjectionState.ejected);
  });

  it('is ejected as usual when others are there, though its last calls succeeded', () => {
    const { pool, members } = setUp(3);
    feed(pool, members[0]!, '+--'.repeat(10) + '+'.repeat(4));
    assert.deepEqual(sweep(pool, 1_000), [ejected]);
  });
});

describe('The outlier sweep', () => {
  it('ejects an endpoint that fails too many calls, though never five in a row, and gives the reason', () => {
    const { pool, a: bad, b } = setUp(3);
    feed(pool, bad, '+--'.repeat(10));
    feed(pool, b, '+'.repeat(30));
    assert.deepEqual(sweep(pool, 1_000), [ejected]);
    assert.deepEqual([bad.state, bad.detector], [EjectionState.ejected, Detector.successRatio]);
    assert.equal(bad.why, 'success ratio 0.33 over 30 calls in 10 s');
    const { enforced } = pool.counts.by[Detector.successRatio]!;
    assert.deepEqual([enforced, bad.ejectionsBy[Detector.successRatio], bad.untilMs], [1, 1, 31_000]);
    assert.deepEqual(sweep(pool, 2_000), []);
  });

  describe('where failures are answers that the requests may have caused', () => {
    /** As `feed`. */
    const answer = (pool: EjectionPool, member: Ejection, pattern: string, nowMs = 0): void => {
      for (const each of pattern)
        end(pool, member, each === '+' ? 'success' : 'fault', nowMs, { evidence: Evidence.answered });
    };

    it('ejects none of those that fail alike', () => {
      const { pool, members } = setUp(3);
      for (const member of members) answer(pool, member, '-+--'.repeat(10));
      assert.deepEqual(sweep(pool, 1_000), []);
    });

    it('ejects one that fails more than its peers', () => {
      const { pool, members, a } = setUp(3);
      for (const member of members)
        answer(pool, member, member === a ? '--+--'.repeat(10) : '+-+++'.repeat(10));
      assert.deepEqual(sweep(pool, 1_000), [ejected]);
      assert.equal(a.state, EjectionState.ejected);
    });

    it('ejects two that fail where the third answers well', () => {
      const { pool, members, c } = setUp(4);
      for (const member of members) answer(pool, member, member === c ? '+'.repeat(40) : '-+--'.repeat(10));
      assert.deepEqual(sweep(pool, 1_000).sort(), [ejected, ejected, overCap].sort());
    });

    it('ejects those that fail otherwise as well', () => {
      const { pool, members, a } = setUp(3);
      for (const member of members) answer(pool, member, '-+--'.repeat(10));
      feed(pool, a, '-');
      assert.deepEqual(sweep(pool, 1_000), [], 'one fault of 11 calls');
      feed(pool, a, '--+--');
      assert.deepEqual(sweep(pool, 1_000), [ejected]);
      assert.equal(a.state, EjectionState.ejected);
      assert.match(a.why, /success ratio 0\.69 over 16 calls/);
    });

    it('ejects the only other one, where its peer has no calls', () => {
      const { pool, a } = setUp(2);
      answer(pool, a, '-+--'.repeat(10));
      assert.deepEqual(sweep(pool, 1_000), [ejected]);
    });

    it('forgets them after ten seconds', () => {
      const { pool, members, a } = setUp(3);
      for (const member of members) answer(pool, member, '-+--'.repeat(10));
      feed(pool, a, '+', 11_000);
      answer(pool, a, '-+--'.repeat(10), 11_000);
      assert.deepEqual(sweep(pool, 11_500), [ejected]);
    });
  });

  it('treats a burst like the same calls spread over the window', () => {
    for (const everyMs of [0, 900]) {
      const { pool, a } = setUp(3);
      for (let i = 0; i < 10; i += 1) feed(pool, a, i % 3 === 0 ? '-' : '+', i * everyMs);
      assert.deepEqual(sweep(pool, 9 * everyMs), [ejected]);
    }
  });

  it('forgets everything over a pause of ten seconds', () => {
    const { pool, a } = setUp(3);
    feed(pool, a, '--+--');
    assert.deepEqual(sweep(pool, 10_000), []);
  });

  it('forgets everything at an ejection and at a readmission', () => {
    const { pool, a: bad } = setUp(3);
    feed(pool, bad, '--+-+-');
    sweep(pool, 0);
    pool.members.readmit(bad, 100);
    assert.deepEqual(sweep(pool, 100), []);
    feed(pool, bad, '----', 200);
    assert.deepEqual([bad.consecutiveFaults, sweep(pool, 200)], [4, []], 'four calls are too few');
    feed(pool, bad, '+', 200);
    assert.deepEqual(sweep(pool, 300), [ejected]);
  });

  it('does not count what began before a readmission', () => {
    const { pool, a: bad } = setUp(3);
    feed(pool, bad, '-----');
    pool.members.readmit(bad, 1_000);
    for (let i = 0; i < 4; i += 1) {
      end(pool, bad, 'fault', 1_500, { startedMs: 999 });
      end(pool, bad, 'fault', 1_500, { startedMs: 1_200, evidence: Evidence.doubtful });
    }
    assert.equal(bad.outcomes!.faults, 0);
  });

  it('ejects no endpoint for being full', () => {
    const { pool, members } = setUp(5);
    feed(pool, members[0]!, 'o'.repeat(500));
    for (const other of members.slice(1)) feed(pool, other, '+'.repeat(500));
    assert.deepEqual(sweep(pool, 0), []);
    assert.equal(members[0]!.outcomes!.overloads, 500);
  });

  it('ejects the most severe first up to the cap, reports the others once, and ejects them when there is room', () => {
    const { pool, a: bad, b: worse } = setUp(3);
    feed(pool, bad, '+-+-+-');
    feed(pool, worse, '--+--');
    assert.deepEqual([sweep(pool, 0), sweep(pool, 1_000)], [[ejected, overCap], []]);
    assert.equal(worse.state, EjectionState.ejected);
    const counts = pool.counts.by[Detector.successRatio]!;
    assert.deepEqual([counts.detected, counts.enforced, counts.notEnforced.overCap], [2, 1, 1]);
    pool.members.readmit(worse, 2_000);
    assert.deepEqual(sweep(pool, 2_000), [ejected]);
    assert.deepEqual([counts.detected, counts.enforced], [2, 2]);
    assert.equal(bad.state, EjectionState.ejected);
  });

  it('never ejects the last eligible endpoint, whatever the detector', () => {
    const { pool, members } = setUp(2);
    pool.members.setAvailable(members[1]!, 'unavailable');
    feed(pool, members[0]!, '--+--');
    assert.deepEqual(sweep(pool, 0), [lastEligible]);
    assert.equal(pool.counts.by[Detector.successRatio]!.notEnforced.lastEligible, 1);
  });

  it('only counts what a detector in mode observe finds, and again when it comes back', () => {
    const { pool, members } = setUp(3, { successRatio: { ...ALL_DETECTORS.successRatio, mode: 'observe' } });
    feed(pool, members[0]!, '--+--');
    assert.deepEqual([sweep(pool, 0), sweep(pool, 1_000), sweep(pool, 20_000)], [[observed], [], []]);
    feed(pool, members[0]!, '+--+--', 20_000);
    assert.deepEqual(sweep(pool, 20_000), [observed]);
    const nothingElse = { overCap: 0, lastEligible: 0 };
    assert.deepEqual(findingsOf(pool), { detected: 2, enforced: 0, observed: 2, ...nothingElse });
  });

  it('keeps no signal that no detector reads', () => {
    const { pool, a } = setUp(2, {});
    const configure = (detectors: DetectorSettings): void =>
      pool.configure({ ...EJECTION_SETTINGS, detectors }, 0);
    assert.deepEqual([a.outcomes, a.latencies, a.outputs], [null, null, null]);
    configure(ALL_DETECTORS);
    assert.ok(a.outcomes !== null && a.latencies !== null && a.outputs !== null);
    configure({ ...ALL_DETECTORS, latency: { ...ALL_DETECTORS.latency, mode: 'off' } });
    assert.equal(a.latencies, null);
    assert.ok(a.outcomes !== null);
  });

  it('ejects an endpoint that is slower than its peers, and one whose responses are invalid', () => {
    const { pool, members } = setUp(4);
    for (const [at, { latencies }] of members.entries())
      for (let i = 0; i < 30; i += 1) latencies!.record(0, at === 0 ? 90 : 10, i * 10);
    for (let i = 0; i < 20; i += 1) members[1]!.outputs!.fault(0);
    assert.deepEqual(sweep(pool, 300), [ejected, ejected]);
    assert.match(members[0]!.why, /^median latency 8\d\.\d ms over 30 calls/);
    assert.match(members[1]!.why, /^20 of 20 sampled answers/);
  });

  describe('that is only slow, while others refuse calls as full', () => {
    const slowness = (members: readonly Ejection[], fromMs: number): void => {
      for (const [at, { latencies }] of members.entries())
        for (let i = 0; i < 30; i += 1) latencies?.record(0, at === 0 ? 90 : 10, fromMs + i * 10);
    };

    it('is not ejected, until ten seconds after the last refusals', () => {
      const { pool, members } = setUp(3);
      slowness(members, 0);
      feed(pool, members[1]!, '++ooooo');
      assert.deepEqual([sweep(pool, 300), sweep(pool, 1_300)], [[othersFull], []]);
      assert.equal(pool.counts.by[Detector.latency]!.notEnforced.othersFull, 1);
      slowness(members, 10_000);
      assert.deepEqual(sweep(pool, 10_400), [ejected]);
    });

    it('gets calls again', () => {
      const { pool, members } = setUp(3);
      slowness(members, 0);
      assert.deepEqual(sweep(pool, 300), [ejected]);
      feed(pool, members[1]!, '++oooo', 1_000);
      assert.deepEqual(sweep(pool, 1_000), [], 'four refusals are none');
      feed(pool, members[1]!, 'o', 1_100);
      assert.deepEqual(sweep(pool, 1_300), [readmitted]);
      assert.equal(members[0]!.state, EjectionState.admitted);
    });

    it('stays out where they refuse for another reason than want of a place', () => {
      const { pool, members } = setUp(3);
      slowness(members, 0);
      feed(pool, members[1]!, '++');
      for (let i = 0; i < 20; i += 1) {
        end(pool, members[1]!, 'overload', 0, { evidence: Evidence.closed });
        end(pool, members[2]!, 'refusal', 0);
      }
      assert.deepEqual(sweep(pool, 300), [ejected]);
      assert.equal(members[1]!.outcomes!.overloads, 20, 'it gets fewer calls for it all the same');
    });

    it('is ejected for failures all the same, and stays so', () => {
      const { pool, members } = setUp(3);
      feed(pool, members[0]!, '+--'.repeat(10));
      feed(pool, members[1]!, '++oooooooo');
      assert.deepEqual([sweep(pool, 300), sweep(pool, 1_300)], [[ejected], []]);
    });

    it('is ejected where it is itself the one that refuses', () => {
      const { pool, members } = setUp(3);
      slowness(members, 0);
      feed(pool, members[0]!, '++oooooooo');
      assert.deepEqual(sweep(pool, 300), [ejected]);
    });
  });

  it('keeps the reason through a failed probe, and counts that for the same detector', () => {
    const { pool, a: bad } = setUp(3);
    feed(pool, bad, '--+--');
    sweep(pool, 0);
    assert.equal(pool.members.takeProbe(30_000), bad);
    const details = { startedMs: 30_000, probe: bad.probe };
    assert.equal(end(pool, bad, 'fault', 30_001, details), reEjected);
    assert.match(bad.why, /^success ratio/);
    assert.deepEqual([bad.failedProbes, bad.ejectionsBy[Detector.successRatio]], [1, 2]);
  });
});

describe('All detectors under any sequence of events', () => {
  it('never exceed the cap, and never eject the last eligible endpoint', () => {
    const step = fc.record({
      kind: fc.constantFrom(
        ...(['feed', 'feed', 'feed', 'slow', 'invalid', 'sweep', 'sweep', 'away', 'back', 'probe'] as const),
      ),
      index: fc.nat(7),
      pattern: fc.constantFrom('+', '-', '+-', '--+--', '-----', 'oo', '+'.repeat(100), '-+'.repeat(60)),
      waitMs: fc.nat(20_000),
    });
    const counts = fc.integer({ min: 1, max: 8 });
    fc.assert(
      fc.property(counts, fc.array(step, { maxLength: 80 }), fc.nat(), (count, steps, seed) => {
        const { pool, members } = setUp(count, ALL_DETECTORS, seeded(seed));
        let nowMs = 0;
        for (const { kind, index, pattern, waitMs } of steps) {
          nowMs += waitMs;
          const member = members[index % count]!;
          if (kind === 'feed') feed(pool, member, pattern, nowMs);
          else if (kind === 'slow')
            for (const each of members)
              for (let i = 0; i < 25; i += 1) each.latencies!.record(1, each === member ? 99 : 9, nowMs);
          else if (kind === 'invalid') for (let i = 0; i < 25; i += 1) member.outputs!.fault(nowMs);
          else if (kind === 'away') pool.members.setAvailable(member, 'unavailable');
          else if (kind === 'back') pool.members.setAvailable(member, 'available');
          else if (kind === 'probe') {
            const due = pool.members.takeProbe(nowMs);
            if (due !== undefined) end(pool, due, 'success', nowMs, { probe: due.probe });
          } else {
            pool.sweep(nowMs, (_each, event) => {
              if (event === ejected) assert.ok(pool.members.eligible >= 1, 'the last one was ejected');
            });
          }
          const out = members.filter(({ state }) => state !== EjectionState.admitted).length;
          assert.equal(pool.members.ejected, out);
          assert.ok(out <= Math.max(1, count >> 1), `${out} of ${count} ejected`);
        }
        const found = findingsOf(pool);
        assert.ok(found.detected <= found.enforced + found.observed + found.overCap + found.lastEligible);
      }),
      { numRuns: 300 },
    );
  });
});
