/** What calls and their copies say of a version. */
import assert from 'node:assert/strict';
import type { CallTally, ReplicaFacts } from '../../../../sidecar/core/models/rollout.js';
import { failsClearly, judgeShadow, judgeWatch } from '../../../../sidecar/core/models/rollout-judgement.js';

const SETTINGS = { windowMs: 10_000, agreement: 0.98, samples: 50, canary: 0, maxLatency: 2, loadMs: 60_000 };
const tally = (calls: number, errors = 0, medianMs = 4): CallTally => ({ calls, errors, medianMs });

describe('a version beside the one that is served', () => {
  const facts = (compared: number, agreed: number, overrides: Partial<ReplicaFacts> = {}): ReplicaFacts => ({
    ...{ instance: 'mine-1', id: 'x', serving: '1', candidate: 'proven', why: '', difference: '' },
    ...{ compared, agreed, before: tally(100), after: tally(compared) },
    ...overrides,
  });

  it('passes when enough answers agree', () => {
    assert.deepEqual(judgeShadow(facts(49, 49), SETTINGS, 1_000), { kind: 'open' });
    assert.deepEqual(judgeShadow(facts(50, 49), SETTINGS, 1_000), {
      kind: 'passed',
      why: '98 % of 50 answers agree',
    });
  });

  it('fails with the figure as soon as it cannot agree any more', () => {
    const difference = 'output probabilities: 2 of 10 elements differ';
    assert.deepEqual(judgeShadow(facts(10, 6, { difference }), SETTINGS, 1_000), {
      kind: 'failed',
      why: `60 % of 10 answers agree (6), expected 98 %; the last one: ${difference}`,
    });
    assert.equal(judgeShadow(facts(9, 0), SETTINGS, 1_000).kind, 'open', 'nine are few');
    assert.equal(judgeShadow(facts(20, 19), SETTINGS, 1_000).kind, 'open', 'one of fifty may differ');
    assert.equal(judgeShadow(facts(20, 18), SETTINGS, 1_000).kind, 'failed');
  });

  it('is judged at the end of the window by what was compared, later where that is little', () => {
    assert.deepEqual(judgeShadow(facts(20, 20), SETTINGS, 10_000).kind, 'passed');
    assert.deepEqual(judgeShadow(facts(3, 3), SETTINGS, 49_999).kind, 'open');
    assert.deepEqual(judgeShadow(facts(3, 3), SETTINGS, 50_000).kind, 'passed');
    assert.deepEqual(judgeShadow(facts(3, 2), SETTINGS, 50_000).kind, 'failed');
    const none = { kind: 'passed', why: 'no call came whose answers could be compared' };
    assert.deepEqual(judgeShadow(facts(0, 0), SETTINGS, 49_999).kind, 'open');
    assert.deepEqual(judgeShadow(facts(0, 0), SETTINGS, 50_000), none);
    const uncompared = { ...SETTINGS, samples: 0 };
    assert.equal(judgeShadow(facts(0, 0), uncompared, 0).kind, 'passed');
  });

  const slow = (medianMs: number, calls: number, compared = 20, elapsedMs = 1_000) =>
    judgeShadow(
      facts(compared, compared, { before: tally(20, 0, 10), after: tally(calls, 0, medianMs) }),
      SETTINGS,
      elapsedMs,
    );

  it('fails when its median is twice as long, and not for what is noise or for few calls', () => {
    assert.equal(slow(20, 100, 50).kind, 'passed');
    assert.deepEqual(slow(20.5, 100, 50), {
      kind: 'failed',
      why: 'median of 20.5 ms over 100 calls, expected at most 20 ms: 10 ms at the version before',
    });
    assert.equal(slow(1_000, 9).kind, 'open');
    assert.equal(slow(41, 10).kind, 'failed', 'few calls are enough for what is clear');
    assert.equal(slow(39, 19, 19, 10_000).kind, 'passed');
    assert.equal(slow(41, 19, 19, 10_000).kind, 'failed', 'a slow version answers few copies in a window');
    const fast = { before: tally(50, 0, 0.5), after: tally(50, 0, 5) };
    assert.equal(judgeWatch(facts(50, 50, fast), SETTINGS, 1_000).kind, 'open', '5 ms more are noise');
  });

  it('may be slow for a while, as it has just been loaded or the machine is busy, unless that is clear', () => {
    assert.equal(slow(39, 20).kind, 'open');
    assert.equal(slow(41, 20).kind, 'failed');
    assert.equal(slow(21, 50, 50).kind, 'failed', 'no more copies are to come');
    assert.equal(slow(39, 39, 39, 10_000).kind, 'passed', 'few copies come within the window');
    assert.equal(slow(21, 40, 40, 10_000).kind, 'failed', 'the window is over');
    const watched = (medianMs: number, elapsedMs: number, calls = 241) => {
      const tallies = { before: tally(256, 0, 10), after: tally(calls, 0, medianMs) };
      return judgeWatch(facts(50, 50, tallies), SETTINGS, elapsedMs).kind;
    };
    assert.equal(watched(39, 9_999), 'open');
    assert.equal(watched(41, 1_000), 'failed');
    assert.equal(watched(21, 10_000), 'failed');
    assert.equal(watched(19, 10_000), 'passed', 'it was for a while');
    assert.equal(watched(39, 10_000, 99), 'passed', 'few calls come to a canary');
    assert.equal(watched(41, 10_000, 99), 'failed');
    assert.equal(watched(0, 10_000), 'passed', 'no latency is known');
    const unknown = { before: tally(256, 0, 0), after: tally(241, 0, 40) };
    assert.equal(judgeWatch(facts(50, 50, unknown), SETTINGS, 10_000).kind, 'passed');
  });

  it('is not taken back for answers that differ by chance, and is for more', () => {
    const watch = (compared: number, agreed: number, elapsedMs = 10_000) =>
      judgeWatch(facts(compared, agreed), SETTINGS, elapsedMs).kind;
    assert.equal(watch(41, 40), 'passed', 'one copy was lost');
    assert.equal(watch(60, 57), 'passed');
    assert.equal(watch(60, 50), 'failed');
    assert.equal(watch(10, 6, 1_000), 'failed', 'and no more have to come');
  });

  it('is watched for a window, in which more errors than before fail it', () => {
    const watch = (before: CallTally, after: CallTally, elapsedMs = 1_000) =>
      judgeWatch(facts(50, 50, { before, after }), SETTINGS, elapsedMs);
    assert.equal(watch(tally(1_000), tally(100, 4)).kind, 'open', 'four may be chance');
    assert.deepEqual(watch(tally(1_000), tally(100, 5)), {
      kind: 'failed',
      why: '5 % of 100 calls failed (5), 0 % of 1000 at the version before',
    });
    assert.equal(watch(tally(1_000, 50), tally(100, 6)).kind, 'open', 'the version before fails as often');
    assert.equal(watch(tally(1_000, 50), tally(100, 20)).kind, 'failed');
    assert.equal(watch(tally(20, 20), tally(20, 20)).kind, 'open', 'nothing has become worse');
    assert.equal(watch(tally(0), tally(5, 5)).kind, 'failed');
    assert.deepEqual(watch(tally(1_000), tally(100), 10_000), {
      kind: 'passed',
      why: '0 of 100 calls failed',
    });
    assert.deepEqual(watch(tally(0), tally(0), 10_000).kind, 'passed');
  });

  it('does not fail for the first calls after a rollout where most requests are bad', () => {
    const watch = (errors: number, before: CallTally, elapsedMs = 1_000) =>
      judgeWatch(facts(50, 50, { before, after: tally(errors, errors) }), SETTINGS, elapsedMs).kind;
    const bad = tally(59, 37);
    assert.equal(watch(5, bad), 'open', 'five bad requests in a row come once in ten times');
    assert.equal(watch(10, bad), 'open');
    assert.equal(watch(16, bad), 'failed');
    assert.equal(watch(3, bad, 10_000), 'passed', 'at the end');
    assert.equal(failsClearly(bad, tally(5, 5)), false);
    // Of a version before that fails seldom.
    assert.equal(watch(5, tally(59, 3)), 'failed');
    assert.equal(watch(3, tally(59, 3), 10_000), 'failed');
  });

  it('fails for a part of its calls also where the version before had none', () => {
    const watch = (after: CallTally) =>
      judgeWatch(facts(0, 0, { before: tally(0), after }), SETTINGS, 1_000).kind;
    assert.equal(watch(tally(60, 15)), 'failed');
    assert.equal(watch(tally(60, 5)), 'open', 'the version before might have failed as often');
    assert.equal(watch(tally(600, 5)), 'open');
  });

  it('fails clearly before the leader has looked, for more errors than chance explains', () => {
    assert.equal(failsClearly(tally(300), tally(100, 4)), false);
    assert.equal(failsClearly(tally(300), tally(100, 5)), true);
    assert.equal(failsClearly(tally(300, 15), tally(100, 6)), false, 'the version before fails as often');
  });

  it('fails for what fails only now, whatever went well before', () => {
    const late = (recentErrors: number): CallTally => ({ ...tally(1_000, recentErrors), recentErrors });
    const watched = (recentErrors: number, elapsedMs = 1_000) =>
      judgeWatch(facts(50, 50, { before: tally(300), after: late(recentErrors) }), SETTINGS, elapsedMs);
    assert.equal(watched(4).kind, 'open');
    assert.deepEqual(watched(5), {
      kind: 'failed',
      why: '10 % of the latest 50 calls failed (5), 0 % of 300 at the version before',
    });
    assert.equal(watched(3, 10_000).kind, 'failed', 'at the end');
    assert.equal(failsClearly(tally(300), late(5)), true);
    assert.equal(failsClearly(tally(300, 15), late(9)), false, 'the version before fails as often');
  });

  /** Calls of both versions in one phase. */
  const phases = (old: [number, number], fresh: [number, number], overrides: Partial<ReplicaFacts> = {}) =>
    facts(0, 0, {
      before: { ...tally(1_000), refused: old[1], phase: { calls: old[0], refused: old[1] } },
      after: { ...tally(fresh[0]), refused: fresh[1], phase: { calls: fresh[0], refused: fresh[1] } },
      ...overrides,
    });
  const ends = (found: ReplicaFacts) =>
    [1_000, 10_000].map((elapsedMs) => judgeWatch(found, SETTINGS, elapsedMs).kind);

  it('is not blamed for the mistakes of its callers, however many, while the version before gets as many', () => {
    assert.deepEqual(ends(phases([900, 144], [100, 16])), ['open', 'passed']);
    assert.deepEqual(ends(phases([900, 144], [100, 21])), ['open', 'passed'], 'chance');
    assert.deepEqual(ends(phases([900, 900], [100, 100])), ['open', 'passed']);
    assert.deepEqual(ends(phases([0, 0], [300, 48])), ['open', 'passed'], 'it gets all calls');
    assert.deepEqual(ends(phases([0, 0], [300, 240])), ['open', 'passed'], 'one caller may be most of them');
    assert.deepEqual(ends(phases([19, 0], [300, 100])), ['open', 'passed'], 'too few to compare');
  });

  it('is blamed for what it alone refuses', () => {
    assert.deepEqual(judgeWatch(phases([900, 9], [100, 30]), SETTINGS, 1_000), {
      kind: 'failed',
      why: '30 % of 100 calls refused (30), 1 % of 900 at the version before in the same time',
    });
    assert.deepEqual(ends(phases([100, 2], [20, 20])), ['failed', 'failed']);
  });

  it('is blamed for refusing nearly everything where the version before gets no calls and no copies', () => {
    const refusing = (overrides: Partial<ReplicaFacts> = {}) => ends(phases([0, 0], [60, 58], overrides));
    assert.deepEqual(judgeWatch(phases([0, 0], [60, 58]), SETTINGS, 1_000), {
      kind: 'failed',
      why: '58 of 60 calls refused, 0 of 1000 at the version before',
    });
    const wait = { pairs: { sampled: 3, alike: 0 } };
    assert.deepEqual(refusing(wait), ['open', 'failed'], 'copies may still say more');
    assert.deepEqual(refusing({ pairs: { sampled: 3, alike: 1 } }), ['open', 'passed'], 'so does the other');
    assert.deepEqual(refusing({ before: tally(0) }), ['open', 'passed'], 'nothing is known of the other');
    const mistaken = { ...tally(1_000), refused: 600 };
    assert.deepEqual(refusing({ before: mistaken }), ['open', 'passed'], 'its callers made mistakes before');
    assert.deepEqual(ends(phases([0, 0], [19, 19])), ['open', 'passed'], 'few');
  });

  it('fails at the end of its window for fewer errors, as callers that have ejected it send it no more', () => {
    const watch = (after: CallTally, elapsedMs: number) =>
      judgeWatch(facts(50, 50, { before: tally(100), after }), SETTINGS, elapsedMs).kind;
    assert.equal(watch(tally(83, 5), 9_999), 'open');
    assert.equal(watch(tally(83, 5), 10_000), 'failed');
    assert.equal(watch(tally(40, 3), 10_000), 'failed');
    assert.equal(watch(tally(40, 2), 10_000), 'passed', 'two may be chance');
    assert.equal(watch(tally(1_000, 9), 10_000), 'passed', 'below one percent');
  });

  it('fails while it is watched when it agrees with the version before no longer', () => {
    assert.equal(judgeWatch(facts(80, 60), SETTINGS, 1_000).kind, 'failed');
    assert.equal(judgeWatch(facts(80, 79), SETTINGS, 1_000).kind, 'open');
  });
});
