import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import type { Job } from '../../../../../services/model-server/runs/job.js';
import { QueueTimeouts } from '../../../../../services/model-server/runs/queue-timeouts.js';
import { Gate, jobOf, QueueBench, runnerOf } from '../../../../kit/service/queue-jobs.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';

describe('the time-outs of jobs that wait', () => {
  function timeouts() {
    const clock = new ManualClock();
    const passed: Job[] = [];
    const later = (ms: number, then: () => void) => {
      const timer = clock.after(ms, then);
      return () => timer.cancel();
    };
    const all = new QueueTimeouts(
      () => clock.now(),
      later,
      (job) => passed.push(job),
    );
    const add = (queueTimeoutMs: number) => {
      const job = jobOf(runnerOf(), 1, { queueTimeoutMs, arrivedMs: clock.now() });
      all.add(job);
      return job;
    };
    return { clock, passed, all, add };
  }

  it('pass after their time and not before', () => {
    const { clock, passed, all, add } = timeouts();
    const job = add(5);
    clock.advance(4.9);
    assert.deepEqual([passed.length, all.hasPassed(job)], [0, false]);
    clock.advance(0.1);
    assert.deepEqual([passed, all.hasPassed(job)], [[job], true]);
  });

  it('are none for a job without the parameter, and for one that has begun', () => {
    const { clock, passed, all, add } = timeouts();
    const endless = add(Number.POSITIVE_INFINITY);
    assert.equal(clock.pending(), 0);
    const begun = add(5);
    all.remove(begun);
    all.remove(begun);
    assert.equal(clock.pending(), 0, 'no timer is left');
    clock.advance(10);
    assert.deepEqual([passed.length, all.hasPassed(begun), all.hasPassed(endless)], [0, false, false]);
  });

  it('need no timer where they are longer than a timer can be, and count all the same', () => {
    const { clock, all, add } = timeouts();
    const job = add(2 ** 32);
    assert.equal(clock.pending(), 0);
    clock.advance(2 ** 32);
    assert.equal(all.hasPassed(job), true);
  });

  it('name the parameter, its value and the time waited', () => {
    const { clock, all, add } = timeouts();
    const job = add(1.5);
    clock.advance(7.25);
    const { code, message } = all.refusal(job);
    assert.equal(code, status.DEADLINE_EXCEEDED);
    assert.match(
      message,
      /^model 'm': found parameter 'timeout' 1500 \(microseconds\), but .* waited for 7\.3 ms; it was not run$/,
    );
  });
});

describe('a request with the parameter timeout in the queue', () => {
  it('is refused when its time is up, while a run that waits for others goes on', async () => {
    const bench = new QueueBench();
    const gate = new Gate();
    const slow = runnerOf({
      name: 'slow',
      execute: (jobs) => gate.wait().then(() => jobs.map(({ inputs }) => ({ outputs: [inputs[0]!] }))),
    });
    const running = jobOf(slow, 1, { queueTimeoutMs: 5 });
    const waiting = jobOf(slow, 2, { queueTimeoutMs: 5 });
    const patient = jobOf(slow, 3, { queueTimeoutMs: 500 });
    bench.submit(running, waiting, patient);
    await bench.settle();
    bench.clock.advance(6);
    assert.match(
      waiting.errors[0]!.message,
      /'timeout' 5000 \(microseconds\), but the request has waited for 5\.0 ms/,
    );
    assert.deepEqual([running.ends, patient.ends], [0, 0]);
    gate.release();
    await bench.settle();
    gate.release();
    await bench.settle();
    assert.deepEqual([running.answered, waiting.answered, patient.answered], [[1], [], [3]]);
    assert.equal(bench.clock.pending(), 0, 'no timer is left');
    const { expired, fail, success, pending } = slow.stats;
    assert.deepEqual([expired, fail.count, success.count, pending], [1, 1, 2, 0]);
  });

  it('runs at once where nothing is before it, however short its time', async () => {
    const bench = new QueueBench();
    const job = jobOf(runnerOf(), 4, { queueTimeoutMs: 0.001 });
    bench.submit(job);
    await bench.settle();
    assert.deepEqual([job.answered, bench.clock.pending()], [[4], 0]);
  });

  it('is refused after a run that held the thread for longer, though no timer could fire', async () => {
    const bench = new QueueBench();
    const holding = runnerOf({
      execute: async (jobs) => {
        bench.queue.submit(late);
        // The clock moves, and its timers are late, as behind a run that holds the thread.
        moved += 50;
        return jobs.map(({ inputs }) => ({ outputs: [inputs[0]!] }));
      },
    });
    let moved = 0;
    const now = bench.clock.now.bind(bench.clock);
    bench.clock.now = () => now() + moved;
    const late = jobOf(runnerOf({ name: 'other' }), 2, { queueTimeoutMs: 10 });
    bench.submit(jobOf(holding));
    await bench.settle();
    assert.match(late.errors[0]!.message, /'timeout' 10000 .* waited for 50\.0 ms/);
    assert.deepEqual([late.answered, bench.clock.pending()], [[], 0]);
  });

  it('leaves no timer behind when its caller goes', async () => {
    const bench = new QueueBench();
    const gate = new Gate();
    const slow = runnerOf({ execute: () => gate.wait().then(() => [{ outputs: [] }]) });
    const waiting = jobOf(slow, 2, { queueTimeoutMs: 5 });
    bench.submit(jobOf(slow), waiting);
    await bench.settle();
    bench.queue.withdraw(waiting);
    assert.equal(bench.clock.pending(), 0);
    assert.deepEqual([waiting.ends, slow.stats.cancelled, slow.stats.fail.count], [0, 1, 0]);
  });
});
