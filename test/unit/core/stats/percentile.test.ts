import assert from 'node:assert/strict';
import { Percentile, SPAN_MS, UNKNOWN } from '../../../../sidecar/core/stats/percentile.js';
import { seeded } from '../../../kit/time/seeded-random.js';

describe('Percentile', () => {
  const filled = (values: readonly number[], nowMs = 0): Percentile => {
    const percentile = new Percentile();
    for (const value of values) percentile.record(value, nowMs);
    return percentile;
  };

  it('is unknown while there are too few samples for it', () => {
    const percentile = filled(Array(19).fill(10));
    assert.equal(percentile.at(0.95, 0), UNKNOWN);
    percentile.record(10, 0);
    assert.notEqual(percentile.at(0.95, 200), UNKNOWN);
    assert.equal(percentile.at(0.99, 200), UNKNOWN);
    assert.notEqual(filled(Array(1000).fill(1)).at(0.999, 0), UNKNOWN);
  });

  for (const [name, draw] of [
    ['uniform', (random: () => number) => random() * 100],
    ['exponential', (random: () => number) => -20 * Math.log(1 - random())],
    ['two humps', (random: () => number) => (random() < 0.9 ? 5 + random() : 200 + random() * 20)],
    ['tiny', (random: () => number) => 0.2 + random() * 0.4],
    ['long', (random: () => number) => 30_000 + random() * 100_000],
  ] as const) {
    for (const ratio of [0.5, 0.9, 0.95, 0.99]) {
      it(`is within an eighth of the truth: ${name}, ${ratio}`, () => {
        const random = seeded(7);
        const values = Array.from({ length: 5000 }, () => draw(random));
        const sorted = [...values].sort((a, b) => a - b);
        const found = filled(values).at(ratio, 0);
        const low = sorted[Math.floor((ratio - 0.005) * 5000)]! / 1.126 - 1 / 16;
        const high = sorted[Math.min(4999, Math.ceil((ratio + 0.005) * 5000))]! * 1.126 + 1 / 16;
        assert.ok(found >= low && found <= high, `${found}, expected ${low} to ${high}`);
      });
    }
  }

  it('follows a service that becomes slow at once, and one that becomes fast within two spans', () => {
    const percentile = filled(Array(1000).fill(10));
    for (let i = 0; i < 60; i++) percentile.record(100, 1000);
    assert.ok(percentile.at(0.95, 1000) > 90);
    for (let i = 0; i < 100; i++) percentile.record(5, SPAN_MS + 1000);
    assert.ok(percentile.at(0.95, SPAN_MS + 1000) > 9, 'the span before still counts');
    for (let i = 0; i < 100; i++) percentile.record(5, 2 * SPAN_MS + 1000);
    assert.ok(percentile.at(0.95, 2 * SPAN_MS + 1000) < 6);
  });

  it('forgets everything over a pause', () => {
    const percentile = filled(Array(100).fill(10));
    assert.deepEqual([percentile.at(0.9, 2 * SPAN_MS), percentile.count], [UNKNOWN, 0]);
  });

  it('reuses its result for a moment, for one ratio', () => {
    const percentile = filled(Array(100).fill(10));
    const before = percentile.at(0.9, 0);
    for (let i = 0; i < 1000; i++) percentile.record(500, 1);
    assert.equal(percentile.at(0.9, 99), before);
    assert.ok(percentile.at(0.95, 99) > 400);
    assert.ok(percentile.at(0.9, 150) > 400);
  });

  it('accepts any latency', () => {
    const percentile = filled([...Array(30).fill(0), -5, Number.NaN, 1e12, Number.POSITIVE_INFINITY]);
    assert.equal(percentile.count, 34);
    assert.ok(Number.isFinite(percentile.at(0.96, 0)));
  });
});
