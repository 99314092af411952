/** What calls and their copies say of a version. */
import assert from 'node:assert/strict';
import type { CallTally, ReplicaFacts } from '../../../../sidecar/core/models/rollout.js';
import { judgeShadow, judgeWatch } from '../../../../sidecar/core/models/rollout-judgement.js';

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
    const none = { kind: 'passed', why: 'no call came to compare answers of' };
    assert.deepEqual(judgeShadow(facts(0, 0), SETTINGS, 9_999).kind, 'open');
    assert.deepEqual(judgeShadow(facts(0, 0), SETTINGS, 10_000), none);
    const uncompared = { ...SETTINGS, samples: 0 };
    assert.equal(judgeShadow(facts(0, 0), uncompared, 0).kind, 'passed');
  });

  it('fails when its median is twice as long, and not for what is noise or for few calls', () => {
    const slow = (medianMs: number, calls = 20) =>
      judgeShadow(
        facts(20, 20, { before: tally(20, 0, 10), after: tally(calls, 0, medianMs) }),
        SETTINGS,
        1_000,
      );
    assert.equal(slow(20).kind, 'open');
    assert.deepEqual(slow(20.5), {
      kind: 'failed',
      why: 'median of 20.5 ms over 20 calls, expected at most 20 ms: 10 ms at the version before',
    });
    assert.equal(slow(1_000, 19).kind, 'open');
    const fast = { before: tally(50, 0, 0.5), after: tally(50, 0, 5) };
    assert.equal(judgeWatch(facts(50, 50, fast), SETTINGS, 1_000).kind, 'open', '5 ms more are noise');
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

  it('fails while it is watched when it agrees with the version before no longer', () => {
    assert.equal(judgeWatch(facts(80, 60), SETTINGS, 1_000).kind, 'failed');
    assert.equal(judgeWatch(facts(80, 79), SETTINGS, 1_000).kind, 'open');
  });
});
