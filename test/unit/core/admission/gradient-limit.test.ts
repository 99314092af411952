import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AdaptiveLimit } from '../../../../sidecar/core/admission/gradient-limit.js';
import { seeded } from '../../../kit/time/seeded-random.js';

/** A limit of 1 to 200 that begins with `start`. */
const limitFrom = (start: number) => new AdaptiveLimit({ min: 1, max: 200 }, start);

/** A server with `places` that work side by side for `serviceMs`; what is beyond them waits inside it. */
function settle(limit: AdaptiveLimit, server: { places: number; serviceMs: number }, ms: number, fromMs = 0) {
  const random = seeded(7);
  const seen: number[] = [];
  let nowMs = fromMs;
  // Always as many calls as are let in: the overloaded case.
  while (nowMs < fromMs + ms) {
    const held = limit.concurrency;
    const latencyMs = server.serviceMs * Math.max(1, held / server.places) * (0.95 + 0.1 * random());
    nowMs += latencyMs / held;
    limit.record(nowMs - latencyMs, nowMs, true);
    seen.push(limit.concurrency);
  }
  return { nowMs, late: seen.slice(-Math.floor(seen.length / 4)) };
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, each) => sum + each, 0) / values.length;

describe('AdaptiveLimit', () => {
  for (const places of [1, 2, 8, 32])
    it(`finds the capacity of a server that runs ${places} calls at once, and leaves few in its queue`, () => {
      const limit = limitFrom(4);
      const { late } = settle(limit, { places, serviceMs: 20 }, 120_000);
      const found = mean(late);
      assert.ok(found >= places && found <= 2.2 * places + 3, `${found}`);
    });

  it('falls when the server becomes slower, and rises again', () => {
    const limit = limitFrom(16);
    const before = settle(limit, { places: 16, serviceMs: 10 }, 30_000);
    const half = settle(limit, { places: 4, serviceMs: 10 }, 30_000, before.nowMs);
    assert.ok(mean(half.late) < 13, `${mean(half.late)}`);
    const after = settle(limit, { places: 16, serviceMs: 10 }, 60_000, half.nowMs);
    assert.ok(mean(after.late) > 14, `${mean(after.late)}`);
  });

  it('learns that the server is slower for good, instead of lowering the limit for ever', () => {
    const limit = limitFrom(8);
    const before = settle(limit, { places: 8, serviceMs: 10 }, 30_000);
    const slow = settle(limit, { places: 8, serviceMs: 40 }, 240_000, before.nowMs);
    assert.ok(mean(slow.late) >= 7, `${mean(slow.late)}`);
  });

  it('falls from a limit so high that every call is cancelled before it ends, and finds the capacity', () => {
    const limit = limitFrom(200);
    let nowMs = 0;
    while (nowMs < 60_000) {
      // One at a time takes 20 ms; no caller waits longer than 500.
      const latencyMs = 20 * limit.concurrency;
      nowMs += 20;
      if (latencyMs > 500) limit.recordCancelled(nowMs - 500, nowMs, true);
      else limit.record(nowMs - latencyMs, nowMs, true);
    }
    assert.ok(limit.concurrency <= 25, `${limit.concurrency}`);
  });

  it('learns nothing from calls that were cancelled sooner than any could have ended', () => {
    const limit = limitFrom(8);
    const { nowMs: fromMs, late } = settle(limit, { places: 8, serviceMs: 10 }, 30_000);
    for (let nowMs = fromMs; nowMs < fromMs + 60_000; nowMs += 1)
      limit.recordCancelled(nowMs - 5, nowMs, true);
    assert.equal(limit.concurrency, late.at(-1));
  });

  it('keeps its limit while there is too little traffic to reach it', () => {
    const limit = limitFrom(10);
    for (let nowMs = 0; nowMs < 60_000; nowMs += 10) limit.record(nowMs - 5, nowMs, false);
    assert.equal(limit.concurrency, 10);
  });

  it('never leaves its bounds, whatever the samples', () => {
    const call = fc.record({ ms: fc.double({ min: 0, max: 1e6, noNaN: true }), full: fc.boolean() });
    fc.assert(
      fc.property(fc.array(call, { maxLength: 2_000 }), (calls) => {
        const limit = new AdaptiveLimit({ min: 2, max: 20 }, 5);
        let nowMs = 0;
        for (const { ms, full } of calls) {
          nowMs += 10;
          limit.record(nowMs - ms, nowMs, full);
          assert.ok(limit.concurrency >= 2 && limit.concurrency <= 20);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('takes over new bounds at once', () => {
    const limit = limitFrom(50);
    limit.configure({ min: 1, max: 8 });
    assert.equal(limit.concurrency, 8);
  });
});
