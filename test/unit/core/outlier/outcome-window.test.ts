import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BUCKETS, OutcomeWindow } from '../../../../sidecar/core/outlier/outcome-window.js';
import { windowOf } from '../../../kit/core/ejections.js';

describe('OutcomeWindow', () => {
  it('counts outcomes of the last ten seconds, and drops a second at a time', () => {
    const window = new OutcomeWindow();
    for (let second = 0; second < 12; second += 1) window.success(second * 1_000 + 500);
    const successes = [11_500, 12_000, 20_999, 21_000].map((nowMs) => {
      window.moveTo(nowMs);
      return window.successes;
    });
    assert.deepEqual(successes, [10, 9, 1, 0]);
  });

  it('is empty after a pause longer than the window', () => {
    const window = new OutcomeWindow();
    for (let i = 0; i < 100; i += 1) window.fault(i);
    window.success(1_000_000);
    assert.deepEqual([window.successes, window.faults], [1, 0]);
  });

  it('counts a burst like the same calls spread over the window', () => {
    const [burst, trickle] = [new OutcomeWindow(), new OutcomeWindow()];
    for (let i = 0; i < 10; i += 1) {
      burst.fault(9_500);
      trickle.fault(500 + i * 1_000);
    }
    assert.deepEqual([burst.faults, trickle.faults], [10, 10]);
  });

  it('counts a time before the present bucket in the present one', () => {
    const window = new OutcomeWindow();
    window.success(5_000);
    window.fault(4_999);
    assert.deepEqual([window.successes, window.faults], [1, 1]);
    window.moveTo(0);
    assert.equal(window.successes, 1);
  });

  it('gives its sums without some faults, and keeps them itself', () => {
    const window = windowOf(6, 4, 2);
    const { successes, faults, overloads, successRatio } = window.without(2);
    assert.deepEqual([successes, faults, overloads, successRatio], [6, 2, 2, 0.75]);
    assert.equal(window.without(5).faults, 0);
    assert.equal(window.faults, 4);
  });

  it('tells refusals for want of a place from others', () => {
    const window = new OutcomeWindow();
    window.overload(0);
    window.overload(1_000, 'closed');
    assert.deepEqual([window.overloads, window.full, window.without(0).full], [2, 1, 1]);
    window.moveTo(10_500);
    assert.deepEqual([window.overloads, window.full], [1, 0]);
    window.clear();
    assert.deepEqual([window.overloads, window.full], [0, 0]);
  });

  it('counts those of another as if they had been its own, until they are too old', () => {
    const step = fc.record({ waitMs: fc.nat(3_000), kind: fc.nat(2), isOther: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(12_000), (steps, laterMs) => {
        const [own, other, both] = [new OutcomeWindow(), new OutcomeWindow(), new OutcomeWindow()];
        const sums = ({ successes, faults, overloads, full }: OutcomeWindow) => [
          successes,
          faults,
          overloads,
          full,
        ];
        let nowMs = 0;
        for (const { waitMs, kind, isOther } of steps) {
          nowMs += waitMs;
          const what = (['success', 'fault', 'overload'] as const)[kind]!;
          for (const window of [isOther ? other : own, both]) window[what](nowMs);
        }
        own.add(other, nowMs);
        for (const atMs of [nowMs, nowMs + laterMs]) {
          for (const window of [own, both]) window.moveTo(atMs);
          assert.deepEqual(sums(own), sums(both));
        }
      }),
    );
  });

  it('equals a plain count of the past, whatever the bucket length', () => {
    const step = fc.record({ waitMs: fc.nat(3_000), kind: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.constantFrom(1_000, 6_000), (steps, bucketMs) => {
        const window = new OutcomeWindow(bucketMs);
        const past: { readonly bucket: number; readonly kind: number }[] = [];
        let nowMs = 0;
        for (const { waitMs, kind } of steps) {
          nowMs += waitMs;
          window[(['success', 'fault', 'overload'] as const)[kind]!](nowMs);
          const bucket = Math.floor(nowMs / bucketMs);
          past.push({ bucket, kind });
          const counts = [0, 0, 0];
          for (const each of past) if (each.bucket > bucket - BUCKETS) counts[each.kind]! += 1;
          assert.deepEqual([window.successes, window.faults, window.overloads], counts);
        }
      }),
    );
  });
});
