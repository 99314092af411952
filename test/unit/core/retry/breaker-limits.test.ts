import assert from 'node:assert/strict';
import { CircuitBreakerLimits } from '../../../../sidecar/core/retry/breaker-limits.js';

describe('CircuitBreakerLimits', () => {
  it('admits as many calls as may be in flight, and one more when one has ended', () => {
    const breaker = new CircuitBreakerLimits({ maxInFlight: 2, maxPending: 0, maxRetries: 0 });
    assert.deepEqual([breaker.enter(), breaker.enter(), breaker.enter()], [true, true, false]);
    assert.equal(breaker.hits['in-flight'], 1);
    breaker.leave();
    assert.deepEqual([breaker.enter(), breaker.inFlight], [true, 2]);
  });

  it('bounds waiting calls and retries', () => {
    const breaker = new CircuitBreakerLimits({ maxInFlight: 0, maxPending: 3, maxRetries: 1 });
    assert.deepEqual([breaker.mayQueue(2), breaker.mayQueue(3)], [true, false]);
    assert.equal(breaker.mayRetry(), true);
    breaker.retries = 1;
    assert.equal(breaker.mayRetry(), false);
    assert.deepEqual(breaker.hits, { pending: 1, 'in-flight': 0, retries: 1 });
  });

  it('bounds nothing where the limit is 0', () => {
    const breaker = new CircuitBreakerLimits({ maxInFlight: 0, maxPending: 0, maxRetries: 0 });
    breaker.retries = 1e6;
    for (let i = 0; i < 10_000; i++) assert.ok(breaker.enter() && breaker.mayQueue(i) && breaker.mayRetry());
  });

  it('applies new limits at once', () => {
    const breaker = new CircuitBreakerLimits({ maxInFlight: 10, maxPending: 0, maxRetries: 0 });
    for (let i = 0; i < 10; i++) breaker.enter();
    breaker.settings = { maxInFlight: 5, maxPending: 0, maxRetries: 0 };
    for (let i = 0; i < 6; i++) {
      assert.equal(breaker.enter(), false);
      breaker.leave();
    }
    assert.equal(breaker.enter(), true);
  });
});
