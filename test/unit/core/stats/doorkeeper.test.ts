import assert from 'node:assert/strict';
import { Doorkeeper } from '../../../../sidecar/core/stats/doorkeeper.js';

/** Bits all over. */
function hashOf(i: number): number {
  const mixed = Math.imul(i + 1, 0x9e3779b1);
  return Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b);
}

describe('Doorkeeper', () => {
  it('knows a hash the second time', () => {
    const seen = new Doorkeeper(1000);
    for (let i = 0; i < 1000; i++) {
      seen.again(hashOf(i));
      assert.equal(seen.again(hashOf(i)), true);
    }
  });

  it('seldom takes a new hash for a known one', () => {
    const seen = new Doorkeeper(1000);
    let wrong = 0;
    for (let i = 0; i < 1000; i++) if (seen.again(hashOf(i))) wrong++;
    assert.ok(wrong < 250, String(wrong));
  });

  it('forgets hashes in time', () => {
    const seen = new Doorkeeper(100);
    for (let i = 0; i < 1000; i++) seen.again(hashOf(i));
    let known = 0;
    for (let i = 0; i < 20; i++) if (seen.again(hashOf(i))) known++;
    assert.ok(known < 12, String(known));
  });

  it('distinguishes hashes however few are expected', () => {
    const seen = new Doorkeeper(0);
    assert.deepEqual([seen.again(1 << 30), seen.again(1 << 31), seen.again(1 << 30)], [false, false, true]);
  });
});
