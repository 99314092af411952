import assert from 'node:assert/strict';
import { answerByMs, type QueuedCall, waitEndMs } from '../../../../sidecar/core/admission/longest-wait.js';

describe('The end of a wait in the queue', () => {
  const NEVER = Number.POSITIVE_INFINITY;
  const UNBOUND: QueuedCall = {
    ...{ sinceMs: 1_000, classMs: 0, firstMessageMs: NEVER },
    ...{ askedMs: 1_200, usualMs: 0 },
  };
  const end = (over: Partial<QueuedCall> = {}, nowMs = 2_000): number =>
    waitEndMs({ ...UNBOUND, ...over }, nowMs);

  it('is the deadline alone where nothing else is said', () => {
    assert.equal(end(), NEVER);
    assert.equal(end({ askedMs: NEVER }), NEVER);
  });

  it('is that of its class, from when it came', () => assert.equal(end({ classMs: 500 }), 1_500));

  it('is a tenth before its caller gives the first message up, which counts from the end of the request', () =>
    assert.equal(end({ firstMessageMs: 1_000 }), 2_100));

  it('moves on while the caller has more to send', () => {
    const open = { firstMessageMs: 1_000, askedMs: NEVER };
    assert.deepEqual([end(open), end(open, 3_000)], [2_900, 3_900]);
    assert.equal(end({ ...open, classMs: 1_500 }, 3_000), 2_500, 'that of its class does not');
  });

  it('leaves the model twice what it usually needs for a first message, a tenth at least, and half of the time at most', () => {
    const of = (usualMs: number): number => end({ firstMessageMs: 1_000, usualMs });
    assert.deepEqual([10, 50, 100, 200, 250, 900].map(of), [2_100, 2_100, 2_000, 1_800, 1_700, 1_700]);
    assert.equal(end({ usualMs: 900 }), NEVER, 'its caller does not say how long it waits');
    assert.equal(end({ usualMs: 900, classMs: 500 }), 1_500);
  });

  it('is the earlier of the two', () => {
    assert.equal(end({ classMs: 500, firstMessageMs: 1_000 }), 1_500);
    assert.equal(end({ classMs: 5_000, firstMessageMs: 1_000 }), 2_100);
  });
});

describe('The answer to a call whose deadline passes in the queue', () => {
  const early = (allowedMs: number): number => 5_000 + allowedMs - answerByMs(5_000 + allowedMs, 5_000);

  it('comes a hundredth of its time before that, 10 ms at least, and a tenth of it at most', () => {
    assert.deepEqual([10, 50, 100, 1_000, 10_000].map(early), [1, 5, 10, 10, 100]);
    assert.equal(answerByMs(Number.POSITIVE_INFINITY, 5_000), Number.POSITIVE_INFINITY);
  });
});
