import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SlowStart } from '../../../../sidecar/core/balancing/slow-start.js';

const SETTINGS = { minRatio: 0.1, convergedFactor: 1.5, minCalls: 20, maxMs: 60_000 };

describe('SlowStart', () => {
  it('begins with a small share, which grows with every call, and not with time', () => {
    const start = new SlowStart(SETTINGS, 0);
    assert.equal(start.ratio, 0.1);
    start.check(59_999);
    assert.equal(start.ratio, 0.1);
    let before = start.ratio;
    for (let i = 0; i < 19; i += 1) {
      start.record(10, 10, i);
      assert.ok(start.ratio > before && start.ratio < 1 && !start.isOver);
      before = start.ratio;
    }
    start.record(10, 10, 20);
    assert.deepEqual([start.ratio, start.isOver], [1, true]);
  });

  it('continues while the endpoint is slower than its peers, with a share in proportion', () => {
    const start = new SlowStart(SETTINGS, 0);
    for (let i = 0; i < 50; i += 1) start.record(60, 10, i);
    assert.ok(!start.isOver);
    assert.ok(Math.abs(start.ratio - 0.25) < 1e-9, `${start.ratio}`);
    for (let i = 0; i < 5; i += 1) start.record(12, 10, 100);
    assert.ok(start.isOver, 'by its latest calls, not by its first');
  });

  it('ends after its longest time, however slow it is', () => {
    const start = new SlowStart(SETTINGS, 1_000);
    for (let i = 0; i < 50; i += 1) start.record(600, 10, 2_000);
    assert.equal(start.ratio, 0.1);
    start.check(61_000);
    assert.deepEqual([start.ratio, start.isOver], [1, true]);
  });

  it('goes by calls alone where the peers are unknown', () => {
    const start = new SlowStart(SETTINGS, 0);
    for (let i = 0; i < 20; i += 1) start.record(500, 0, i);
    assert.ok(start.isOver);
  });

  it('is over at the first call when no calls are required', () => {
    const start = new SlowStart({ ...SETTINGS, minCalls: 0 }, 0);
    start.record(10, 10, 0);
    assert.ok(start.isOver);
  });

  it('keeps its share between the minimum and 1', () => {
    const call = fc.tuple(fc.double({ min: 0, max: 1e6, noNaN: true }), fc.constantFrom(0, 0.01, 10, 1e5));
    fc.assert(
      fc.property(fc.array(call, { maxLength: 100 }), (calls) => {
        const start = new SlowStart(SETTINGS, 0);
        for (const [ms, peersMs] of calls) {
          start.record(ms, peersMs, 1);
          assert.ok(start.ratio >= 0.1 && start.ratio <= 1);
          assert.ok(!start.isOver || start.ratio === 1);
        }
      }),
    );
  });
});
