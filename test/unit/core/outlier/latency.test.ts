import assert from 'node:assert/strict';
import { sizeOf } from '../../../../sidecar/core/outlier/call-class.js';
import {
  judgeLatencies,
  KINDS,
  Latencies,
  ratiosToPeers,
  slownessIn,
} from '../../../../sidecar/core/outlier/latency.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const SETTINGS = { factor: 3, minCalls: 20 };

/** Kinds that differ by size only. */
function of(calls: readonly (readonly [bytes: number, ms: number, count: number])[], atMs = 0): Latencies {
  const latencies = new Latencies();
  for (const [bytes, ms, count] of calls) {
    for (let i = 0; i < count; i += 1) latencies.record(sizeOf(bytes), ms, atMs);
  }
  return latencies;
}

const slow = (all: readonly Latencies[], nowMs = 0): boolean[] =>
  judgeLatencies(all, SETTINGS, nowMs).map((each) => each !== undefined);

describe('Latency against peers', () => {
  it('finds the one that is more than three times as slow as the others', () => {
    assert.deepEqual(slow([of([[100, 10, 30]]), of([[100, 35, 30]]), of([[100, 10, 30]])]), [
      false,
      true,
      false,
    ]);
    assert.deepEqual(slow([of([[100, 10, 30]]), of([[100, 26, 30]])]), [false, false]);
    assert.deepEqual(slow([of([[100, 10, 30]]), of([[100, 40, 30]])]), [false, true]);
  });

  it('says by how much', () => {
    const [, found] = judgeLatencies([of([[100, 10, 30]]), of([[100, 50, 30]])], SETTINGS, 0);
    assert.match(
      slownessIn(found!),
      /^median latency 5\d\.\d ms over 30 calls, [45]\.\d times that of its peers$/,
    );
  });

  it('compares like with like: large requests may take longer', () => {
    const small = of([[100, 5, 100]]);
    const large = of([[100_000, 500, 100]]);
    assert.deepEqual(
      slow([
        small,
        large,
        of([
          [100, 5, 30],
          [100_000, 480, 30],
        ]),
      ]),
      [false, false, false],
    );
    assert.deepEqual(slow([small, small, of([[100, 50, 30]])]), [false, false, true]);
  });

  it('tells as many kinds apart as there are numbers, and compares the last like the first', () => {
    const each = (kind: number, ms: number): Latencies => {
      const latencies = new Latencies();
      for (let i = 0; i < 30; i += 1) latencies.record(kind, ms, 0);
      return latencies;
    };
    for (const kind of [0, 1, KINDS - 1]) {
      assert.deepEqual(slow([each(kind, 10), each(kind, 50)]), [false, true], `${kind}`);
      assert.deepEqual(slow([each(kind, 10), each((kind + 1) % KINDS, 50)]), [false, false], `${kind}`);
    }
  });

  it('judges by the kinds that most calls were of', () => {
    const peer = [
      [100, 5, 100],
      [10_000, 20, 100],
    ] as const;
    assert.deepEqual(
      slow([
        of(peer),
        of([
          [100, 5, 100],
          [10_000, 200, 30],
        ]),
      ]),
      [false, false],
    );
    assert.deepEqual(
      slow([
        of(peer),
        of([
          [100, 5, 30],
          [10_000, 200, 100],
        ]),
      ]),
      [false, true],
    );
  });

  it('needs enough calls of both, and a difference worth the name', () => {
    assert.deepEqual(slow([of([[100, 10, 30]]), of([[100, 500, 19]])]), [false, false]);
    assert.deepEqual(slow([of([[100, 10, 19]]), of([[100, 500, 30]])]), [false, false]);
    assert.deepEqual(slow([of([[100, 0.3, 30]]), of([[100, 1.5, 30]])]), [false, false]);
    assert.deepEqual(slow([of([[100, 500, 30]])]), [false]);
  });

  it('is moved by a change of the median, not by a few slow calls', () => {
    const few = of([
      [100, 10, 60],
      [100, 5_000, 30],
    ]);
    assert.deepEqual(slow([few, of([[100, 10, 60]])]), [false, false]);
  });

  describe('in one number', () => {
    const ratios = (all: readonly Latencies[], nowMs = 0): string[] =>
      ratiosToPeers(all, SETTINGS.minCalls, nowMs).map((ratio) => ratio?.toFixed(1) ?? '');

    it('is 1 among equals, and above it for the slow one', () => {
      const usual = of([[100, 16, 30]]);
      assert.deepEqual(ratios([usual, usual, usual, of([[100, 64, 30]])]), ['1.0', '1.0', '1.0', '4.0']);
    });

    it('is left out without calls enough, without a peer, and when all is forgotten', () => {
      const known = of([[100, 16, 30]]);
      assert.deepEqual(ratios([known, of([[100, 16, 19]])]), ['', '']);
      assert.deepEqual(ratios([known]), ['']);
      assert.deepEqual(ratios([known, of([[50_000, 16, 30]])]), ['', '']);
      assert.deepEqual(ratios([known, of([[100, 16, 30]])], 10_000), ['', '']);
      assert.deepEqual(ratios([]), []);
    });

    it('is what the detector goes by: slow at every factor below it, at none above', () => {
      const random = seeded(11);
      const draw = (): Latencies =>
        of(
          [10, 1_000, 100_000].map((bytes) => [bytes, 50 * 2 ** (random() * 4), 10 + random() * 60] as const),
        );
      for (let i = 0; i < 300; i += 1) {
        const all = [draw(), draw(), draw()];
        for (const [at, ratio] of ratiosToPeers(all, SETTINGS.minCalls, 0).entries()) {
          const isSlow = (factor: number): boolean =>
            judgeLatencies(all, { ...SETTINGS, factor }, 0)[at] !== undefined;
          // Differences below 2 ms would be none; here they are larger.
          if (ratio === undefined) assert.ok(!isSlow(1.1));
          else assert.ok(!isSlow(ratio * 1.001), `${ratio}`);
          if (ratio !== undefined && ratio > 1.1) assert.ok(isSlow(ratio * 0.999), `${ratio}`);
        }
      }
    });
  });

  it('forgets after five to ten seconds', () => {
    const all = [of([[100, 10, 30]]), of([[100, 100, 30]])];
    assert.deepEqual(slow(all, 9_999), [false, true]);
    assert.deepEqual(slow(all, 10_000), [false, false]);
  });

  it('is nearly exact, whatever the latency', () => {
    const random = seeded(7);
    for (let i = 0; i < 200; i += 1) {
      const ms = 0.25 * 2 ** (random() * 16);
      const found = judgeLatencies([of([[0, ms, 20]]), of([[0, ms * 4 + 4, 20]])], SETTINGS, 0)[1];
      assert.ok(found !== undefined, `${ms}`);
      assert.ok(Math.abs(found.peerLatencyMs / ms - 1) < 0.26, `${found.peerLatencyMs} for ${ms}`);
    }
  });
});
