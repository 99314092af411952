import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Histogram } from './histogram.js';

describe('the latency histogram', () => {
  it('is never more than 1.6 % above the exact quantile, and never below it', () => {
    const values = fc.array(fc.integer({ min: 0, max: 100_000_000 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(values, fc.constantFrom(0.01, 0.5, 0.9, 0.99, 1), (latencies, share) => {
        const histogram = new Histogram();
        for (const v of latencies) histogram.add(v);
        const sorted = [...latencies].sort((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1]!;
        const found = histogram.quantile(share);
        assert.ok(found >= exact && found <= exact * 1.016 + 1, `${found} for ${exact}`);
      }),
    );
  });

  it('keeps the highest value exactly and takes what is out of range at the edge', () => {
    const histogram = new Histogram();
    histogram.add(-5);
    histogram.add(123_456_789);
    assert.equal(histogram.max, 123_456_789);
    assert.equal(histogram.quantile(0), 0);
    assert.equal(new Histogram().quantile(0.5), 0);
  });
});
