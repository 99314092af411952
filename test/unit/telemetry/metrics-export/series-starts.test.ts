import assert from 'node:assert/strict';
import { SeriesStarts } from '../../../../sidecar/telemetry/metrics-export/series-starts.js';

describe('the start of a cumulative series', () => {
  let starts: SeriesStarts;
  beforeEach(() => {
    starts = new SeriesStarts(1_000);
  });

  /** One complete reading; the starts of its series. */
  const read = (timeMs: number, values: Readonly<Record<string, number>>): Record<string, number> => {
    starts.begin(timeMs);
    const found = Object.entries(values).map(([key, value]) => [
      key,
      starts.startOf('m', key, value, timeMs),
    ]);
    starts.end(timeMs);
    return Object.fromEntries(found);
  };

  it('is where the counters began, and stays', () => {
    for (const timeMs of [5_000, 6_000, 7_000]) assert.deepEqual(read(timeMs, { a: timeMs }), { a: 1_000 });
  });

  it('is the reading before, for one that came later', () => {
    read(5_000, { a: 1 });
    assert.deepEqual(read(6_000, { a: 1, b: 3 }), { a: 1_000, b: 5_000 });
    assert.deepEqual(read(7_000, { a: 1, b: 4 }), { a: 1_000, b: 5_000 });
  });

  it('is the last point, for one whose count began anew', () => {
    read(5_000, { a: 10 });
    read(6_000, { a: 20 });
    assert.deepEqual(read(7_000, { a: 3 }), { a: 6_000 });
    assert.deepEqual(read(8_000, { a: 3 }), { a: 6_000 });
  });

  it('is the reading before, for one that was away, and nothing is kept of it meanwhile', () => {
    read(5_000, { a: 10, b: 1 });
    read(6_000, { b: 1 });
    assert.equal(starts.size, 1);
    assert.deepEqual(read(7_000, { a: 12, b: 1 }), { a: 6_000, b: 1_000 });
    read(8_000, {});
    assert.equal(starts.size, 0);
  });

  it('tells metrics apart', () => {
    starts.begin(5_000);
    assert.equal(starts.startOf('m', 'a', 9, 5_000), 1_000);
    assert.equal(starts.startOf('n', 'a', 1, 5_000), 1_000);
    assert.equal(starts.size, 2);
  });

  it('of a reading that was cut off keeps what it had not come to', () => {
    read(5_000, { a: 10, b: 10 });
    starts.begin(6_000);
    starts.startOf('m', 'a', 2, 6_000);
    // A new one, in a reading that does not end: the next reading still counts from the last whole one.
    assert.deepEqual(read(7_000, { a: 3, b: 11, c: 1 }), { a: 5_000, b: 1_000, c: 5_000 });
  });

  it('is never after a point, where the wall clock was set back', () => {
    read(5_000, { a: 10, b: 1 });
    assert.deepEqual(read(500, { a: 11, b: 0 }), { a: 500, b: 500 });
    assert.deepEqual(read(1_500, { a: 12, b: 0, c: 1 }), { a: 500, b: 500, c: 500 });
  });
});
