import assert from 'node:assert/strict';
import { ConnectionEnds, FRESH_MS, SHORT_LIFE_MS } from '../../../../sidecar/core/outlier/connection-ends.js';

describe('ConnectionEnds', () => {
  let ends: ConnectionEnds;
  beforeEach(() => {
    ends = new ConnectionEnds();
  });

  it('counts short-lived connections in a row, and the calls that they took', () => {
    ends.record(0, 1, 5_000);
    ends.record(5_100, 3, 9_000);
    assert.deepEqual([ends.inRow, ends.lostCalls], [2, 4]);
  });

  it('ends the row at a connection that lasted', () => {
    ends.record(0, 1, 5_000);
    ends.record(5_100, 1, 5_100 + SHORT_LIFE_MS);
    assert.deepEqual([ends.inRow, ends.lostCalls], [0, 0]);
    ends.record(70_000, 1, 71_000);
    assert.equal(ends.inRow, 1);
  });

  it('does not count a connection that was cut without calls on it, and remembers that one was', () => {
    for (let ms = 1_000; ms < 10_000; ms += 1_000) ends.record(ms - 900, 0, ms);
    assert.equal(ends.inRow, 0);
    assert.equal(ends.wasCut(10_000), true);
    assert.equal(ends.wasCut(9_000 + SHORT_LIFE_MS), false);
  });

  it('counts connections that were open side by side once', () => {
    for (const sinceMs of [0, 10, 20, 30]) ends.record(sinceMs, 1, 5_000);
    assert.equal(ends.inRow, 1);
    // Made before that moment, cut after it.
    ends.record(40, 1, 6_000);
    assert.equal(ends.inRow, 1);
    ends.record(5_010, 1, 6_100);
    assert.equal(ends.inRow, 2);
  });

  it('a row says nothing any more 5 s after its last cut', () => {
    ends.record(0, 1, 5_000);
    assert.equal(ends.isFresh(5_000 + FRESH_MS - 1), true);
    assert.equal(ends.isFresh(5_000 + FRESH_MS), false);
  });

  it('counts what the endpoint loses with connections to its model from the second one on', () => {
    ends.recordAtModel(900, 1_000);
    assert.deepEqual([ends.inRow, ends.wasCut(1_000)], [0, true]);
    // Lost together with the first one.
    ends.recordAtModel(950, 1_001);
    assert.equal(ends.inRow, 0);
    ends.recordAtModel(3_000, 4_000);
    ends.recordAtModel(5_000, 6_000);
    assert.deepEqual([ends.inRow, ends.lostCalls], [2, 2]);
    ends.recordAtModel(7_000, 6_000 + SHORT_LIFE_MS);
    assert.equal(ends.inRow, 0);
  });

  it('forgets everything when it is cleared', () => {
    ends.record(0, 1, 5_000);
    ends.recordAtModel(5_500, 6_000);
    ends.clear();
    assert.deepEqual([ends.inRow, ends.lostCalls, ends.wasCut(6_000)], [0, 0, false]);
    ends.recordAtModel(7_000, 8_000);
    assert.equal(ends.inRow, 0);
  });
});
