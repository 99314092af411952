import assert from 'node:assert/strict';
import { AvailabilityGuard, whyNotNow } from '../../../../../sidecar/cli/chaos/mesh/guard.js';

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
