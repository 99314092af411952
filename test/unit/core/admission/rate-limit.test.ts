import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type RatedCall, RateLimits, type RateRule } from '../../../../sidecar/core/admission/rate-limit.js';
import { TokenReservation } from '../../../../sidecar/core/admission/token-budget.js';

const INFER = '/inference.GRPCInferenceService/ModelInfer';
const rule = (over: Partial<RateRule> = {}): RateRule => ({
  ...{ callers: ['*'], methods: ['*'], perSecond: 10, burst: 3 },
  ...over,
});

/** How long a call would have to wait; 0: it is within its limit. */
const wait = (limits: RateLimits, call: Partial<RatedCall>, nowMs: number): number =>
  limits.take({ caller: 'web', path: INFER, model: '', version: '', isUnreadable: false, ...call }, nowMs)
    ?.waitMs ?? 0;

describe('RateLimits', () => {
  it('admits a burst, then one call for each share of a second, and returns how long to wait', () => {
    const limits = new RateLimits([rule()]);
    const waits = [0, 0, 0, 0, 50, 100].map((nowMs) => wait(limits, {}, nowMs));
    assert.deepEqual(waits, [0, 0, 0, 100, 50, 0]);
    assert.equal(limits.refused, 2);
  });

  it('has a bucket for each caller: one that floods costs the others nothing', () => {
    const limits = new RateLimits([rule({ burst: 1 })]);
    for (let i = 0; i < 100; i++) wait(limits, { caller: 'flood' }, 0);
    assert.equal(wait(limits, {}, 0), 0);
  });

  it('applies the first rule that matches caller and method, and no other', () => {
    const limits = new RateLimits([
      rule({ callers: ['batch'], methods: [INFER], burst: 1 }),
      rule({ methods: ['/inference.GRPCInferenceService/*'], burst: 2 }),
    ]);
    assert.equal(wait(limits, { caller: 'batch' }, 0), 0);
    assert.ok(wait(limits, { caller: 'batch' }, 0) > 0, 'its own rule is stricter');
    assert.equal(wait(limits, { caller: 'batch', path: '/inference.GRPCInferenceService/ModelReady' }, 0), 0);
    assert.equal(wait(limits, {}, 0), 0);
    for (let i = 0; i < 10; i++)
      assert.equal(wait(limits, { path: '/other.Service/Any' }, 0), 0, 'no rule speaks');
  });

  it('never admits more than burst and rate allow, whichever caller calls when', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(400), { minLength: 1, maxLength: 200 }), (gaps) => {
        const limits = new RateLimits([rule({ perSecond: 20, burst: 5 })]);
        let nowMs = 0;
        let passed = 0;
        for (const gap of gaps) {
          nowMs += gap;
          if (wait(limits, {}, nowMs) === 0) passed++;
          assert.ok(passed <= 5 + (nowMs * 20) / 1_000 + 1e-6);
        }
      }),
    );
  });

  it('keeps its buckets when the configuration changes, and grants no burst for it', () => {
    const before = new RateLimits([rule({ callers: ['batch'], burst: 1 }), rule()]);
    for (let i = 0; i < 5; i++) wait(before, {}, 0);
    const after = new RateLimits([rule({ perSecond: 100, burst: 50 })], before);
    assert.equal(after.refused, 2);
    assert.equal(wait(after, {}, 0), 10, 'empty still, and filled faster');
    assert.equal(wait(new RateLimits([rule({ methods: [INFER] })], before), {}, 0), 0, 'a new rule');
  });

  it('does not grow with the number of callers', () => {
    const limits = new RateLimits([rule({ burst: 1, perSecond: 0.001 })]);
    wait(limits, { caller: 'first' }, 0);
    for (let i = 0; i < 20_000; i++) wait(limits, { caller: `caller-${i}` }, 0);
    assert.equal(wait(limits, { caller: 'first' }, 0), 0, 'it was forgotten, which fills its bucket');
    assert.ok(wait(limits, { caller: 'caller-19999' }, 0) > 0, 'the latest are remembered');
  });

  describe('about models', () => {
    const large = rule({ models: ['large', 'huge'], burst: 1 });

    it('counts calls that name one of them, which share a bucket, and no others', () => {
      const limits = new RateLimits([large]);
      assert.equal(wait(limits, { model: 'large' }, 0), 0);
      assert.equal(wait(limits, { model: 'huge' }, 0), 100);
      for (const model of ['small', 'Large', 'large ', ''])
        for (let i = 0; i < 5; i++) assert.equal(wait(limits, { model }, 0), 0, model);
      assert.equal(wait(limits, { model: 'large', caller: 'batch' }, 0), 0, 'each caller has its own');
      assert.deepEqual(limits.counts, [
        { model: '', version: '', refused: 0 },
        { model: 'large', version: '', refused: 0 },
        { model: 'huge', version: '', refused: 1 },
      ]);
    });

    it('with a version, only calls for that version; a limit below it takes the others', () => {
      const limits = new RateLimits([
        rule({ models: ['large'], version: '9', burst: 1 }),
        rule({ models: ['large'], burst: 2 }),
      ]);
      const waits = ['9', '9', '', '8', '7'].map((version) => wait(limits, { model: 'large', version }, 0));
      assert.deepEqual(waits, [0, 100, 0, 0, 100]);
      assert.deepEqual(
        limits.counts.map(({ version, refused }) => [version, refused]),
        [
          ['', 0],
          ['9', 1],
          ['', 1],
        ],
      );
    });

    it('counts what cannot be read for the first of them, under no name', () => {
      const limits = new RateLimits([large, rule({ burst: 5 })]);
      assert.equal(wait(limits, { isUnreadable: true }, 0), 0);
      const refusal = limits.take(
        { caller: 'web', path: INFER, model: 'small', version: '', isUnreadable: true },
        0,
      );
      assert.deepEqual(refusal, { waitMs: 100, model: '' });
      assert.equal(wait(limits, { model: 'small' }, 0), 0, 'what can be read is not held against the model');
      assert.deepEqual([limits.refused, limits.counts[0]!.refused], [1, 1]);
    });

    it('keeps counts and buckets over a change, and forgets the models that are named no more', () => {
      const before = new RateLimits([large, rule({ models: ['gone'], burst: 1 })]);
      for (const model of ['large', 'large', 'gone', 'gone']) wait(before, { model }, 0);
      const after = new RateLimits([{ ...large, burst: 9 }], before);
      assert.equal(wait(after, { model: 'huge' }, 0), 100, 'no new burst');
      assert.deepEqual(after.counts, [
        { model: '', version: '', refused: 0 },
        { model: 'large', version: '', refused: 1 },
        { model: 'huge', version: '', refused: 1 },
      ]);
      assert.equal(after.refused, 3);
      assert.deepEqual([after.hasModels, new RateLimits([rule()]).hasModels], [true, false]);
    });
  });
});

describe('RateLimits of tokens', () => {
  const GENERATE = '/vllm.grpc.engine.VllmEngine/Generate';
  const ofTokens = (over: Partial<RateRule> = {}): RateRule => ({
    ...{ callers: ['*'], methods: ['*'], tokensPerMinute: 600 },
    ...over,
  });
  const rated = (caller: string): RatedCall => {
    return { caller, path: GENERATE, model: '', version: '', isUnreadable: false };
  };
  const reserve = (limits: RateLimits, tokens: number, caller = 'web', nowMs = 0) =>
    limits.reserve(rated(caller), { prompt: 1, output: tokens - 1, sequences: 1, isRead: true }, nowMs);
  const isLetIn = (...call: Parameters<typeof reserve>): boolean =>
    reserve(...call) instanceof TokenReservation;

  it('lets in what there is room for, and says how long to wait, or that waiting is in vain', () => {
    const limits = new RateLimits([ofTokens()]);
    assert.ok(isLetIn(limits, 500));
    assert.deepEqual(reserve(limits, 200), { waitMs: 10_000, needed: 200, perMinute: 600, left: 100 });
    assert.deepEqual(reserve(limits, 601), {
      ...{ waitMs: Number.POSITIVE_INFINITY, needed: 601 },
      ...{ perMinute: 600, left: 100 },
    });
    assert.ok(isLetIn(limits, 600, 'batch'), 'another caller has a budget of its own');
    assert.ok(isLetIn(limits, 200, 'web', 10_000));
    assert.equal(limits.refused, 2);
  });

  it('refuses what has no tokens left before it is known what it may use', () => {
    const limits = new RateLimits([ofTokens({ perSecond: 1, burst: 1 })]);
    assert.equal(limits.foresee(rated('web'), 0), null);
    reserve(limits, 600);
    limits.take(rated('web'), 0);
    assert.deepEqual(limits.foresee(rated('web'), 0), { waitMs: 100, needed: 1, perMinute: 600, left: 0 });
    assert.equal(limits.take(rated('web'), 0), null, 'the call was given back');
    assert.equal(limits.foresee(rated('web'), 100), null);
    assert.equal(new RateLimits([rule()]).foresee(rated('web'), 0), null);
  });

  it('asks the first rule that matches, and none where that counts calls only', () => {
    const limits = new RateLimits([rule({ callers: ['web'] }), ofTokens({ callers: ['web', 'batch'] })]);
    assert.equal(limits.hasTokens, true);
    assert.equal(reserve(limits, 1_000_000), null);
    assert.ok(!isLetIn(limits, 601, 'batch'));
    assert.equal(reserve(limits, 601, 'cron'), null);
    assert.equal(new RateLimits([rule()]).hasTokens, false);
  });

  it('gives the call back that a refusal by tokens has taken', () => {
    const limits = new RateLimits([ofTokens({ perSecond: 1, burst: 1 })]);
    for (let i = 0; i < 5; i++) {
      assert.equal(limits.take(rated('web'), 0), null);
      assert.ok(!isLetIn(limits, 601));
    }
    assert.equal(limits.take(rated('web'), 0), null);
    assert.ok(isLetIn(limits, 600));
    assert.ok(limits.take(rated('web'), 0) !== null);
  });

  it('forgets the caller that came the longest ago, and none whose calls run', () => {
    const limits = new RateLimits([ofTokens()]);
    const [first] = [reserve(limits, 600, 'first')];
    const done = reserve(limits, 600, 'second') as TokenReservation;
    done.settle(600, 0);
    for (let i = 0; i < 4_095; i++) reserve(limits, 1, `caller ${i}`);
    assert.ok(!isLetIn(limits, 1, 'first'), 'its call runs');
    assert.ok(isLetIn(limits, 600, 'second'), 'it was forgotten');
    (first as TokenReservation).settle(0, 0);
    assert.ok(isLetIn(limits, 600, 'first'));
  });

  it('keeps budgets and what is set aside when the configuration changes', () => {
    const before = new RateLimits([ofTokens()]);
    const running = reserve(before, 600) as TokenReservation;
    const after = new RateLimits([rule({ callers: ['cron'] }), ofTokens({ tokensPerMinute: 1_200 })], before);
    assert.ok(!isLetIn(after, 1));
    running.settle(0, 0);
    assert.ok(isLetIn(after, 600));
    assert.ok(!isLetIn(after, 1));
    assert.ok(isLetIn(after, 20, 'web', 1_000), 'the new limit fills it');
  });
});
