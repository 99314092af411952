import assert from 'node:assert/strict';
import { Metronome, monotonicMs } from './metronome.js';

describe('the metronome of the load', () => {
  /** Times at which calls were due, and how long after it was told, until there are so many. */
  function ticks(ratePerSecond: number, count: number): Promise<{ due: number[]; late: number[] }> {
    return new Promise((resolve) => {
      const due: number[] = [];
      const late: number[] = [];
      const metronome = new Metronome(ratePerSecond, 5, (dueMs) => {
        due.push(dueMs);
        late.push(monotonicMs() - dueMs);
        if (due.length < count) return;
        metronome.stop();
        resolve({ due, late });
      });
    });
  }

  it('is at the rate in the mean, with gaps that vary as those of independent callers, and never early', async () => {
    const { due, late } = await ticks(5000, 1000);
    const gaps = due.slice(1).map((dueMs, i) => dueMs - due[i]!);
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    assert.ok(mean > 0.17 && mean < 0.23, `${mean} ms`);
    const short = gaps.filter((gap) => gap < mean / 2).length / gaps.length;
    assert.ok(short > 0.33 && short < 0.46, `${short} of the gaps; 1 − e^−½ are expected`);
    assert.ok(Math.min(...late) >= 0, `${Math.min(...late)} ms`);
  });

  it('tells nothing once it is stopped', async () => {
    const { due } = await ticks(100_000, 10);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(due.length, 10);
  });
});
