import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RateLimits, type RateRule } from '../../../../sidecar/core/admission/rate-limit.js';

const INFER = '/inference.GRPCInferenceService/ModelInfer';
const rule = (over: Partial<RateRule> = {}): RateRule => ({
  ...{ callers: ['*'], methods: ['*'], perSecond: 10, burst: 3 },
  ...over,
});

describe('RateLimits', () => {
  it('admits a burst, then one call for each share of a second, and returns how long to wait', () => {
    const limits = new RateLimits([rule()]);
    const waits = [0, 0, 0, 0, 50, 100].map((nowMs) => limits.take('web', INFER, nowMs));
    assert.deepEqual(waits, [0, 0, 0, 100, 50, 0]);
    assert.equal(limits.refused, 2);
  });

  it('has a bucket for each caller: one that floods costs the others nothing', () => {
    const limits = new RateLimits([rule({ burst: 1 })]);
    for (let i = 0; i < 100; i++) limits.take('flood', INFER, 0);
    assert.equal(limits.take('web', INFER, 0), 0);
  });

  it('applies the first rule that matches caller and method, and no other', () => {
    const limits = new RateLimits([
      rule({ callers: ['batch'], methods: [INFER], burst: 1 }),
      rule({ methods: ['/inference.GRPCInferenceService/*'], burst: 2 }),
    ]);
    assert.equal(limits.take('batch', INFER, 0), 0);
    assert.ok(limits.take('batch', INFER, 0) > 0, 'its own rule is stricter');
    assert.equal(limits.take('batch', '/inference.GRPCInferenceService/ModelReady', 0), 0);
    assert.equal(limits.take('web', INFER, 0), 0);
    for (let i = 0; i < 10; i++)
      assert.equal(limits.take('web', '/other.Service/Any', 0), 0, 'no rule speaks');
  });

  it('never admits more than burst and rate allow, whichever caller calls when', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(400), { minLength: 1, maxLength: 200 }), (gaps) => {
        const limits = new RateLimits([rule({ perSecond: 20, burst: 5 })]);
        let nowMs = 0;
        let passed = 0;
        for (const gap of gaps) {
          nowMs += gap;
          if (limits.take('web', INFER, nowMs) === 0) passed++;
          assert.ok(passed <= 5 + (nowMs * 20) / 1_000 + 1e-6);
        }
      }),
    );
  });

  it('keeps its buckets when the configuration changes, and grants no burst for it', () => {
    const before = new RateLimits([rule({ callers: ['batch'], burst: 1 }), rule()]);
    for (let i = 0; i < 5; i++) before.take('web', INFER, 0);
    const after = new RateLimits([rule({ perSecond: 100, burst: 50 })], before);
    assert.equal(after.refused, 2);
    assert.equal(after.take('web', INFER, 0), 10, 'empty still, and filled faster');
    assert.equal(new RateLimits([rule({ methods: [INFER] })], before).take('web', INFER, 0), 0, 'a new rule');
  });

  it('does not grow with the number of callers', () => {
    const limits = new RateLimits([rule({ burst: 1, perSecond: 0.001 })]);
    limits.take('first', INFER, 0);
    for (let i = 0; i < 20_000; i++) limits.take(`caller-${i}`, INFER, 0);
    assert.equal(limits.take('first', INFER, 0), 0, 'it was forgotten, which fills its bucket');
    assert.ok(limits.take('caller-19999', INFER, 0) > 0, 'the latest are remembered');
  });
});
