import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import type { Answer, Job, Runner } from '../../../../../services/model-server/runs/job.js';
import { Caller, column, Gate, jobOf, QueueBench, runnerOf } from '../../../../kit/service/queue-jobs.js';

/** Counts from 0 below the job's value; notes each turn, and each stream that was closed. */
function counting(notes: string[] = [], name = 's', each: () => void = () => {}): Runner {
  return runnerOf({
    name,
    stream(job: Job): AsyncIterator<Answer> {
      const end = Number(job.inputs[0]!.data[0]);
      let next = 0;
      return {
        async next() {
          notes.push(`${name}${next}`);
          each();
          if (end < 0) throw new Error('below zero');
          if (next === end) return { done: true, value: undefined };
          return { done: false, value: { outputs: [column(next++)] } };
        },
        async return() {
          notes.push(`${name} closed`);
          return { done: true, value: undefined };
        },
      };
    },
  });
}

const streamed = (runner: Runner, value: number, more: Partial<Job> = {}) =>
  jobOf(runner, value, { streams: new Caller(), ...more });

describe('streams in the inference queue', () => {
  it('give one answer a turn, and a call behind one waits for one answer', async () => {
    const bench = new QueueBench();
    const notes: string[] = [];
    const runner = Object.assign(counting(notes), {
      execute: async () => {
        notes.push('call');
        return [{ outputs: [column(9)] }];
      },
    });
    const job = streamed(runner, 3);
    bench.submit(job, jobOf(runner));
    await bench.settle();
    assert.deepEqual(job.answered, [0, 1, 2]);
    assert.equal(job.ends, 1);
    assert.ok(notes.indexOf('call') <= 2, notes.join(' '));
    const { success, fail, pending, queue } = runner.stats;
    assert.deepEqual([success.count, fail.count, queue.count], [2, 0, 2], 'the stream and the call');
    assert.equal(pending, 0);
  });

  it('stand still while the caller does not read', async () => {
    const bench = new QueueBench();
    const runner = counting();
    const caller = new Caller();
    const job = jobOf(runner, 3, { streams: caller });
    caller.writable = false;
    bench.submit(job);
    await bench.settle();
    assert.deepEqual(job.answered, [0]);
    caller.reads();
    await bench.settle();
    assert.deepEqual([job.answered, job.ends], [[0, 1, 2], 1]);
  });

  for (const where of ['parked', 'in the queue', 'in its turn'] as const)
    it(`count as cancelled, not as success, when the caller goes while one is ${where}, and give back what they hold`, async () => {
      const bench = new QueueBench();
      const notes: string[] = [];
      let turns = 0;
      const runner = counting(notes, 's', () => {
        turns += 1;
        if (where === 'in its turn' && turns === 2) bench.queue.withdraw(job);
      });
      const caller = new Caller();
      const job: Job & { answered: number[]; ends: number } = jobOf(runner, 1_000_000, { streams: caller });
      const other = streamed(counting([], 'other'), 3);
      const done = job.done;
      Object.assign(job, {
        done: (...args: Parameters<Job['done']>) => {
          done(...args);
          if (where === 'parked') caller.writable = false;
          // The other model's turn comes first, and finds this one waiting.
          if (where === 'in the queue') setImmediate(() => bench.queue.withdraw(job));
        },
      });
      bench.submit(job, other);
      await bench.settle();
      if (where === 'parked') bench.queue.withdraw(job);
      await bench.settle();
      assert.ok(notes.includes('s closed'), notes.join(' '));
      assert.equal(job.ends, 0, 'a caller that has gone is told nothing');
      const { cancelled, success, fail, pending } = runner.stats;
      assert.deepEqual([cancelled, success.count, fail.count, pending], [1, 0, 0, 0]);
      caller.reads();
      await bench.settle();
      assert.equal(notes.filter((note) => note === 's closed').length, 1);
      assert.deepEqual([other.answered, other.ends], [[0, 1, 2], 1]);
    });

  it('are ended when the deadline passes between two answers, and the model is told', async () => {
    const bench = new QueueBench();
    const notes: string[] = [];
    const runner = counting(notes, 's', () => bench.clock.advance(10));
    const job = streamed(runner, 1_000_000, { deadlineMs: bench.clock.wallNow() + 25 });
    bench.submit(job);
    await bench.settle();
    assert.deepEqual(job.answered, [0, 1, 2]);
    assert.equal(job.errors[0]!.code, status.DEADLINE_EXCEEDED);
    assert.match(job.errors[0]!.message, /between two answers/);
    assert.deepEqual([notes.at(-1), job.ends, runner.stats.fail.count], ['s closed', 1, 1]);
    assert.equal(bench.queue.counters.expired, 0, 'it had begun');
  });

  it('are not ended by the parameter timeout, which is for the wait', async () => {
    const bench = new QueueBench();
    const runner = counting([], 's', () => bench.clock.advance(10));
    const job = streamed(runner, 4, { queueTimeoutMs: 5 });
    bench.submit(job);
    await bench.settle();
    assert.deepEqual([job.answered, job.errors, job.ends], [[0, 1, 2, 3], [], 1]);
  });

  it('fail alone where the model throws instead of beginning one', async () => {
    const bench = new QueueBench();
    const runner = runnerOf({
      stream: () => {
        throw new Error('no room');
      },
    });
    const [failing, next] = [streamed(runner, 1), jobOf(runner, 7)];
    bench.submit(failing, next);
    await bench.settle();
    assert.match(failing.errors[0]!.message, /^model 'm': inference failed: no room$/);
    assert.deepEqual([next.answered, runner.stats.fail.count, runner.stats.pending], [[7], 1, 0]);
  });

  it('fail with the words of the model, and of an answer that cannot be sent', async () => {
    const bench = new QueueBench();
    const notes: string[] = [];
    const failing = streamed(counting(notes, 'a'), -1);
    const unsendable = streamed(counting(notes, 'b'), 3);
    const { done } = unsendable;
    Object.assign(unsendable, {
      done: (...[error, answer]: Parameters<Job['done']>) => {
        if (answer !== undefined) throw new RangeError('too long');
        done(error, answer);
      },
    });
    bench.submit(failing, unsendable);
    await bench.settle();
    assert.match(failing.errors[0]!.message, /^model 'a': inference failed: below zero$/);
    assert.match(unsendable.errors[0]!.message, /^model 'b': its answer cannot be sent: too long$/);
    assert.deepEqual(notes.filter((note) => note.endsWith('closed')).sort(), ['a closed', 'b closed']);
  });

  describe('of a model that is unloaded', () => {
    const LIMIT_MS = 1000;

    it('end with the reason when nothing has been read of them for so long, and the model is let go', async () => {
      const bench = new QueueBench();
      const notes: string[] = [];
      const runner = counting(notes);
      const caller = new Caller();
      caller.writable = false;
      const job = jobOf(runner, 1_000_000, { streams: caller });
      bench.submit(job);
      await bench.settle();
      bench.clock.advance(LIMIT_MS / 2);
      let isDrained = false;
      void bench.queue.drained(runner, LIMIT_MS).then(() => {
        isDrained = true;
      });
      bench.clock.advance(LIMIT_MS / 2 - 1);
      await bench.settle();
      assert.deepEqual([job.ends, isDrained], [0, false], 'the time is not up');
      bench.clock.advance(1);
      await bench.settle();
      assert.deepEqual([job.ends, isDrained, notes.at(-1)], [1, true, 's closed']);
      assert.equal(job.errors[0]!.code, status.UNAVAILABLE);
      assert.match(
        job.errors[0]!.message,
        /^model 's' is being unloaded, and no answer of this stream has been read for 1000 ms; the stream is ended$/,
      );
      caller.reads();
      await bench.settle();
      assert.deepEqual([job.answered, job.ends, runner.stats.fail.count], [[0], 1, 1]);
    });

    it('go on while they are read, however slowly, and while they wait for their model', async () => {
      const bench = new QueueBench();
      const reader = new Caller();
      reader.writable = false;
      const runner = counting();
      const read = jobOf(runner, 5, { streams: reader });
      const gate = new Gate();
      const slow = runnerOf({
        name: 'slow',
        stream: () => ({ next: () => gate.wait().then(() => ({ done: true, value: undefined })) }),
      });
      const waiting = jobOf(slow, 1, { streams: new Caller() });
      bench.submit(read);
      await bench.settle();
      void bench.queue.drained(runner, LIMIT_MS);
      void bench.queue.drained(slow, LIMIT_MS);
      for (let answers = 1; answers <= 5; answers++) {
        bench.clock.advance(LIMIT_MS - 1);
        await bench.settle();
        assert.deepEqual([read.answered.length, read.errors], [answers, []]);
        reader.reads();
        reader.writable = false;
        await bench.settle();
      }
      assert.deepEqual([read.answered, read.ends], [[0, 1, 2, 3, 4], 1]);
      bench.submit(waiting);
      await bench.settle();
      bench.clock.advance(10 * LIMIT_MS);
      await bench.settle();
      assert.deepEqual([waiting.ends, waiting.errors], [0, []]);
      gate.release();
      await bench.settle();
      assert.deepEqual([waiting.ends, waiting.errors], [1, []]);
    });

    it('are no others: those of a model that goes on may be unread for as long as they like', async () => {
      const bench = new QueueBench();
      const callers = [new Caller(), new Caller()];
      const [gone, stays] = ['gone', 'stays'].map((name, i) => {
        callers[i]!.writable = false;
        return jobOf(counting([], name), 2, { streams: callers[i]! });
      });
      bench.submit(gone!, stays!);
      await bench.settle();
      const drained = bench.queue.drained(gone!.runner, LIMIT_MS);
      bench.clock.advance(LIMIT_MS);
      await bench.settle();
      await drained;
      bench.clock.advance(100 * LIMIT_MS);
      await bench.settle();
      assert.deepEqual([gone!.errors.length, stays!.errors.length], [1, 0]);
      callers[1]!.reads();
      await bench.settle();
      assert.deepEqual([stays!.answered, stays!.ends], [[0, 1], 1]);
    });
  });

  describe('of one sequence', () => {
    const sequenceOf = (pending: number) => {
      return {
        id: 'q',
        state: undefined,
        ending: false,
        pending,
        busy: false,
        caller: '',
        key: 'k',
        hasRun: false,
        lostWhy: '',
        lastMs: 0,
      };
    };

    it('follow each other: the second begins when the first has given its last answer', async () => {
      const bench = new QueueBench();
      const notes: string[] = [];
      const runner = counting(notes);
      const sequence = sequenceOf(2);
      const jobs = [streamed(runner, 2, { sequence }), streamed(runner, 1, { sequence })];
      bench.submit(...jobs);
      await bench.settle();
      assert.deepEqual(
        jobs.map(({ answered, ends }) => [answered, ends]),
        [
          [[0, 1], 1],
          [[0], 1],
        ],
      );
      assert.deepEqual(notes, ['s0', 's1', 's2', 's closed', 's0', 's1', 's closed']);
      assert.equal(sequence.busy, false);
    });

    it('keep their place though a request that waits behind them is withdrawn', async () => {
      const bench = new QueueBench();
      const caller = new Caller();
      caller.writable = false;
      const runner = counting();
      const sequence = sequenceOf(3);
      const unread = jobOf(runner, 1, { streams: caller, sequence });
      const [next, third] = [jobOf(runner, 7, { sequence }), jobOf(runner, 8, { sequence })];
      bench.submit(unread);
      await bench.settle();
      bench.submit(next, third);
      bench.queue.withdraw(next);
      await bench.settle();
      assert.deepEqual([unread.answered, third.answered], [[0], []], 'the first is not over');
      caller.reads();
      await bench.settle();
      assert.deepEqual([next.answered, third.answered, runner.stats.pending], [[], [8], 0]);
    });

    it('are told of their end before the next request begins', async () => {
      const bench = new QueueBench();
      const notes: string[] = [];
      const caller = new Caller();
      caller.writable = false;
      const execute: Runner['execute'] = async () => {
        notes.push('next');
        return [{ outputs: [column(9)] }];
      };
      const runner = Object.assign(counting(notes), { execute });
      const sequence = sequenceOf(2);
      const unread = jobOf(runner, 1, { streams: caller, sequence });
      bench.submit(unread);
      await bench.settle();
      bench.submit(jobOf(runner, 7, { sequence }));
      await bench.settle();
      bench.queue.withdraw(unread);
      await bench.settle();
      assert.deepEqual(notes, ['s0', 's closed', 'next']);
    });

    for (const how of ['it is read again', 'its caller has gone', 'its model is unloaded'] as const)
      it(`let the next request run after one that was not read, once ${how}`, async () => {
        const bench = new QueueBench();
        const caller = new Caller();
        caller.writable = false;
        const runner = counting();
        const sequence = sequenceOf(2);
        const unread = jobOf(runner, 1, { streams: caller, sequence });
        const next = jobOf(runner, 7, { sequence });
        bench.submit(unread);
        await bench.settle();
        bench.submit(next);
        await bench.settle();
        assert.deepEqual([unread.answered, next.answered], [[0], []], 'the first is not over');
        if (how === 'it is read again') caller.reads();
        else if (how === 'its caller has gone') bench.queue.withdraw(unread);
        else void bench.queue.drained(runner, 0);
        await bench.settle();
        assert.deepEqual([next.answered, runner.stats.pending], [[7], 0]);
      });
  });
});
