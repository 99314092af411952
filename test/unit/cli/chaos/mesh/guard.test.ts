import assert from 'node:assert/strict';
import {
  AvailabilityGuard,
  untilCalm,
  untilWhole,
  type Watch,
  whyNotNow,
} from '../../../../../sidecar/cli/chaos/mesh/guard.js';

const serves = (name: string, over = {}) => ({ name, notReady: [], getsCalls: true, ...over });

describe('the guard of a running mesh', () => {
  it('lets a replica be touched only where all serve, and another is left', () => {
    assert.equal(whyNotNow([serves('a'), serves('b')]), undefined);
    assert.match(whyNotNow([serves('a')])!, /the last replica that serves/);
    assert.match(whyNotNow([])!, /the last replica/);
    assert.equal(
      whyNotNow([serves('a'), serves('b', { notReady: ['the model is loading'] })]),
      'b is not ready: the model is loading',
    );
    assert.match(whyNotNow([serves('a', { getsCalls: false }), serves('b')])!, /^a gets no calls/);
  });

  it('stops a drill when too few of the calls of two seconds are answered', () => {
    const guard = new AvailabilityGuard(0.5);
    for (let i = 0; i < 20; i++) guard.note(true, i * 10);
    for (let i = 0; i < 20; i++) guard.note(false, 200 + i * 10);
    assert.equal(guard.whyStop(400, 0), undefined, 'half of them is the bound');
    guard.note(false, 400);
    assert.equal(
      guard.whyStop(400, 0),
      '48.8 % of 41 calls in 2 s were answered well, and 50 % is the bound',
    );
    // What was good is long ago.
    assert.match(guard.whyStop(2_200, 0)!, /^0 % of 2/);
  });

  it('counts calls that wait for too long, and says nothing of a few calls or without a bound', () => {
    const guard = new AvailabilityGuard(0.5);
    for (let i = 0; i < 9; i++) guard.note(false, 0);
    assert.equal(guard.whyStop(0, 0), undefined);
    assert.match(guard.whyStop(0, 1)!, /^0 % of 10 calls/);
    const off = new AvailabilityGuard(0);
    for (let i = 0; i < 100; i++) off.note(false, 0);
    assert.equal(off.whyStop(0, 100), undefined);
  });
});

/** A mesh of two replicas; the first one gets calls unless `isOut` says otherwise at a time. Time passes by sleeping. */
function mesh(isOut: (atMs: number) => boolean): Watch & { slept: number[] } {
  let nowMs = 0;
  const slept: number[] = [];
  return {
    slept,
    now: () => nowMs,
    async sleep(ms) {
      slept.push(ms);
      nowMs += ms;
    },
    async look() {
      return ['a', 'b'].map((name) => ({ name, notReady: [], getsCalls: name === 'b' || !isOut(nowMs) }));
    },
  };
}

describe('waiting for a whole mesh', () => {
  it('does not wait where it is whole, and looks ten times a second where it is not', async () => {
    const whole = mesh(() => false);
    await untilWhole(whole);
    assert.deepEqual(whole.slept, []);
    const soon = mesh((atMs) => atMs < 250);
    await untilWhole(soon);
    assert.deepEqual(soon.slept, [100, 100, 100]);
  });

  it('ends after 180 s with what is wrong', async () => {
    const never = mesh(() => true);
    await assert.rejects(untilWhole(never), /the mesh is not whole: a gets no calls of the caller's sidecar/);
    assert.ok(never.now() > 180_000 && never.now() < 181_000, String(never.now()));
  });
});

describe('waiting for a calm part', () => {
  it('takes one, where the mesh is whole at its end', async () => {
    const whole = mesh(() => false);
    assert.equal(await untilCalm(whole, 2_000), undefined);
    assert.deepEqual(whole.slept, [2_000]);
  });

  it('takes another when an endpoint was ejected meanwhile, once it is back', async () => {
    const late = mesh((atMs) => atMs > 1_000 && atMs < 2_150);
    assert.equal(await untilCalm(late, 2_000), undefined);
    assert.deepEqual(late.slept, [2_000, 100, 100, 2_000]);
  });

  it('says why not, when the mesh is whole between calm parts and never after one', async () => {
    let looks = 0;
    const flaps = mesh(() => looks++ % 2 === 0);
    assert.match((await untilCalm(flaps, 2_000))!, /^a gets no calls/);
    assert.ok(flaps.now() > 180_000 && flaps.now() < 185_000, String(flaps.now()));
  });
});
