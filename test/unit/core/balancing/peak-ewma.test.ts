import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  DECAY_MS,
  MAX_PENALTY_MS,
  PeakEwma,
  STALE_MS,
} from '../../../../sidecar/core/balancing/peak-ewma.js';

/** Has recorded these latencies at 0 ms. */
const ewmaOf = (...latenciesMs: readonly number[]): PeakEwma => {
  const ewma = new PeakEwma();
  for (const ms of latenciesMs) ewma.record(ms, 0);
  return ewma;
};
const near = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) < 1e-6, `${actual}, not ${expected}`);

describe('PeakEwma', () => {
  it('is neutral while it has no sample', () => near(new PeakEwma().estimate(42, 1e6), 42));

  it('drops the peak on request, and keeps the mean', () => {
    const ewma = ewmaOf(10);
    ewma.recordFault(5_000, 10, 1);
    ewma.forgetPeak();
    near(ewma.estimate(12, 2), 12);
    near(ewma.meanMs, 10);
    ewma.record(20, 3);
    near(ewma.estimate(12, 3), 20);
  });

  it('jumps up to a peak once two of sixteen calls are slow', () => {
    const ewma = ewmaOf(10, 10, 10);
    ewma.record(500, 1);
    near(ewma.estimate(10, 1), 14);
    ewma.record(500, 1);
    near(ewma.estimate(10, 1), 500);
  });

  it('takes no call that is alone in taking long for the endpoint', () => {
    const ewma = ewmaOf(20, 20, 20);
    for (let i = 1; i <= 100; i += 1) ewma.record(i % 20 === 0 ? 6_000 : 20, i * 10);
    assert.ok(ewma.estimate(20, 1_000) < 1.5 * 20, `${ewma.estimate(20, 1_000)}`);
  });

  it('goes by the time of the run, and keeps the mean of the whole', () => {
    const ewma = ewmaOf(20, 20, 20);
    for (let i = 0; i < 5; i += 1) ewma.record(1_000, 100 + i, 20);
    near(ewma.estimate(20, 104), 20);
    assert.ok(ewma.meanMs > 20, `${ewma.meanMs}`);
  });

  it('believes no peak that no call has come near for ten seconds', () => {
    const ewma = ewmaOf(10);
    for (let i = 0; i < 5; i += 1) ewma.recordFault(0, 10, 0);
    for (let ms = 4_000; ms < STALE_MS; ms += 2_000) ewma.record(10, ms);
    assert.ok(ewma.estimate(10, STALE_MS - 1) > 30);
    ewma.record(10, STALE_MS);
    near(ewma.estimate(10, STALE_MS), 10);
  });

  it('falls over ten seconds with few calls, and over some hundred calls with many', () => {
    const [few, many, crowd] = [ewmaOf(10, 100, 100), ewmaOf(10, 100, 100), ewmaOf(10, 100, 100)];
    few.record(10, DECAY_MS / 2);
    // As few as make no difference: what one of them takes away, time would have.
    for (let i = 1; i <= 30; i += 1) many.record(10, (DECAY_MS * i) / 30 / 2);
    near(few.peakMs, 10 + 90 / Math.sqrt(Math.E));
    near(many.peakMs, 10 + 90 / Math.sqrt(Math.E));
    for (let i = 1; i <= 64; i += 1) crowd.record(10, i);
    near(crowd.peakMs, 10 + 90 * (63 / 64) ** 64);
  });

  it('decays towards the cost of a peer without calls, from above and from below', () => {
    const ewma = ewmaOf(1_000);
    near(ewma.estimate(10, DECAY_MS / 2), 10 + 990 / Math.sqrt(Math.E));
    near(ewma.estimate(5_000, DECAY_MS / 2), 5_000 - 4_000 / Math.sqrt(Math.E));
    near(ewma.estimate(10, STALE_MS - 1), 10 + 990 * Math.exp(-(STALE_MS - 1) / DECAY_MS));
    near(ewma.estimate(10, STALE_MS), 10);
  });

  it('decays by the exponential of the age, whatever the age', () => {
    const ewma = ewmaOf(1);
    for (let ageMs = 0; ageMs < STALE_MS; ageMs += 0.73) {
      const found = ewma.estimate(0, ageMs);
      assert.ok(Math.abs(found - Math.exp(-ageMs / DECAY_MS)) < 1e-8, `${found} after ${ageMs} ms`);
    }
    near(ewma.estimate(0, -1), 1);
  });

  it('does not bring a stale peak back with the first call after it', () => {
    const ewma = ewmaOf(5_000);
    ewma.record(3, STALE_MS);
    near(ewma.estimate(10, STALE_MS), 3);
  });

  it('learns from a cancelled call, however high the stale peak was', () => {
    const ewma = ewmaOf(20, 5_000);
    ewma.recordAtLeast(1, STALE_MS);
    near(ewma.estimate(10, STALE_MS), 10);
    ewma.recordAtLeast(45, STALE_MS);
    near(ewma.estimate(10, STALE_MS), 45);
  });

  it('keeps a plain mean of successes, which one peak does not dominate', () => {
    const ewma = new PeakEwma();
    for (let i = 0; i < 100; i += 1) ewma.record(10, i * 100);
    ewma.record(1_000, 10_000);
    assert.ok(ewma.meanMs > 10 && ewma.meanMs < 25, `${ewma.meanMs}`);
    near(ewma.peakMs, 14);
  });

  it('records a fast failure as three times as slow as usual', () => {
    const ewma = ewmaOf(10);
    ewma.recordFault(0.1, 10, 1);
    near(ewma.peakMs, 30);
    near(ewma.meanMs, 10);
  });

  it('compounds failures in a row up to five seconds', () => {
    const ewma = ewmaOf(10);
    for (let i = 0; i < 50; i += 1) ewma.recordFault(0.1, 10, 1);
    near(ewma.peakMs, MAX_PENALTY_MS);
  });

  it('records a failure that took longer than any penalty as it was', () => {
    const ewma = ewmaOf(10);
    ewma.recordFault(15_000, 10, 1);
    near(ewma.peakMs, 15_000);
  });

  it('takes the first failure of an unknown endpoint for slower than its peers', () => {
    const ewma = new PeakEwma();
    ewma.recordFault(0.1, 20, 1);
    near(ewma.estimate(20, 1), 60);
  });

  it('raises the estimate by cancelled calls as by others, and never lowers it', () => {
    const ewma = ewmaOf(100);
    ewma.recordAtLeast(50, 5_000);
    near(ewma.peakMs, 100);
    ewma.recordAtLeast(900, 5_000);
    near(ewma.peakMs, 140);
    ewma.recordAtLeast(900, 5_000);
    near(ewma.peakMs, 900);
    near(ewma.meanMs, 100);
  });

  it('raises it at once where another endpoint has answered the same call', () => {
    const ewma = ewmaOf(100);
    ewma.recordSlower(50, 5_000);
    near(ewma.peakMs, 100);
    ewma.recordSlower(900, 5_000);
    near(ewma.peakMs, 900);
  });

  it('keeps the latency when calls are rejected, however fast and however often', () => {
    const ewma = ewmaOf(10);
    for (let i = 0; i < 50; i += 1) ewma.recordRefusal(1);
    near(ewma.estimate(10, 1), 10);
    near(ewma.meanMs, 10);
  });

  it('costs more by the share of rejected calls, and no more than fifty times', () => {
    const ewma = ewmaOf(10);
    near(ewma.cost(10, 1), 10);
    for (let i = 0; i < 200; i += 1) {
      ewma.recordRefusal(1);
      ewma.recordAccepted(1);
    }
    assert.ok(ewma.cost(10, 1) > 18 && ewma.cost(10, 1) < 22, `${ewma.cost(10, 1)}`);
    for (let i = 0; i < 200; i += 1) ewma.recordRefusal(1);
    near(ewma.cost(10, 1), 500);
  });

  it('costs its latency again when calls are accepted, when the peak is dropped, and in time', () => {
    const turnedAway = (): PeakEwma => {
      const ewma = ewmaOf(10);
      for (let i = 0; i < 100; i += 1) ewma.recordRefusal(0);
      return ewma;
    };
    const letIn = turnedAway();
    for (let i = 0; i < 40; i += 1) letIn.recordAccepted(1);
    near(letIn.cost(10, 1), 10);
    const forgotten = turnedAway();
    forgotten.forgetPeak();
    near(forgotten.cost(10, 1), 10);
    const later = turnedAway().cost(10, 2 * DECAY_MS);
    assert.ok(later < 12, `${later}`);
  });

  it('stays between the smallest and the largest sample of successes', () => {
    const samples = fc.array(
      fc.tuple(fc.double({ min: 0.01, max: 1e4, noNaN: true }), fc.double({ min: 0, max: 3e4, noNaN: true })),
      { minLength: 1, maxLength: 50 },
    );
    fc.assert(
      fc.property(samples, (calls) => {
        const ewma = new PeakEwma();
        let nowMs = 0;
        for (const [elapsedMs, gapMs] of calls) {
          nowMs += gapMs;
          ewma.record(elapsedMs, nowMs);
        }
        const times = calls.map(([elapsedMs]) => elapsedMs);
        const low = Math.min(...times) - 1e-6;
        const high = Math.max(...times) + 1e-6;
        assert.ok(ewma.peakMs >= low && ewma.peakMs <= high);
        assert.ok(ewma.meanMs >= low && ewma.meanMs <= high);
      }),
    );
  });
});
