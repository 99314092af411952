import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import type { RpcError } from '../../../../../services/model-server/rpc.js';
import type { Answer, Job, Runner } from '../../../../../services/model-server/runs/job.js';
import { Sequences } from '../../../../../services/model-server/runs/sequences.js';
import { Gate, jobOf, QueueBench, runnerOf } from '../../../../kit/service/queue-jobs.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';

describe('the sequences of a model', () => {
  function sequences(limits = { idleMs: 10_000, max: 3 }) {
    const clock = new ManualClock();
    const all = new Sequences('m', limits, () => clock.now());
    /** A request that arrives, and runs. */
    const enter = (id: string, flags: { start?: boolean; end?: boolean } = {}) => {
      const sequence = all.enter({ id, start: flags.start === true, end: flags.end === true });
      sequence.hasRun = true;
      return sequence;
    };
    /** One request from its arrival to its answer. */
    const call = (id: string, flags = {}) => {
      const sequence = enter(id, flags);
      all.leave(sequence);
      return sequence;
    };
    return { clock, all, enter, call };
  }

  const START = { start: true };
  const END = { end: true };
  const refused = (code: status, message: RegExp) => (error: RpcError) => {
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };

  it('keep their state from the first request to the last', () => {
    const { all, call } = sequences();
    call('a', START).state = 'kept';
    assert.equal(call('a').state, 'kept');
    assert.equal(call('a', END).state, undefined, 'dropped after the last request');
    assert.equal(all.size, 0);
    assert.throws(
      () => call('a'),
      refused(
        status.FAILED_PRECONDITION,
        /'a' is not known: its last request was answered; expected sequence_start/,
      ),
    );
    assert.deepEqual({ ...all.counts }, { started: 1, ended: 1, idle: 0, evicted: 0, lost: 1 });
  });

  it('are found by their caller and its id: no other caller reads, continues or ends them', () => {
    const { all } = sequences({ idleMs: 10_000, max: 10 });
    const call = (caller: string | undefined, id: string, flags = {}) => {
      const sequence = all.enter({ id, start: false, end: false, ...flags }, caller);
      sequence.hasRun = true;
      all.leave(sequence);
      return sequence;
    };
    call('shop', '7', START).state = "the shop's";
    assert.throws(() => call('desk', '7'), refused(status.FAILED_PRECONDITION, /never started here/));
    assert.throws(() => call(undefined, '7'), refused(status.FAILED_PRECONDITION, /never started here/));
    call('desk', '7', START).state = "the desk's";
    assert.equal(call('desk', '7', END).id, '7');
    assert.equal(call('shop', '7').state, "the shop's");
    assert.throws(
      () => call('desk', '7'),
      refused(status.FAILED_PRECONDITION, /its last request was answered/),
    );
    call(undefined, 'op\n7', START).state = 'of an id that looks like a key';
    assert.throws(() => call('op', '7'), refused(status.FAILED_PRECONDITION, /never started here/));
  });

  it('say when one is not known, with a trailer that tells it apart', () => {
    const { enter } = sequences();
    assert.throws(
      () => enter('x'),
      (error: RpcError) =>
        error.trailers['outrider-sequence'] === 'lost' && /never started here/.test(error.message),
    );
  });

  it('are not there when their first request never ran: the next would be answered out of no context', () => {
    const { all, enter } = sequences();
    const first = all.enter({ id: 'a', start: true, end: false });
    const second = all.enter({ id: 'a', start: false, end: false });
    all.leave(first, { start: true });
    assert.deepEqual(
      [all.size, second.lostWhy],
      [0, 'its first request never ran'],
      'the one that waits has nothing to build on',
    );
    all.leave(second);
    assert.throws(
      () => enter('a'),
      refused(status.FAILED_PRECONDITION, /'a' is not known: its first request never ran; expected/),
    );
  });

  it('begin anew with another sequence_start when none of their requests waits or runs', () => {
    const { all, enter, call } = sequences();
    call('a', START).state = 'old';
    const again = enter('a', START);
    assert.equal(again.state, undefined);
    assert.throws(
      () => enter('a', START),
      refused(status.INVALID_ARGUMENT, /started again while a request of it/),
    );
    all.leave(again);
    assert.equal(all.size, 1);
  });

  it('take no request behind their last, and let another of the same id begin beside it', () => {
    const { all, enter } = sequences();
    const old = enter('a', { start: true, end: true });
    assert.throws(() => enter('a'), refused(status.FAILED_PRECONDITION, /its last request waits or runs/));
    const next = enter('a', START);
    assert.notEqual(next, old);
    next.state = 'new';
    all.leave(old);
    all.leave(next);
    assert.equal(enter('a').state, 'new');
    assert.deepEqual([all.counts.started, all.counts.ended], [2, 1]);
  });

  it('end when they are idle for too long, but not while a request of them waits or runs', () => {
    const { clock, all, enter, call } = sequences({ idleMs: 100, max: 10 });
    call('idle', START);
    const busy = enter('busy', START);
    clock.advance(99);
    call('late', START);
    clock.advance(2);
    assert.throws(() => call('idle'), refused(status.FAILED_PRECONDITION, /it was idle for 100 ms/));
    call('late');
    all.leave(busy);
    call('busy');
    assert.equal(all.counts.idle, 1);
  });

  it('are bounded in number: the longest idle gives way, if it has been so for a second', () => {
    const { clock, all, enter, call } = sequences({ idleMs: 1e9, max: 2 });
    const busy = enter('a', START);
    call('b', START);
    assert.throws(() => call('c', START), refused(status.RESOURCE_EXHAUSTED, /all 2 sequences are in use/));
    clock.advance(1000);
    call('c', START);
    assert.throws(
      () => call('b'),
      refused(status.FAILED_PRECONDITION, /it gave way to another when all 2 were taken/),
    );
    all.leave(busy);
    call('a');
    assert.deepEqual([all.size, all.counts.evicted], [2, 1]);
  });

  describe('when all are taken', () => {
    const FULL = /all 4 sequences are in use/;
    function shared(max = 4) {
      const { clock, all } = sequences({ idleMs: 1e9, max });
      /** A request that starts a sequence of this caller, and waits. */
      const enter = (caller: string, id: string) => all.enter({ id, start: true, end: false }, caller);
      const start = (caller: string, ...ids: string[]): void => {
        for (const id of ids) {
          const sequence = enter(caller, id);
          sequence.hasRun = true;
          all.leave(sequence, START);
        }
      };
      const has = (caller: string, id: string): boolean => {
        try {
          all.leave(all.enter({ id, start: false, end: false }, caller));
          return true;
        } catch {
          return false;
        }
      };
      return { clock, all, enter, start, has };
    }

    it('one caller may have them all, and keeps no other from its share', () => {
      const { all, start, has } = shared();
      start('greedy', 'a', 'b', 'c', 'd');
      start('other', '1', '2');
      assert.deepEqual(
        ['a', 'b', 'c', 'd'].map((id) => has('greedy', id)),
        [false, false, true, true],
      );
      for (const caller of ['other', 'greedy'])
        assert.throws(() => start(caller, 'more'), refused(status.RESOURCE_EXHAUSTED, FULL));
      assert.deepEqual([all.size, all.counts.evicted], [4, 2]);
    });

    it('a caller does not keep them by a request that waits for each: those are refused, and say why', () => {
      const { all, enter, start, has } = shared();
      const waiting = ['a', 'b', 'c', 'd'].map((id) => enter('greedy', id));
      waiting[0]!.busy = true;
      start('other', '1');
      assert.deepEqual(
        waiting.map(({ lostWhy }) => lostWhy === ''),
        [true, false, true, true],
      );
      for (const sequence of waiting) sequence.hasRun = true;
      for (const sequence of waiting) all.leave(sequence, START);
      assert.equal(all.size, 4);
      assert.equal(has('greedy', 'b'), false);
      start('other', '2');
      assert.equal(all.size, 4);
    });

    it('one that runs is never taken', () => {
      const { enter, start } = shared();
      for (const id of ['a', 'b', 'c', 'd']) enter('greedy', id).busy = true;
      assert.throws(() => start('other', '1'), refused(status.RESOURCE_EXHAUSTED, FULL));
    });

    it('a caller with its share gets its own longest idle one, and none of a caller that has no more', () => {
      const { clock, start, has } = shared();
      start('quiet', 'x', 'y');
      clock.advance(5_000);
      start('lively', '1', '2');
      clock.advance(1_000);
      start('lively', '3');
      assert.deepEqual([has('quiet', 'x'), has('quiet', 'y'), has('lively', '1')], [true, true, false]);
    });

    it('by more callers than there are, the longest idle gives way, if it has been so for a second', () => {
      const { clock, start, has } = shared();
      for (const caller of ['a', 'b', 'c', 'd']) start(caller, '1');
      assert.throws(() => start('e', '1'), refused(status.RESOURCE_EXHAUSTED, FULL));
      clock.advance(1_000);
      start('e', '1');
      assert.deepEqual([has('a', '1'), has('b', '1')], [false, true]);
    });

    it('a caller that ends its sequences leaves no trace of its share', () => {
      const { all, start } = shared();
      start('gone', 'a');
      all.leave(all.enter({ id: 'a', start: false, end: true }, 'gone'));
      start('left', '1', '2', '3', '4');
      assert.throws(() => start('left', '5'), refused(status.RESOURCE_EXHAUSTED, FULL));
      start('new', '1', '2');
      assert.throws(() => start('new', '3'), refused(status.RESOURCE_EXHAUSTED, FULL));
    });
  });

  it('that were never ended, ten thousand of them, leave no more behind than their bounds', () => {
    const { clock, all, call } = sequences({ idleMs: 1e9, max: 100 });
    for (let i = 0; i < 10_000; i++) {
      clock.advance(1001);
      call(String(i), START);
    }
    assert.deepEqual([all.size, all.counts.evicted], [100, 9900]);
    assert.throws(() => call('5'), /never started here/, 'the oldest reasons are forgotten');
    assert.throws(() => call('9899'), /gave way/);
  });
});

describe('requests of one sequence in the inference queue', () => {
  const QUEUE_TIMEOUT_MS = 5;

  /** A model that is at work for another caller, and the first two requests of a sequence behind that run. */
  function behindRun(more: Partial<Runner> = {}) {
    const bench = new QueueBench();
    const gate = new Gate();
    let runs = 0;
    const runner = runnerOf({
      execute: async (jobs) => {
        if (runs++ === 0) await gate.wait();
        return jobs.map(({ inputs }): Answer => ({ outputs: [inputs[0]!] }));
      },
      ...more,
    });
    const all = new Sequences('m', { idleMs: 1e9, max: 10 }, () => bench.clock.now());
    const request = (value: number, start: boolean, timeout: Partial<Job> = {}) => {
      const sequence = all.enter({ id: 'q', start, end: false });
      const job = jobOf(runner, value, { sequence, ...timeout });
      const { done } = job;
      Object.assign(job, {
        done: (...args: Parameters<Job['done']>) => {
          done(...args);
          all.leave(sequence, { start });
        },
      });
      return job;
    };
    bench.submit(jobOf(runner, 1));
    return { bench, gate, runner, request };
  }

  it('are refused when the first of them waited for too long: they would be answered out of no context', async () => {
    const { bench, gate, runner, request } = behindRun();
    const first = request(2, true, { queueTimeoutMs: QUEUE_TIMEOUT_MS });
    const second = request(3, false);
    bench.submit(first, second);
    await bench.settle();
    bench.clock.advance(QUEUE_TIMEOUT_MS);
    gate.release();
    await bench.settle();
    assert.deepEqual([first.errors[0]!.code, second.answered], [status.DEADLINE_EXCEEDED, []]);
    assert.equal(second.errors[0]!.code, status.FAILED_PRECONDITION);
    assert.match(second.errors[0]!.message, /'q' is not known: its first request never ran/);
    assert.deepEqual([bench.queue.counters.expired, runner.stats.pending], [1, 0]);
  });

  it('are refused too where that is found as they are about to run', async () => {
    const { bench, gate, request } = behindRun();
    const first = request(2, true, { deadlineMs: bench.clock.wallNow() + 5 });
    const second = request(3, false);
    bench.submit(first, second);
    await bench.settle();
    bench.clock.advance(5);
    gate.release();
    await bench.settle();
    assert.deepEqual([first.errors[0]!.code, second.answered], [status.DEADLINE_EXCEEDED, []]);
    assert.equal(second.errors[0]!.code, status.FAILED_PRECONDITION);
  });

  it('never run beside each other, though one that waits is withdrawn', async () => {
    const bench = new QueueBench();
    const gate = new Gate();
    const begun: number[] = [];
    const runner = runnerOf({
      concurrency: 2,
      execute: async (jobs) => {
        begun.push(Number(jobs[0]!.inputs[0]!.data[0]));
        if (begun.length === 1) await gate.wait();
        return jobs.map(({ inputs }): Answer => ({ outputs: [inputs[0]!] }));
      },
    });
    const all = new Sequences('m', { idleMs: 1e9, max: 10 }, () => bench.clock.now());
    const jobs = [1, 2, 3].map((value) =>
      jobOf(runner, value, { sequence: all.enter({ id: 'q', start: value === 1, end: false }) }),
    );
    bench.submit(...jobs);
    await bench.settle();
    bench.queue.withdraw(jobs[1]!);
    await bench.settle();
    assert.deepEqual(begun, [1]);
    gate.release();
    await bench.settle();
    assert.deepEqual([begun, jobs[2]!.answered], [[1, 3], [3]]);
  });
});
