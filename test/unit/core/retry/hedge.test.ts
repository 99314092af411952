import assert from 'node:assert/strict';
import { CircuitBreakerLimits } from '../../../../sidecar/core/retry/breaker-limits.js';
import { Hedge, type HedgeFacts } from '../../../../sidecar/core/retry/hedge.js';
import { RetryBudget } from '../../../../sidecar/core/retry/retry-budget.js';
import { Percentile } from '../../../../sidecar/core/stats/percentile.js';

const SETTINGS = { percentile: 0.95, minDelayMs: 1, maxRatio: 0.05 };
const YES: HedgeFacts = { isRepeatable: true, isOtherAvailable: true, breaker: null };
const RICH = () => new RetryBudget({ ratio: 1, perSecond: 1000 });

describe('Hedge', () => {
  const known = (ms: number): Percentile => {
    const latencies = new Percentile();
    for (let i = 0; i < 100; i++) latencies.record(ms, 0);
    return latencies;
  };
  /** After so many calls. */
  const hedgeAfter = (n: number): Hedge => {
    const hedge = new Hedge();
    for (let i = 0; i < n; i++) hedge.begin(SETTINGS, known(10), 1000, 0);
    return hedge;
  };

  it('waits for the percentile of recent latencies, and never less than the minimum', () => {
    const delay = new Hedge().begin(SETTINGS, known(10), 1000, 0);
    assert.ok(delay >= 10 && delay <= 11.25, String(delay));
    assert.equal(new Hedge().begin({ ...SETTINGS, minDelayMs: 50 }, known(10), 1000, 0), 50);
  });

  it("is never due while no latency is known, nor after the call's deadline", () => {
    const unknown = new Hedge().begin(SETTINGS, new Percentile(), 1000, 0);
    assert.deepEqual([unknown, new Hedge().begin(SETTINGS, known(10), 10, 0)], [Infinity, Infinity]);
  });

  it('is sent for no more than its share of the calls, and saves no more than ten', () => {
    for (const [n, allowed] of [
      [19, 0],
      [20, 1],
      [100, 5],
      [100_000, 10],
    ] as const) {
      const hedge = hedgeAfter(n);
      let sent = 0;
      while (hedge.grant(YES, RICH(), 0)) sent++;
      assert.deepEqual([sent, hedge.sent, hedge.refused.ratio], [allowed, allowed, 1], `${n} calls`);
    }
  });

  it('keeps its share over any length of time', () => {
    const [hedge, budget, latencies] = [new Hedge(), RICH(), known(10)];
    for (let i = 1; i <= 10_000; i++) {
      hedge.begin(SETTINGS, latencies, 1000, 0);
      hedge.grant(YES, budget, i);
      assert.ok(hedge.sent <= i * SETTINGS.maxRatio + 1e-6);
    }
    assert.equal(hedge.sent, 500);
  });

  for (const [fact, why] of [
    ['isRepeatable', 'request'],
    ['isOtherAvailable', 'endpoint'],
  ] as const)
    it(`spends nothing of any budget without ${fact}`, () => {
      const [hedge, budget] = [hedgeAfter(100), RICH()];
      assert.equal(hedge.grant({ ...YES, [fact]: false }, budget, 0), false);
      assert.deepEqual([hedge.refused[why], budget.granted], [1, 0]);
      assert.equal(hedge.grant(YES, budget, 0), true);
    });

  it('spends nothing of any budget where the breaker is open, which counts only hedges that would be sent', () => {
    const poor = new Hedge();
    const breaker = new CircuitBreakerLimits({ maxInFlight: 0, maxPending: 0, maxRetries: 1 });
    breaker.retries = 1;
    const budget = RICH();
    for (const over of [{ isRepeatable: false }, { isOtherAvailable: false }, {}])
      assert.equal(poor.grant({ ...YES, ...over, breaker }, budget, 0), false);
    assert.deepEqual([poor.refused.ratio, breaker.hits.retries], [1, 0]);
    const hedge = hedgeAfter(100);
    assert.equal(hedge.grant({ ...YES, breaker }, budget, 0), false);
    assert.deepEqual([hedge.refused.breaker, breaker.hits.retries, budget.granted], [1, 1, 0]);
    breaker.retries = 0;
    assert.equal(hedge.grant({ ...YES, breaker }, budget, 0), true);
  });

  it('needs the retry budget too, and spends none of its own without that', () => {
    const hedge = hedgeAfter(20);
    assert.equal(hedge.grant(YES, new RetryBudget({ ratio: 0, perSecond: 0 }), 0), false);
    assert.equal(hedge.refused.budget, 1);
    assert.equal(hedge.grant(YES, RICH(), 0), true);
  });

  it('keeps its delay while the hedge wins one call in three, however long that lasts', () => {
    const [hedge, latencies] = [new Hedge(), new Percentile()];
    const delays: number[] = [];
    for (let nowMs = 0; nowMs < 600_000; nowMs += 20) {
      const delay = hedge.begin(SETTINGS, latencies, 10_000, nowMs);
      const isDue = delay !== Number.POSITIVE_INFINITY;
      if (nowMs % 60 === 0 && isDue) hedge.recordWin(SETTINGS, latencies, delay + 15, nowMs);
      else latencies.record(10, nowMs);
      if (isDue) delays.push(delay);
    }
    const [least, most] = [Math.min(...delays), Math.max(...delays)];
    assert.ok(least >= 10 && most <= 11.25, `${least} to ${most}`);
  });

  it('does not shorten its delay because hedges win the late calls', () => {
    const [hedge, latencies] = [new Hedge(), new Percentile()];
    let copies = 0;
    for (let call = 0; call < 60_000; call++) {
      const nowMs = call * 5;
      // Uniform, 10 to 110 ms: the percentile is 105.
      const elapsed = 10 + ((call * 61) % 100);
      const delay = hedge.begin(SETTINGS, latencies, 10_000, nowMs);
      if (elapsed <= delay || delay === Number.POSITIVE_INFINITY) latencies.record(elapsed, nowMs);
      else {
        copies++;
        hedge.recordWin(SETTINGS, latencies, delay + 60, nowMs);
      }
    }
    assert.ok(copies > 60_000 * 0.02 && copies < 60_000 * 0.1, `${copies} copies`);
  });
});
