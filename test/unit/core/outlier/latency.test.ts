import assert from 'node:assert/strict';
import { sizeOf } from '../../../../sidecar/core/outlier/call-class.js';
import {
  describeSlowness,
  findSlow,
  Latencies,
  MAX_CALL_CLASSES,
  ratiosToPeers,
} from '../../../../sidecar/core/outlier/latency.js';
import { runs } from '../../../kit/mocha/effort.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const SETTINGS = { factor: 3, minCalls: 20 };

/** Latencies of calls whose classes differ by size only. Half of them begin when the others end. */
function of(calls: readonly (readonly [bytes: number, ms: number, count: number])[], atMs = 0): Latencies {
  const latencies = new Latencies();
  for (const [bytes, ms, count] of calls) inTwoTurns(latencies, sizeOf(bytes), ms, count, atMs);
  return latencies;
}

function inTwoTurns(latencies: Latencies, callClass: number, ms: number, count: number, atMs = 0): void {
  for (let i = 0; i < count; i += 1) latencies.record(callClass, ms, i * 2 < count ? atMs : atMs + ms);
}

/** The same of calls of one class. */
const calls = (ms: number, count: number): Latencies => of([[100, ms, count]]);

const slow = (all: readonly Latencies[], nowMs = 0): boolean[] =>
  findSlow(all, SETTINGS, nowMs).map((each) => each !== undefined);

describe('The latency detector', () => {
  it('finds the endpoint that is more than three times as slow as the others', () => {
    assert.deepEqual(slow([calls(10, 30), calls(35, 30), calls(10, 30)]), [false, true, false]);
    assert.deepEqual(slow([calls(10, 30), calls(26, 30)]), [false, false]);
    assert.deepEqual(slow([calls(10, 30), calls(40, 30)]), [false, true]);
  });

  it('gives the median, the calls and the ratio as the reason', () => {
    const [, found] = findSlow([calls(10, 30), calls(50, 30)], SETTINGS, 0);
    const why = /^median latency 5\d\.\d ms over 30 calls, [45]\.\d times that of its peers$/;
    assert.match(describeSlowness(found!), why);
  });

  it('compares calls of one class only: large requests may take longer', () => {
    const small = calls(5, 100);
    const large = of([[100_000, 500, 100]]);
    const both = of([
      [100, 5, 30],
      [100_000, 480, 30],
    ]);
    assert.deepEqual(slow([small, large, both]), [false, false, false]);
    assert.deepEqual(slow([small, small, calls(50, 30)]), [false, false, true]);
  });

  it('keeps all numbered classes apart, and compares the last like the first', () => {
    const each = (callClass: number, ms: number): Latencies => {
      const latencies = new Latencies();
      inTwoTurns(latencies, callClass, ms, 30);
      return latencies;
    };
    for (const callClass of [0, 1, MAX_CALL_CLASSES - 1]) {
      const usual = each(callClass, 10);
      assert.deepEqual(slow([usual, each(callClass, 50)]), [false, true], `${callClass}`);
      const other = each((callClass + 1) % MAX_CALL_CLASSES, 50);
      assert.deepEqual(slow([usual, other]), [false, false], `${callClass}`);
    }
  });

  it('goes by the classes that most calls were of', () => {
    const mixed = (smallCalls: number, largeMs: number, largeCalls: number): Latencies =>
      of([
        [100, 5, smallCalls],
        [10_000, largeMs, largeCalls],
      ]);
    assert.deepEqual(slow([mixed(100, 20, 100), mixed(100, 200, 30)]), [false, false]);
    assert.deepEqual(slow([mixed(100, 20, 100), mixed(30, 200, 100)]), [false, true]);
  });

  it('finds nothing in endpoints whose calls take from 1 ms to 2 s by chance, at any rate, in minutes', () => {
    const random = seeded(12);
    for (const perSecond of [3, 9])
      for (const endpoints of [2, 3, 8]) {
        const all = Array.from({ length: endpoints }, () => new Latencies());
        for (let nowMs = 0; nowMs < runs(720_000); nowMs += 1_000) {
          for (const each of all)
            for (let i = 0; i < perSecond; i++) each.record(0, 2_000 ** random(), nowMs + i);
          const found = findSlow(all, SETTINGS, nowMs + 500).filter((each) => each !== undefined);
          assert.deepEqual(found, [], `${endpoints} endpoints, ${perSecond} calls per second, ${nowMs} ms`);
        }
      }
  });

  it('finds one that is ten times as slow at such calls, once it has had a hundred', () => {
    const random = seeded(12);
    const all = [1, 10, 1].map((factor) => {
      const latencies = new Latencies();
      for (let i = 0; i < 100; i++) latencies.record(0, factor * 2_000 ** random(), i * 40);
      return latencies;
    });
    assert.deepEqual(slow(all), [false, true, false]);
  });

  it('needs enough calls of both, and a difference of 5 ms', () => {
    assert.deepEqual(slow([calls(10, 30), calls(500, 19)]), [false, false]);
    assert.deepEqual(slow([calls(10, 19), calls(500, 30)]), [false, false]);
    assert.deepEqual(slow([calls(0.7, 30), calls(5, 30)]), [false, false]);
    assert.deepEqual(slow([calls(0.7, 30), calls(7, 30)]), [false, true]);
    assert.deepEqual(slow([calls(500, 30)]), [false]);
  });

  it('does not find an endpoint that stood still once, however many calls waited for it', () => {
    const usual = new Latencies();
    const stalled = new Latencies();
    const at = (ms: number): readonly boolean[] => slow([usual, stalled], ms);
    for (let ms = 0; ms < 2_000; ms += 25) for (const each of [usual, stalled]) each.record(0, 10, ms);
    // A run of three seconds; what comes meanwhile waits for its end, and is answered at once then.
    for (let ms = 2_000; ms < 5_000; ms += 25) {
      usual.record(0, 10, ms);
      assert.deepEqual(at(ms), [false, false]);
    }
    for (let ms = 2_000; ms < 5_000; ms += 25) stalled.record(0, 5_000 - ms, 5_000);
    for (let ms = 5_000; ms < 15_000; ms += 25) {
      for (const each of [usual, stalled]) each.record(0, 10, ms);
      assert.deepEqual(at(ms), [false, false], `${ms}`);
    }
  });

  it('finds one that stays slow, as soon as calls are slow that came after the end of slow ones', () => {
    const usual = new Latencies();
    const changed = new Latencies();
    for (let ms = 0; ms < 800; ms += 10) {
      usual.record(0, 10, ms);
      if (ms >= 200) changed.record(0, 200, ms);
      // From 200 on calls end that began at 0; those that began then, at 400.
      assert.deepEqual(slow([usual, changed], ms), [false, ms >= 400], `${ms}`);
    }
  });

  describe('where endpoints have calls of other classes too', () => {
    /** Calls of the class that is compared, and of another one, each begun at the end of the one before. */
    const serial = (ms: number, count: number, otherMs: number, others: number): Latencies => {
      const latencies = new Latencies();
      for (let i = 0; i < Math.max(count, others); i += 1) {
        if (i < others) latencies.record(1, otherMs, (i + 1) * otherMs);
        if (i < count) latencies.record(0, ms, (i + 1) * ms);
      }
      return latencies;
    };

    it('finds a slow one that had a few calls of a class which no other has', () => {
      for (const rare of [0, 1, 5])
        assert.deepEqual(slow([serial(5, 40, 0, 0), serial(100, 40, 100, rare)], 4_000), [false, true]);
    });

    it('does not find one whose calls may each have waited for one of a class that no other has', () => {
      const found = (others: number) => slow([serial(2, 40, 0, 0), serial(14, 40, 20, others)], 4_000);
      for (const others of [20, 40, 200]) assert.deepEqual(found(others), [false, false]);
      assert.deepEqual(found(0), [false, true], 'there are none');
    });

    it('finds a slow one that has the compared class alone, beside peers with others', () => {
      const peer = serial(2, 40, 20, 40);
      assert.deepEqual(slow([peer, serial(20, 40, 0, 0), peer], 4_000), [false, true, false]);
    });
  });

  it('does not find an endpoint with a few slow calls and an equal median', () => {
    const few = of([
      [100, 10, 60],
      [100, 5_000, 30],
    ]);
    assert.deepEqual(slow([few, calls(10, 60)]), [false, false]);
  });

  describe('as a ratio', () => {
    const ratios = (all: readonly Latencies[], nowMs = 0): string[] =>
      ratiosToPeers(all, SETTINGS.minCalls, nowMs).map((ratio) => ratio?.toFixed(1) ?? '');

    it('is 1 among equals, and above 1 for a slow endpoint', () => {
      const usual = calls(16, 30);
      assert.deepEqual(ratios([usual, usual, usual, calls(64, 30)]), ['1.0', '1.0', '1.0', '4.0']);
    });

    it('has no ratio for an endpoint with too few calls, without a peer, or after a pause', () => {
      const known = calls(16, 30);
      assert.deepEqual(ratios([known, calls(16, 19)]), ['', '']);
      assert.deepEqual(ratios([known]), ['']);
      assert.deepEqual(ratios([known, of([[50_000, 16, 30]])]), ['', '']);
      assert.deepEqual(ratios([known, calls(16, 30)], 10_000), ['', '']);
      assert.deepEqual(ratios([]), []);
    });

    it('is slow at every factor below the ratio, and at none above', () => {
      const random = seeded(11);
      const one = (bytes: number) => [bytes, 50 * 2 ** (random() * 4), 10 + random() * 60] as const;
      const draw = (): Latencies => of([10, 1_000, 100_000].map(one));
      for (let i = 0; i < 300; i += 1) {
        const all = [draw(), draw(), draw()];
        for (const [at, ratio] of ratiosToPeers(all, SETTINGS.minCalls, 0).entries()) {
          const isSlow = (factor: number) => findSlow(all, { ...SETTINGS, factor }, 0)[at] !== undefined;
          // Differences below 5 ms would be none; here they are larger.
          if (ratio === undefined) assert.ok(!isSlow(1.1));
          else assert.ok(!isSlow(ratio * 1.001), `${ratio}`);
          if (ratio !== undefined && ratio > 1.1) assert.ok(isSlow(ratio * 0.999), `${ratio}`);
        }
      }
    });
  });

  it('forgets calls after five to ten seconds', () => {
    const all = [calls(10, 30), calls(100, 30)];
    assert.deepEqual(slow(all, 9_999), [false, true]);
    assert.deepEqual(slow(all, 10_000), [false, false]);
  });

  it('knows medians to a quarter, whatever the latency', () => {
    const random = seeded(7);
    for (let i = 0; i < 200; i += 1) {
      const ms = 0.25 * 2 ** (random() * 12);
      const found = findSlow([of([[0, ms, 20]]), of([[0, ms * 4 + 8, 20]])], SETTINGS, 0)[1];
      assert.ok(found !== undefined, `${ms}`);
      assert.ok(Math.abs(found.peerLatencyMs / ms - 1) < 0.26, `${found.peerLatencyMs} for ${ms}`);
    }
  });
});
