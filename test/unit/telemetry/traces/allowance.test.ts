import assert from 'node:assert/strict';
import { Allowance } from '../../../../sidecar/telemetry/traces/allowance.js';

const count = (allowance: Allowance, nowMs: number): number => {
  let n = 0;
  while (n < 1_000 && allowance.take(nowMs)) n++;
  return n;
};

describe('an allowance', () => {
  it('is so many at once, and as many each second', () => {
    const allowance = new Allowance(10, 0);
    assert.equal(count(allowance, 0), 10);
    assert.equal(count(allowance, 500), 5);
    assert.equal(count(allowance, 60_000), 10);
  });

  it('of none is none', () => assert.equal(count(new Allowance(0, 0), 60_000), 0));

  it('does not grow when the clock stands still or goes back', () => {
    const allowance = new Allowance(3, 1_000);
    assert.equal(count(allowance, 1_000), 3);
    assert.equal(count(allowance, 1_000), 0);
    assert.equal(count(allowance, 0), 0);
  });
});
