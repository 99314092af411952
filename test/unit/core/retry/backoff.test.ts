import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fullJitterMs, HEALTHY_RUN_MS, RestartBackoff } from '../../../../sidecar/core/retry/backoff.js';
import { constant } from '../../../kit/time/seeded-random.js';

const ALMOST_ONE = 1 - 1e-12;

describe('fullJitterMs', () => {
  it('doubles from the base up to the maximum', () => {
    const longest = [1, 2, 3, 4, 5, 6, 1_000].map((retry) =>
      Math.round(fullJitterMs(retry, 25, 250, constant(ALMOST_ONE))),
    );
    assert.deepEqual(longest, [25, 50, 100, 200, 250, 250, 250]);
  });

  it('is between zero and that bound', () => {
    const draws = fc.double({ min: 0, max: ALMOST_ONE, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), draws, (retry, draw) => {
        const ms = fullJitterMs(retry, 25, 250, constant(draw));
        assert.ok(ms >= 0 && ms <= Math.min(250, 25 * 2 ** (retry - 1)));
      }),
    );
  });
});

describe('RestartBackoff', () => {
  const settings = { baseMs: 100, maxMs: 30_000 };

  it('doubles between ends up to the maximum', () => {
    const backoff = new RestartBackoff(settings, constant(ALMOST_ONE));
    const waits = Array.from({ length: 11 }, () => Math.round(backoff.next(0)));
    assert.deepEqual(waits, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
  });

  it('waits at least half of the bound', () =>
    assert.equal(new RestartBackoff(settings, constant(0)).next(0), 50));

  for (const [readyForMs, expected] of [
    [HEALTHY_RUN_MS - 1, 800],
    [HEALTHY_RUN_MS, 100],
  ] as const)
    it(`waits ${expected} ms after the fourth end and a run of ${readyForMs} ms`, () => {
      const backoff = new RestartBackoff(settings, constant(ALMOST_ONE));
      for (let i = 0; i < 3; i += 1) backoff.next(1_000);
      assert.equal(Math.round(backoff.next(readyForMs)), expected);
    });

  it('stays finite after ten thousand ends', () => {
    const backoff = new RestartBackoff(settings, constant(ALMOST_ONE));
    for (let i = 0; i < 10_000; i += 1) assert.ok(backoff.next(0) <= 30_000);
  });
});
