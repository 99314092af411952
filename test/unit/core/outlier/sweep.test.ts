/** Detectors that look once a second, under the rules that bind them together. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Outcome } from '../../../../sidecar/core/outcome/outcome.js';
import { Detector, type DetectorSettings } from '../../../../sidecar/core/outlier/detectors.js';
import {
  Ejection,
  EjectionEvent,
  EjectionState,
  Evidence,
  NO_PROBE,
} from '../../../../sidecar/core/outlier/ejection.js';
import { EjectionPool } from '../../../../sidecar/core/outlier/ejection-pool.js';
import { constant, seeded } from '../../../kit/time/seeded-random.js';

const ALL: Required<DetectorSettings> = {
  consecutive: { mode: 'enforce' },
  modelUnavailable: { mode: 'enforce' },
  successRatio: { mode: 'enforce', below: 0.8, minCalls: 5 },
  successRate: { mode: 'enforce', factor: 1.9, minPeers: 5, minCalls: 100 },
  failureRatio: { mode: 'enforce', above: 0.85, minPeers: 5, minCalls: 50 },
  latency: { mode: 'enforce', factor: 3, minCalls: 20 },
  invalidOutput: { mode: 'enforce', above: 0.5, minSamples: 20 },
};

function setUp(count: number, detectors: DetectorSettings = ALL, over = {}, random = constant(0.5)) {
  const settings = {
    ...{ mode: 'enforce', consecutiveFaults: 5, baseMs: 30_000, maxMs: 300_000, jitter: 0 },
    ...over,
    detectors,
  } as const;
  const pool = new EjectionPool(settings as never, random);
  const members = Array.from({ length: count }, () => new Ejection());
  for (const member of members) pool.add(member);
  return { pool, members, settings };
}

/** `pattern`: `+` a success, `-` a fault, `o` turned away; never five faults in a row unless asked for. */
function feed(pool: EjectionPool, member: Ejection, pattern: string, nowMs = 0): void {
  for (const each of pattern) {
    const outcome = each === '+' ? Outcome.success : each === '-' ? Outcome.fault : Outcome.overload;
    pool.record(member, outcome, nowMs, nowMs, NO_PROBE, Evidence.sound);
  }
}

function sweep(pool: EjectionPool, nowMs: number): EjectionEvent[] {
  const verdicts: EjectionEvent[] = [];
  pool.sweep(nowMs, (_member, verdict) => void verdicts.push(verdict));
  return verdicts;
}

describe('EjectionPool, one that is kept for want of others', () => {
  /** Both fail; the first is ejected, the second is the last one. */
  const outage = () => {
    const { pool, members } = setUp(2);
    const [gone, kept] = members as [Ejection, Ejection];
    feed(pool, gone, '+---'.repeat(20));
    feed(pool, kept, '+---'.repeat(10));
    assert.deepEqual(sweep(pool, 1_000), [EjectionEvent.ejected, EjectionEvent.lastEligible]);
    assert.equal(gone.state, EjectionState.ejected);
    return { pool, gone, kept };
  };
  const succeed = (pool: EjectionPool, member: Ejection): EjectionEvent =>
    pool.record(member, Outcome.success, 1_000, 1_000, NO_PROBE, Evidence.sound);

  it('is mended by five good answers in a row, and not ejected for what it was when the others are back', () => {
    const { pool, gone, kept } = outage();
    for (let i = 1; i < 5; i++) assert.equal(succeed(pool, kept), EjectionEvent.nothing);
    assert.equal(succeed(pool, kept), EjectionEvent.recovered);
    assert.equal(succeed(pool, kept), EjectionEvent.nothing, 'once');
    pool.readmit(gone, 1_000);
    feed(pool, gone, '+'.repeat(30), 1_000);
    assert.deepEqual(sweep(pool, 2_000), []);
    assert.equal(kept.state, EjectionState.admitted);
  });

  it('is ejected when the others are back, where it goes on failing now and then', () => {
    const { pool, gone, kept } = outage();
    feed(pool, kept, '++++-'.repeat(4), 1_000);
    pool.readmit(gone, 1_000);
    assert.deepEqual(sweep(pool, 2_000), [EjectionEvent.ejected]);
    assert.equal(kept.state, EjectionState.ejected);
  });

  it('and who failed, and was not found out while nobody else was there, is ejected as ever', () => {
    const { pool, members } = setUp(3);
    feed(pool, members[0]!, '+--'.repeat(10) + '+'.repeat(4));
    assert.deepEqual(sweep(pool, 1_000), [EjectionEvent.ejected]);
  });
});

describe('EjectionPool, a look at everybody', () => {
  it('ejects who fails too many, though never five in a row, and says why', () => {
    const { pool, members } = setUp(3);
    feed(pool, members[0]!, '+--'.repeat(10));
    feed(pool, members[1]!, '+'.repeat(30));
    assert.deepEqual(sweep(pool, 1_000), [EjectionEvent.ejected]);
    const [bad] = members;
    assert.equal(bad!.state, EjectionState.ejected);
    assert.equal(bad!.why, 'success ratio 0.33 over 30 calls in 10 s');
    assert.equal(bad!.detector, Detector.successRatio);
    assert.equal(pool.counts.by[Detector.successRatio]!.enforced, 1);
    assert.equal(bad!.ejectionsBy[Detector.successRatio], 1);
    assert.equal(bad!.untilMs, 31_000);
    assert.deepEqual(sweep(pool, 2_000), []);
  });

  it('judges a burst and a trickle alike', () => {
    for (const everyMs of [0, 900]) {
      const { pool, members } = setUp(3);
      for (let i = 0; i < 10; i += 1) feed(pool, members[0]!, i % 3 === 0 ? '-' : '+', i * everyMs);
      assert.deepEqual(sweep(pool, 9 * everyMs), [EjectionEvent.ejected]);
    }
  });

  it('forgets over a silence', () => {
    const { pool, members } = setUp(3);
    feed(pool, members[0]!, '--+--');
    assert.deepEqual(sweep(pool, 10_000), []);
  });

  it('forgets everything at an ejection and at a readmission', () => {
    const { pool, members } = setUp(3);
    const [bad] = members;
    feed(pool, bad!, '--+-+-');
    sweep(pool, 0);
    pool.readmit(bad!, 100);
    assert.deepEqual(sweep(pool, 100), []);
    feed(pool, bad!, '----', 200);
    assert.deepEqual([bad!.consecutiveFaults, sweep(pool, 200)], [4, []], 'four calls are too few');
    feed(pool, bad!, '+', 200);
    assert.deepEqual(sweep(pool, 300), [EjectionEvent.ejected]);
  });

  it('does not count what began before a readmission', () => {
    const { pool, members } = setUp(3);
    const [bad] = members;
    feed(pool, bad!, '-----');
    pool.readmit(bad!, 1_000);
    for (let i = 0; i < 4; i += 1) {
      pool.record(bad!, Outcome.fault, 999, 1_500, NO_PROBE, Evidence.sound);
      pool.record(bad!, Outcome.fault, 1_200, 1_500, NO_PROBE, Evidence.doubtful);
    }
    assert.equal(bad!.window!.faults, 0);
  });

  it('ejects nobody for being full', () => {
    const { pool, members } = setUp(5);
    feed(pool, members[0]!, 'o'.repeat(500));
    for (const other of members.slice(1)) feed(pool, other, '+'.repeat(500));
    assert.deepEqual(sweep(pool, 0), []);
    assert.equal(members[0]!.window!.overloads, 500);
  });

  it('spends the cap on the worst, tells of the others once, and takes them when there is room', () => {
    const { pool, members } = setUp(3);
    const [bad, worse] = members;
    feed(pool, bad!, '+-+-+-');
    feed(pool, worse!, '--+--');
    assert.deepEqual(sweep(pool, 0), [EjectionEvent.ejected, EjectionEvent.overCap]);
    assert.equal(worse!.state, EjectionState.ejected);
    assert.deepEqual(sweep(pool, 1_000), []);
    const counts = pool.counts.by[Detector.successRatio]!;
    assert.deepEqual([counts.detected, counts.enforced, counts.notEnforced.overCap], [2, 1, 1]);
    pool.readmit(worse!, 2_000);
    assert.deepEqual(sweep(pool, 2_000), [EjectionEvent.ejected]);
    assert.deepEqual([counts.detected, counts.enforced], [2, 2]);
    assert.equal(bad!.state, EjectionState.ejected);
  });

  it('never ejects the last one, whatever the detector', () => {
    const { pool, members } = setUp(2);
    pool.setAvailable(members[1]!, 'unavailable');
    feed(pool, members[0]!, '--+--');
    assert.deepEqual(sweep(pool, 0), [EjectionEvent.lastEligible]);
    assert.equal(pool.counts.by[Detector.successRatio]!.notEnforced.lastEligible, 1);
  });

  it('only counts what a detector that observes finds, again when it comes again', () => {
    const { pool, members } = setUp(3, { successRatio: { ...ALL.successRatio, mode: 'observe' } });
    feed(pool, members[0]!, '--+--');
    assert.deepEqual(sweep(pool, 0), [EjectionEvent.observed]);
    assert.deepEqual(sweep(pool, 1_000), []);
    assert.deepEqual(sweep(pool, 20_000), []);
    feed(pool, members[0]!, '+--+--', 20_000);
    assert.deepEqual(sweep(pool, 20_000), [EjectionEvent.observed]);
    assert.deepEqual([pool.detected, pool.enforced, pool.notEnforced.observed], [2, 0, 2]);
  });

  it('remembers nothing that no detector needs', () => {
    const { pool, members, settings } = setUp(2, {});
    assert.deepEqual([members[0]!.window, members[0]!.latencies, members[0]!.outputs], [null, null, null]);
    pool.configure({ ...settings, detectors: ALL } as never, 0);
    assert.ok(members[0]!.window !== null && members[0]!.latencies !== null && members[0]!.outputs !== null);
    pool.configure(
      { ...settings, detectors: { ...ALL, latency: { ...ALL.latency, mode: 'off' } } } as never,
      0,
    );
    assert.equal(members[0]!.latencies, null);
    assert.ok(members[0]!.window !== null);
  });

  it('finds who is slower than its peers, and whose answers are invalid', () => {
    const { pool, members } = setUp(4);
    for (const member of members) {
      for (let i = 0; i < 30; i += 1) member.latencies!.record(0, member === members[0] ? 90 : 10, 0);
    }
    for (let i = 0; i < 20; i += 1) members[1]!.outputs!.fault(0);
    assert.deepEqual(sweep(pool, 0), [EjectionEvent.ejected, EjectionEvent.ejected]);
    assert.match(members[0]!.why, /^median latency 8\d\.\d ms over 30 calls/);
    assert.match(members[1]!.why, /^20 of 20 sampled answers/);
  });

  it('keeps the reason through a trial that fails, and counts it for the same detector', () => {
    const { pool, members } = setUp(3);
    const [bad] = members;
    feed(pool, bad!, '--+--');
    sweep(pool, 0);
    assert.equal(pool.takeProbe(30_000), bad);
    assert.equal(
      pool.record(bad!, Outcome.fault, 30_000, 30_001, bad!.probe, Evidence.sound),
      EjectionEvent.reEjected,
    );
    assert.match(bad!.why, /^success ratio/);
    assert.deepEqual([bad!.failedTrials, bad!.ejectionsBy[Detector.successRatio]], [1, 2]);
  });
});

describe('EjectionPool, all detectors under anything', () => {
  it('never has more ejected than the cap, and never ejects the last eligible one', () => {
    const step = fc.record({
      kind: fc.constantFrom(
        'feed',
        'feed',
        'feed',
        'slow',
        'invalid',
        'sweep',
        'sweep',
        'away',
        'back',
        'probe',
      ),
      who: fc.nat(7),
      pattern: fc.constantFrom('+', '-', '+-', '--+--', '-----', 'oo', '+'.repeat(100), '-+'.repeat(60)),
      waitMs: fc.nat(20_000),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.array(step, { maxLength: 80 }),
        fc.nat(),
        (count, steps, seed) => {
          const { pool, members } = setUp(count, ALL, {}, seeded(seed));
          let nowMs = 0;
          for (const { kind, who, pattern, waitMs } of steps) {
            nowMs += waitMs;
            const member = members[who % count]!;
            if (kind === 'feed') feed(pool, member, pattern, nowMs);
            else if (kind === 'slow')
              for (const each of members)
                for (let i = 0; i < 25; i += 1) each.latencies!.record(1, each === member ? 99 : 9, nowMs);
            else if (kind === 'invalid') for (let i = 0; i < 25; i += 1) member.outputs!.fault(nowMs);
            else if (kind === 'away') pool.setAvailable(member, 'unavailable');
            else if (kind === 'back') pool.setAvailable(member, 'available');
            else if (kind === 'probe') {
              const due = pool.takeProbe(nowMs);
              if (due !== undefined)
                pool.record(due, Outcome.success, nowMs, nowMs, due.probe, Evidence.sound);
            } else {
              pool.sweep(nowMs, (_each, verdict) => {
                if (verdict === EjectionEvent.ejected)
                  assert.ok(pool.eligible >= 1, 'the last one was ejected');
              });
            }
            const out = members.filter(({ state }) => state !== EjectionState.admitted).length;
            assert.equal(pool.ejected, out);
            assert.ok(out <= Math.max(1, count >> 1), `${out} of ${count} ejected`);
          }
          const { detected, enforced, notEnforced } = pool;
          assert.ok(
            detected <= enforced + notEnforced.observed + notEnforced.overCap + notEnforced.lastEligible,
          );
        },
      ),
      { numRuns: 300 },
    );
  });
});
