import assert from 'node:assert/strict';
import { Sampler } from '../../../../sidecar/telemetry/traces/sampler.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const CALLS = 200_000;

describe('the sampler', () => {
  const picked = (ratio: number): boolean[] => {
    const sampler = new Sampler(ratio, seeded(7));
    return Array.from({ length: CALLS }, () => sampler.take());
  };
  const shareOf = (all: readonly boolean[]): number => all.filter(Boolean).length / all.length;

  for (const ratio of [0.001, 0.01, 0.3, 0.9])
    it(`picks ${ratio} of the calls`, () => {
      // Four standard deviations.
      const spread = 4 * Math.sqrt((ratio * (1 - ratio)) / CALLS);
      assert.ok(Math.abs(shareOf(picked(ratio)) - ratio) < spread);
    });

  it('picks all or none', () => {
    assert.equal(shareOf(picked(1)), 1);
    assert.equal(shareOf(picked(0)), 0);
  });

  it('does not remember: after a call that was picked the next has the same chance', () => {
    const all = picked(0.3);
    const after = all.filter((_, i) => i > 0 && all[i - 1]);
    assert.ok(Math.abs(shareOf(after) - 0.3) < 4 * Math.sqrt(0.21 / after.length));
  });
});
