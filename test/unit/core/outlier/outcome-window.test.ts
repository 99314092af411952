import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BUCKETS, RingWindow } from '../../../../sidecar/core/outlier/outcome-window.js';

describe('RingWindow', () => {
  it('counts what happened in the last ten seconds, and forgets a second at a time', () => {
    const window = new RingWindow();
    for (let second = 0; second < 12; second += 1) window.success(second * 1_000 + 500);
    assert.equal(window.successes, 10);
    window.moveTo(12_000);
    assert.equal(window.successes, 9);
    window.moveTo(20_999);
    assert.equal(window.successes, 1);
    window.moveTo(21_000);
    assert.equal(window.successes, 0);
  });

  it('keeps nothing over a silence longer than the window', () => {
    const window = new RingWindow();
    for (let i = 0; i < 100; i += 1) window.fault(i);
    window.success(1_000_000);
    assert.deepEqual([window.successes, window.faults], [1, 0]);
  });

  it('counts a burst like a trickle within the window', () => {
    const [burst, trickle] = [new RingWindow(), new RingWindow()];
    for (let i = 0; i < 10; i += 1) {
      burst.fault(9_500);
      trickle.fault(500 + i * 1_000);
    }
    assert.deepEqual([burst.faults, trickle.faults], [10, 10]);
  });

  it('is not confused by a time before the present bucket', () => {
    const window = new RingWindow();
    window.success(5_000);
    window.fault(4_999);
    assert.deepEqual([window.successes, window.faults], [1, 1]);
    window.moveTo(0);
    assert.equal(window.successes, 1);
  });

  it('says what counting by hand says, whatever the bucket', () => {
    const step = fc.record({ waitMs: fc.nat(3_000), kind: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.constantFrom(1_000, 6_000), (steps, bucketMs) => {
        const window = new RingWindow(bucketMs);
        const past: { readonly bucket: number; readonly kind: number }[] = [];
        let nowMs = 0;
        for (const { waitMs, kind } of steps) {
          nowMs += waitMs;
          if (kind === 0) window.success(nowMs);
          else if (kind === 1) window.fault(nowMs);
          else window.overload(nowMs);
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
