import assert from 'node:assert/strict';
import { MemoryTrend } from '../../../../sidecar/core/foresight/memory-trend.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const MIB = 2 ** 20;
const LIMIT = 4_096 * MIB;

/** Minutes until the suspicion; -1: none. Memory is looked at each 5 s; what is not collected yet is up to 30 MiB of it. */
function suspected(
  trend: MemoryTrend,
  minutes: number,
  mibAt: (minute: number) => number,
  limit = LIMIT,
): number {
  const random = seeded(3);
  for (let look = 0; look < minutes * 12; look += 1) {
    trend.observe((mibAt(look / 12) + 30 * random()) * MIB, limit);
    if (trend.suspicion !== undefined) return look / 12;
  }
  return -1;
}

describe('a trend of memory', () => {
  it('finds a leak that would fill the memory within hours, in a quarter of an hour', () => {
    const trend = new MemoryTrend();
    const at = suspected(trend, 120, (minute) => 200 + 20 * minute);
    assert.ok(at > 5 && at < 20, String(at));
    const { bytesPerHour, fullInMs, why } = trend.suspicion!;
    assert.ok(Math.abs(bytesPerHour / MIB / 1_200 - 1) < 0.2);
    assert.ok(fullInMs > 2.5 * 3_600_000 && fullInMs < 4 * 3_600_000);
    assert.match(why, /^its memory grows by 1\d\d\d MiB an hour, from 2\d\d MiB to \d{3} MiB so far$/);
  });

  it('finds one that has doubled the process where no limit is near, or known', () => {
    const at = suspected(new MemoryTrend(), 400, (minute) => 100 + minute, 0);
    assert.ok(at > 90 && at < 140, String(at));
  });

  it('finds nothing in a day of a process that only collects late', () => {
    assert.equal(
      suspected(new MemoryTrend(), 1_440, (minute) => 400 + 100 * Math.sin(minute / 3)),
      -1,
    );
  });

  it('finds nothing in a process that fills its caches and stops', () => {
    assert.equal(
      suspected(new MemoryTrend(), 300, (minute) => 200 + 600 * (1 - Math.exp(-minute / 4))),
      -1,
    );
  });

  it('finds nothing in a slow growth that has far to go', () => {
    assert.equal(
      suspected(new MemoryTrend(), 300, (minute) => 1_000 + minute, 64 * LIMIT),
      -1,
    );
  });
});
