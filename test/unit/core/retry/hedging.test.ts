import assert from 'node:assert/strict';
import { CircuitBreakerLimits } from '../../../../sidecar/core/retry/circuit-breaker.js';
import { Hedge, type HedgeFacts } from '../../../../sidecar/core/retry/hedging.js';
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
  const calls = (hedge: Hedge, n: number, settings = SETTINGS): void => {
    for (let i = 0; i < n; i++) hedge.begin(settings, known(10), 1000, 0);
  };

  it('waits for the percentile of recent latencies, and never less than the minimum', () => {
    const delay = new Hedge().begin(SETTINGS, known(10), 1000, 0);
    assert.ok(delay >= 10 && delay <= 11.25, String(delay));
    assert.equal(new Hedge().begin({ ...SETTINGS, minDelayMs: 50 }, known(10), 1000, 0), 50);
  });

  it("is never due while no latency is known, nor after the call's deadline", () => {
    assert.equal(new Hedge().begin(SETTINGS, new Percentile(), 1000, 0), Number.POSITIVE_INFINITY);
    assert.equal(new Hedge().begin(SETTINGS, known(10), 10, 0), Number.POSITIVE_INFINITY);
  });

  it('is sent for no more than its share of the calls, and saves no more than ten', () => {
    for (const [n, allowed] of [
      [19, 0],
      [20, 1],
      [100, 5],
      [100_000, 10],
    ] as const) {
      const hedge = new Hedge();
      calls(hedge, n);
      let sent = 0;
      while (hedge.take(YES, RICH(), 0)) sent++;
      assert.equal(sent, allowed, `${n} calls`);
      assert.equal(hedge.sent, allowed);
      assert.equal(hedge.refused.ratio, 1);
    }
  });

  it('keeps its share over any length of time', () => {
    const hedge = new Hedge();
    const budget = RICH();
    for (let i = 1; i <= 10_000; i++) {
      calls(hedge, 1);
      hedge.take(YES, budget, i);
      assert.ok(hedge.sent <= i * SETTINGS.maxRatio + 1e-6);
    }
    assert.equal(hedge.sent, 500);
  });

  for (const [fact, why] of [
    ['isRepeatable', 'request'],
    ['isOtherAvailable', 'endpoint'],
  ] as const) {
    it(`spends nothing of any budget without ${fact}`, () => {
      const hedge = new Hedge();
      calls(hedge, 100);
      const budget = RICH();
      assert.equal(hedge.take({ ...YES, [fact]: false }, budget, 0), false);
      assert.equal(hedge.refused[why], 1);
      assert.equal(budget.granted, 0);
      assert.equal(hedge.take(YES, budget, 0), true);
    });
  }

  it('spends nothing of any budget where the breaker is open, which counts only hedges that would be sent', () => {
    const hedge = new Hedge();
    const breaker = new CircuitBreakerLimits({ maxInFlight: 0, maxPending: 0, maxRetries: 1 });
    breaker.retries = 1;
    const budget = RICH();
    for (const over of [{ isRepeatable: false }, { isOtherAvailable: false }, {}])
      assert.equal(hedge.take({ ...YES, ...over, breaker }, budget, 0), false);
    assert.deepEqual([hedge.refused.ratio, breaker.hits.retries], [1, 0]);
    calls(hedge, 100);
    assert.equal(hedge.take({ ...YES, breaker }, budget, 0), false);
    assert.deepEqual([hedge.refused.breaker, breaker.hits.retries, budget.granted], [1, 1, 0]);
    breaker.retries = 0;
    assert.equal(hedge.take({ ...YES, breaker }, budget, 0), true);
  });

  it('needs the retry budget too, and spends none of its own without that', () => {
    const hedge = new Hedge();
    calls(hedge, 20);
    assert.equal(hedge.take(YES, new RetryBudget({ ratio: 0, perSecond: 0 }), 0), false);
    assert.equal(hedge.refused.budget, 1);
    assert.equal(hedge.take(YES, RICH(), 0), true);
  });

  it('keeps its delay while the hedge wins one call in three, however long that lasts', () => {
    const hedge = new Hedge();
    const latencies = new Percentile();
    const delays: number[] = [];
    for (let nowMs = 0; nowMs < 600_000; nowMs += 20) {
      const delay = hedge.begin(SETTINGS, latencies, 10_000, nowMs);
      if (nowMs % 60 === 0 && delay !== Number.POSITIVE_INFINITY)
        hedge.recordWin(SETTINGS, latencies, delay + 15, nowMs);
      else latencies.record(10, nowMs);
      if (delay !== Number.POSITIVE_INFINITY) delays.push(delay);
    }
    assert.ok(Math.min(...delays) >= 10, String(Math.min(...delays)));
    assert.ok(Math.max(...delays) <= 11.25, String(Math.max(...delays)));
  });

  it('does not shorten its delay because hedges win the late calls', () => {
    const hedge = new Hedge();
    const latencies = new Percentile();
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
