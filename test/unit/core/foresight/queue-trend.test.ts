import assert from 'node:assert/strict';
import { QueueTrend } from '../../../../sidecar/core/foresight/queue-trend.js';
import { runs } from '../../../kit/mocha/effort.js';
import { seeded } from '../../../kit/time/seeded-random.js';

/** Seconds until the alarm; -1: none. */
function alarm(queue: QueueTrend, seconds: number, callsAt: (second: number) => number, common = 0): number {
  for (let second = 0; second < seconds; second += 1) {
    queue.observe(callsAt(second));
    queue.judge(common);
    if (queue.level >= 0.5) return second;
  }
  return -1;
}

/** Calls at an endpoint that serves them one by one, at this utilization; looked at once a second. */
function queueAt(utilization: number, perSecond: number, seed: number): (second: number) => number {
  const random = seeded(seed);
  let calls = 0;
  return () => {
    // Arrivals and ends in random order (M/M/1).
    for (let i = 0; i < perSecond; i += 1)
      calls = random() < utilization / (1 + utilization) ? calls + 1 : Math.max(0, calls - 1);
    return calls;
  };
}

describe('a trend of the queue', () => {
  it('finds calls that become ever more within two minutes', () => {
    const at = alarm(new QueueTrend(), 200, (second) => 2 + second * 0.2);
    assert.ok(at > 60 && at < 120, String(at));
  });

  it('says by how much', () => {
    const queue = new QueueTrend();
    alarm(queue, 200, (second) => 2 + second * 0.2);
    assert.match(queue.why, /^calls there grew by \d\d more than those of its peers, in 76 s$/);
  });

  it('finds nothing in hours of a queue that is nearly full', () => {
    for (const seed of [1, 2, 3])
      assert.equal(alarm(new QueueTrend(), runs(8_640), queueAt(0.9, 80, seed)), -1);
  });

  it('finds nothing in bursts, nor in what its peers have too', () => {
    assert.equal(
      alarm(new QueueTrend(), 3_600, (second) => (second % 60 < 10 ? 50 : 1)),
      -1,
    );
    assert.equal(
      alarm(new QueueTrend(), 200, (second) => 2 + second * 0.2, 16),
      -1,
    );
  });

  it('is over when the queue is, and when it is forgotten', () => {
    const queue = new QueueTrend();
    alarm(queue, 200, (second) => 2 + second * 0.2);
    for (let second = 0; second < 100; second += 1) alarm(queue, 1, () => 0);
    assert.ok(queue.level < 0.5);
    alarm(queue, 200, (second) => 2 + second * 0.2);
    queue.forget();
    assert.deepEqual([queue.level, queue.growth], [0, 0]);
  });
});
