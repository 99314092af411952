import assert from 'node:assert/strict';
import { type CallInLine, waitEndMs } from '../../../../sidecar/core/admission/longest-wait.js';

describe('The end of a wait in line', () => {
  const NEVER = Number.POSITIVE_INFINITY;
  const UNBOUND: CallInLine = { sinceMs: 1_000, classMs: 0, firstMessageMs: NEVER, askedMs: 1_200 };
  const end = (over: Partial<CallInLine> = {}, nowMs = 2_000): number =>
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

  it('is the earlier of the two', () => {
    assert.equal(end({ classMs: 500, firstMessageMs: 1_000 }), 1_500);
    assert.equal(end({ classMs: 5_000, firstMessageMs: 1_000 }), 2_100);
  });
});
