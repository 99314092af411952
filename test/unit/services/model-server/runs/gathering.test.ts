import assert from 'node:assert/strict';
import { Gathering } from '../../../../../services/model-server/runs/gathering.js';
import type { Job } from '../../../../../services/model-server/runs/job.js';
import { jobOf, runnerOf } from '../../../../kit/service/queue-jobs.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('a batch that grows', () => {
  function bench(more: { maxBatch: number; maxDelayMs?: number; preferredRows?: number[] }) {
    const clock = new ManualClock();
    const runner = runnerOf(more);
    let othersWait = false;
    const later = (ms: number, then: () => void) => {
      const timer = clock.after(ms, then);
      return () => timer.cancel();
    };
    const gathering = new Gathering(
      () => clock.now(),
      later,
      () => othersWait,
    );
    const items: Job[] = [];
    const arrive = () => items.push(jobOf(runner, 1, { arrivedMs: clock.now() }));
    arrive();
    let isDone = false;
    const done = gathering.gather(runner, items).then(() => {
      isDone = true;
    });
    return {
      clock,
      items,
      arrive,
      done,
      isDone: () => isDone,
      another: () => {
        othersWait = true;
      },
    };
  }

  it('takes what each turn brings, until one brings nothing', async () => {
    const { items, arrive, done, isDone } = bench({ maxBatch: 10 });
    await Promise.resolve();
    arrive();
    await turn();
    arrive();
    await turn();
    assert.equal(isDone(), false);
    await done;
    assert.equal(items.length, 3);
  });

  it('does not wait once it is full', async () => {
    const { done } = bench({ maxBatch: 1, maxDelayMs: 50 });
    await done;
  });

  it('waits for max_delay from the arrival of its first request, in steps', async () => {
    const { clock, done, isDone } = bench({ maxBatch: 10, maxDelayMs: 5 });
    for (let i = 0; i < 3; i++) await turn();
    for (let ms = 0; ms < 5; ms++) {
      assert.equal(isDone(), false, `${ms} ms`);
      clock.advance(1);
      await turn();
    }
    await done;
    assert.equal(clock.pending(), 0);
  });

  it('runs at a preferred size, for another model that waits, and when all of it has gone', async () => {
    const preferred = bench({ maxBatch: 10, maxDelayMs: 50, preferredRows: [2, 4] });
    const shared = bench({ maxBatch: 10, maxDelayMs: 50 });
    const gone = bench({ maxBatch: 10, maxDelayMs: 50 });
    for (let i = 0; i < 3; i++) await turn();
    preferred.arrive();
    shared.another();
    gone.items.pop();
    for (const each of [preferred, shared, gone]) {
      assert.equal(each.isDone(), false);
      each.clock.advance(1);
      await each.done;
    }
  });
});
