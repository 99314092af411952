import assert from 'node:assert/strict';
import { Ledger } from '../../../../../services/model-server/runs/ledger.js';
import { column, jobOf, runnerOf } from '../../../../kit/service/queue-jobs.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';

describe('what becomes of the jobs of a model', () => {
  function book() {
    const clock = new ManualClock();
    const ledger = new Ledger(
      () => clock.wallNow(),
      () => clock.now(),
    );
    const runner = runnerOf();
    const arrived = (more = {}) => {
      const job = jobOf(runner, 1, more);
      ledger.arrived(job);
      return job;
    };
    return { clock, ledger, runner, stats: runner.stats, arrived };
  }

  it('is counted with the time from arrival, and that of decoding', () => {
    const { clock, ledger, stats, arrived } = book();
    const job = arrived({ decodeMs: 2 });
    clock.advance(5);
    ledger.begun([job]);
    clock.advance(10);
    ledger.ended(job, 'success');
    assert.deepEqual({ ...stats.queue }, { count: 1, ms: 5 });
    assert.deepEqual({ ...stats.success }, { count: 1, ms: 17 });
    assert.deepEqual([stats.inferences, stats.pending, stats.lastInferenceMs], [1, 0, clock.wallNow() - 10]);
  });

  it('is as many inferences as it has rows where the model is batched, and one where it is not', () => {
    for (const [maxBatch, inferences] of [
      [4, 3],
      [1, 1],
    ] as const) {
      const { ledger, stats, arrived, runner } = book();
      Object.assign(runner, { maxBatch });
      ledger.ended(arrived({ inputs: [column(1, 2, 3)] }), 'success');
      assert.equal(stats.inferences, inferences);
    }
  });

  it('is neither a success nor a failure when the caller has gone', () => {
    const { ledger, stats, arrived } = book();
    ledger.ended(arrived(), 'cancelled');
    ledger.ended(arrived(), 'fail');
    const { cancelled, success, fail, inferences } = stats;
    assert.deepEqual([cancelled, success.count, fail.count, inferences], [1, 0, 1, 0]);
  });

  it('resolves every wait for the end of all of them, and none before', async () => {
    const { ledger, runner, arrived } = book();
    await ledger.drained(runner);
    const jobs = [arrived(), arrived()];
    const ends: string[] = [];
    const waits = ['a', 'b'].map((name) => ledger.drained(runner).then(() => ends.push(name)));
    ledger.ended(jobs[0]!, 'success');
    await Promise.resolve();
    assert.deepEqual(ends, []);
    ledger.ended(jobs[1]!, 'cancelled');
    await Promise.all(waits);
    assert.deepEqual(ends, ['a', 'b']);
  });
});
