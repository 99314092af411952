import assert from 'node:assert/strict';
import { FirstMessageTime } from '../../../../sidecar/core/admission/first-message-time.js';

describe('The usual time to a first message', () => {
  let time: FirstMessageTime;
  beforeEach(() => {
    time = new FirstMessageTime();
  });

  it('is not known at first, a plain mean of the first ten, and follows after that', () => {
    assert.equal(time.meanMs, 0);
    time.record(100);
    time.record(300);
    assert.equal(time.meanMs, 200);
    for (let i = 0; i < 8; i++) time.record(200);
    assert.equal(time.meanMs, 200);
    time.record(1_200);
    assert.equal(time.meanMs, 300);
  });

  it('grows by a stream that ended without one only where that took longer than usual', () => {
    time.recordAtLeast(400);
    assert.equal(time.meanMs, 400);
    time.recordAtLeast(300);
    assert.equal(time.meanMs, 400);
    time.recordAtLeast(600);
    assert.equal(time.meanMs, 500);
  });
});
