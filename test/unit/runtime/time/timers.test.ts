import assert from 'node:assert/strict';
import { systemClock } from '../../../../sidecar/runtime/time/clock.js';
import { MAX_DELAY_MS, systemTimers } from '../../../../sidecar/runtime/time/timers.js';
import { TimingWheel, WheelTimer } from '../../../../sidecar/runtime/time/timing-wheel.js';
import { seeded } from '../../../kit/time/seeded-random.js';

describe('systemTimers', () => {
  it('calls once after the delay, and never within the call', async () => {
    let isInCall = true;
    await new Promise<void>((resolve) => {
      systemTimers.after(0, () => {
        assert.equal(isInCall, false);
        resolve();
      });
      isInCall = false;
    });
  });

  it('calls every period until cancelled', async () => {
    let beats = 0;
    await new Promise<void>((resolve) => {
      const timer = systemTimers.every(1, () => {
        beats += 1;
        if (beats < 3) return;
        timer.cancel();
        timer.cancel();
        resolve();
      });
    });
    assert.equal(beats, 3);
  });

  it('holds a delay longer than Node can, instead of firing at once', async () => {
    const late = systemTimers.after(MAX_DELAY_MS * 3, () => assert.fail('fired'));
    await new Promise<void>((resolve) => void systemTimers.after(5, resolve));
    late.cancel();
  });

  it('refuses delays and periods that make no sense', () => {
    for (const delayMs of [-1, Number.NaN])
      assert.throws(() => systemTimers.after(delayMs, () => {}), RangeError);
    for (const periodMs of [0, -5, Number.NaN, MAX_DELAY_MS + 1])
      assert.throws(() => systemTimers.every(periodMs, () => {}), RangeError);
  });
});

describe('systemClock', () => {
  it('never goes back', () => {
    let lastMs = systemClock.now();
    for (let i = 0; i < 1_000; i += 1) {
      const nowMs = systemClock.now();
      assert.ok(nowMs >= lastMs);
      lastMs = nowMs;
    }
    assert.ok(Math.abs(systemClock.wallNow() - Date.now()) < 1_000);
  });
});

describe('TimingWheel on the system clock', () => {
  it('never fires before the time', async () => {
    const wheel = new TimingWheel(systemClock, systemTimers);
    // The wheel's own timer does not keep the process alive; this one does.
    const alive = systemTimers.every(50, () => {});
    const waits = [1, 3, 8, 13].map(
      (delayMs) =>
        new Promise<number>((resolve) => {
          const dueMs = systemClock.now() + delayMs;
          wheel.add(new WheelTimer(() => resolve(systemClock.now() - dueMs)), dueMs);
        }),
    );
    for (const lateMs of await Promise.all(waits)) assert.ok(lateMs >= 0, `${lateMs} ms`);
    alive.cancel();
  });
});

describe('seeded', () => {
  it('repeats itself for the same seed, and differs for another', () => {
    const draw = (seed: number): number[] => Array.from({ length: 20 }, seeded(seed));
    assert.deepEqual(draw(7), draw(7));
    assert.notDeepEqual(draw(7), draw(8));
  });

  it('is uniform enough in [0, 1)', () => {
    const random = seeded(1);
    const bins = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i += 1) {
      const value = random();
      assert.ok(value >= 0 && value < 1);
      bins[Math.floor(value * 10)]! += 1;
    }
    for (const count of bins) assert.ok(count > 9_600 && count < 10_400, String(bins));
  });
});
