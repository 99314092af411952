import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Hysteresis, isSameExceptNumbers } from '../../../../sidecar/core/health/hysteresis.js';

describe('Hysteresis', () => {
  it('turns bad at the second bad sample in a row, and good at the first good one', () => {
    const verdict = new Hysteresis(true);
    assert.equal(verdict.sample(false), false);
    assert.ok(verdict.isGood && verdict.isInDoubt);
    assert.deepEqual([verdict.sample(false), verdict.isGood], [true, false]);
    assert.deepEqual([verdict.sample(false), verdict.sample(true), verdict.isGood], [false, true, true]);
  });

  it('counts anew after a sample that agrees, and after a stall', () => {
    const verdict = new Hysteresis(true);
    verdict.sample(false);
    verdict.sample(true);
    verdict.sample(false);
    verdict.reset();
    assert.equal(verdict.sample(false), false);
    assert.ok(verdict.isGood);
  });

  it('changes at once for certain knowledge', () => {
    const verdict = new Hysteresis(true);
    assert.deepEqual([verdict.set(false), verdict.set(false)], [true, false]);
    assert.ok(!verdict.isGood && !verdict.isInDoubt);
  });

  it('never changes faster than its thresholds, whatever the samples', () => {
    const threshold = fc.integer({ min: 1, max: 4 });
    const thresholds = fc.record({ unhealthyThreshold: threshold, healthyThreshold: threshold });
    fc.assert(
      fc.property(thresholds, fc.boolean(), fc.array(fc.boolean()), (settings, start, samples) => {
        const verdict = new Hysteresis(start, settings);
        samples.forEach((sample, i) => {
          if (!verdict.sample(sample)) return;
          const needed = sample ? settings.healthyThreshold : settings.unhealthyThreshold;
          const last = samples.slice(i + 1 - needed, i + 1);
          assert.equal(last.length, needed);
          assert.ok(last.every((each) => each === sample));
          assert.equal(verdict.isGood, sample);
        });
      }),
    );
  });
});

describe('isSameExceptNumbers', () => {
  it('is true when only numbers differ', () => {
    assert.ok(isSameExceptNumbers('no answer for 3 s', 'no answer for 12.5 s'));
    assert.ok(isSameExceptNumbers('', ''));
    assert.ok(!isSameExceptNumbers('no answer for 3 s', 'no answer'));
    assert.ok(!isSameExceptNumbers('draining', 'NOT_SERVING'));
  });
});
