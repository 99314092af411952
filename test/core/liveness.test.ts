import assert from 'node:assert/strict';
import { Liveness, ModelLiveness, type WorkEvidence } from '../../sidecar/core/liveness.js';

const { alive, suspect, unresponsive, hung } = Liveness;

/** One call begun at 10 s, the last result then, runs of 50 ms usual. */
const BUSY: WorkEvidence = {
  inFlight: 1,
  completed: 7,
  lastCompletionMs: 10_000,
  oldestStartMs: 10_000,
  usualMs: 50,
};
const IDLE: WorkEvidence = {
  inFlight: 0,
  completed: 7,
  lastCompletionMs: 10_000,
  oldestStartMs: 0,
  usualMs: 50,
};

function failing(probes: number, settings = {}): ModelLiveness {
  const model = new ModelLiveness(settings);
  model.judge(BUSY, 10_000);
  for (let i = 0; i < probes; i += 1) model.probeFailed();
  return model;
}

describe('ModelLiveness, with work under way', () => {
  for (const [what, evidence, nowMs, probes, expected] of [
    ['is alive while silence is short, whatever probes say', BUSY, 10_999, 9, alive],
    ['is suspect after a second of silence', BUSY, 11_000, 0, suspect],
    ['is suspect with one failed probe', BUSY, 11_000, 1, suspect],
    ['is hung with two', BUSY, 11_000, 2, hung],
    ['has ten usual run times, just short', { ...BUSY, usualMs: 400 }, 13_999, 2, alive],
    ['has ten usual run times, and no more', { ...BUSY, usualMs: 400 }, 14_000, 2, hung],
    ['has thirty seconds while no run time is known, just short', { ...BUSY, usualMs: 0 }, 39_999, 2, alive],
    ['has thirty seconds while no run time is known, and no more', { ...BUSY, usualMs: 0 }, 40_000, 2, hung],
    ['counts from the oldest start when that is later', { ...BUSY, oldestStartMs: 10_500 }, 11_499, 2, alive],
    ['counts from the oldest start, exactly', { ...BUSY, oldestStartMs: 10_500 }, 11_500, 2, hung],
    ['counts from the last result when that is later', { ...BUSY, oldestStartMs: 2_000 }, 10_999, 2, alive],
  ] as const) {
    it(what, () => assert.equal(failing(probes).judge(evidence, nowMs), expected));
  }

  it('forgets failed probes when a result comes', () => {
    const model = failing(2);
    assert.equal(model.judge({ ...BUSY, completed: 8, lastCompletionMs: 11_500 }, 11_600), alive);
    assert.equal(model.judge({ ...BUSY, completed: 8, lastCompletionMs: 11_500 }, 12_500), suspect);
  });

  it('starts the silence anew when a probe is answered', () => {
    const model = failing(1);
    model.probePassed(11_000);
    assert.equal(model.judge(BUSY, 11_999), alive);
    assert.equal(model.judge(BUSY, 12_000), suspect);
    model.probeFailed();
    assert.equal(model.judge(BUSY, 12_000), suspect);
    model.probeFailed();
    assert.equal(model.judge(BUSY, 12_000), hung);
  });

  it('blames nobody for a stall of our own: silence and failed probes before its end do not count', () => {
    const model = failing(2);
    model.stalled(60_000);
    assert.equal(model.judge(BUSY, 60_000), alive);
    assert.equal(model.judge(BUSY, 60_999), alive);
    assert.equal(model.judge(BUSY, 61_000), suspect);
    model.probeFailed();
    model.probeFailed();
    assert.equal(model.judge(BUSY, 61_000), hung);
  });

  it('is judged afresh after a restart, which begins to count anew', () => {
    const model = failing(2);
    model.restarted(20_000);
    const fresh: WorkEvidence = {
      inFlight: 1,
      completed: 0,
      lastCompletionMs: 0,
      oldestStartMs: 20_500,
      usualMs: 50,
    };
    assert.equal(model.judge(fresh, 21_499), alive);
    assert.equal(model.judge(fresh, 21_500), suspect);
  });
});

describe('ModelLiveness, idle', () => {
  for (const [probes, expected] of [
    [0, alive],
    [1, alive],
    [2, unresponsive],
    [4, unresponsive],
    [5, hung],
  ] as const) {
    it(`is ${expected} after ${probes} failed probes, however long nothing has happened`, () => {
      assert.equal(failing(probes).judge(IDLE, 1e9), expected);
    });
  }

  it('is alive again with the next answer', () => {
    const model = failing(4);
    model.probePassed(20_000);
    assert.equal(model.judge(IDLE, 20_000), alive);
  });
});

describe('ModelLiveness, settings', () => {
  it('follows each of them', () => {
    assert.equal(failing(0, { minQuietMs: 5_000 }).judge(BUSY, 14_999), alive);
    assert.equal(failing(0, { usualFactor: 100 }).judge(BUSY, 14_999), alive);
    assert.equal(failing(0, { unknownQuietMs: 2_000 }).judge({ ...BUSY, usualMs: 0 }, 12_000), suspect);
    assert.equal(failing(1, { probes: 1 }).judge(BUSY, 11_000), hung);
    assert.equal(failing(3, { idleProbes: 3 }).judge(IDLE, 11_000), hung);
  });
});
