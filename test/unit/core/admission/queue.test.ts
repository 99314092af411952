import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  Admission,
  InboundQueue,
  QueueEntry,
  type QueueSettings,
  QueueState,
} from '../../../../sidecar/core/admission/queue.js';

const NEVER = Number.POSITIVE_INFINITY;

class Work extends QueueEntry {
  constructor(readonly name: string) {
    super();
  }
}

function setUp(settings: Partial<QueueSettings> = {}) {
  const queue = new InboundQueue<Work>({ concurrency: 1, maxWaiting: 3, maxWaitingBytes: 100, ...settings });
  const work = (name: string): Work => new Work(name);
  /** Entries of these names, offered at 0 ms with one byte each and no deadline. */
  const offered = (...names: string[]): Work[] =>
    names.map((name) => {
      const entry = work(name);
      queue.offer(entry, 1, NEVER, 0);
      return entry;
    });
  return { queue, work, offered };
}

describe('InboundQueue, at an arrival,', () => {
  it('predicts its answer, and admits nothing', () => {
    const { queue, work } = setUp({ maxWaiting: 2, fair: true });
    const { admitted, waiting, tooMany, tooLarge, tooLate } = Admission;
    const predict = (queueCaller = '', queueClass = 0, deadlineMs = NEVER): Admission =>
      queue.predict(Object.assign(work('x'), { queueCaller, queueClass }), deadlineMs, 0);
    assert.deepEqual([predict(), predict('', 0, 0)], [admitted, tooLate]);
    const running = work('running');
    queue.offer(running, 0, NEVER, 0);
    assert.equal(predict(), waiting);
    queue.offer(work('a'), 100, NEVER, 0);
    assert.equal(predict(), tooLarge);
    queue.offer(work('b'), 0, NEVER, 0);
    assert.deepEqual([predict(), predict('', 1)], [tooMany, tooMany]);
    assert.equal(predict('another'), waiting, 'somebody would give way');
    queue.release(running, 50);
    queue.next(50);
    assert.deepEqual([predict('', 0, 150), predict('', 0, 200)], [tooLate, waiting]);
    assert.deepEqual([queue.running, queue.waiting, queue.evictedTotal], [1, 1, 0]);
  });

  it('admits calls up to its concurrency, then queues, then refuses', () => {
    const { queue, work } = setUp({ concurrency: 2 });
    const answers = Array.from({ length: 6 }, (_, i) => queue.offer(work(`${i}`), 1, NEVER, 0));
    const { admitted, waiting, tooMany } = Admission;
    assert.deepEqual(answers, [admitted, admitted, waiting, waiting, waiting, tooMany]);
    assert.deepEqual([queue.running, queue.waiting, queue.waitingBytes], [2, 3, 3]);
  });

  it('bounds the bytes that wait, to the byte', () => {
    const { queue, work } = setUp();
    queue.offer(work('running'), 1_000_000, NEVER, 0);
    assert.equal(queue.offer(work('a'), 60, NEVER, 0), Admission.waiting);
    assert.equal(queue.offer(work('b'), 41, NEVER, 0), Admission.tooLarge);
    assert.equal(queue.offer(work('c'), 40, NEVER, 0), Admission.waiting);
    assert.equal(queue.waitingBytes, 100);
  });

  it('refuses everything that cannot start at once when nothing may wait', () => {
    const { queue, work } = setUp({ maxWaiting: 0 });
    assert.equal(queue.offer(work('a'), 0, NEVER, 0), Admission.admitted);
    assert.equal(queue.offer(work('b'), 0, NEVER, 0), Admission.tooMany);
  });

  for (const [deadlineMs, answer] of [
    [999, Admission.tooLate],
    [1_000, Admission.tooLate],
    [1_000.1, Admission.admitted],
  ] as const) {
    it(`answers ${answer} at 1000 ms to a deadline at ${deadlineMs} ms`, () => {
      const { queue, work } = setUp();
      assert.equal(queue.offer(work('a'), 0, deadlineMs, 1_000), answer);
    });
  }

  it('refuses a call whose run would not end by its deadline, with a margin on the wait', () => {
    const { queue, work } = setUp({ concurrency: 2, maxWaiting: 100 });
    const first = work('first');
    queue.offer(first, 0, NEVER, 0);
    queue.release(first, 50);
    assert.equal(queue.serviceMs, 50);
    for (const name of ['a', 'b', 'c']) queue.offer(work(name), 0, NEVER, 50);
    assert.equal(queue.expectedWaitMs(), 50);
    // 50 ms of wait, perhaps a fifth more, and 50 ms of its run.
    assert.equal(queue.offer(work('late'), 0, 50 + 109, 50), Admission.tooLate);
    assert.equal(queue.offer(work('just'), 0, 50 + 110, 50), Admission.waiting);
    assert.equal(queue.expectedWaitMs(), 75);
  });

  it('admits a call that can start at once, however short its deadline, to learn of shorter runs', () => {
    const { queue, work } = setUp();
    const slow = work('slow');
    queue.offer(slow, 0, NEVER, 0);
    queue.release(slow, 5_000);
    assert.equal(queue.offer(work('hasty'), 0, 5_010, 5_000), Admission.admitted);
  });

  it('reports when half of its limit waits, in calls or in bytes', () => {
    const { queue, work } = setUp({ maxWaiting: 4 });
    queue.offer(work('running'), 0, NEVER, 0);
    queue.offer(work('a'), 1, NEVER, 0);
    assert.equal(queue.isHalfFull, false);
    const b = work('b');
    queue.offer(b, 1, NEVER, 0);
    assert.equal(queue.isHalfFull, true);
    queue.remove(b);
    queue.offer(work('c'), 49, NEVER, 0);
    assert.equal(queue.isHalfFull, true);
  });

  it('predicts no wait while no service time is known', () => {
    const { queue, work } = setUp();
    queue.offer(work('a'), 0, NEVER, 0);
    assert.equal(queue.offer(work('b'), 0, 0.001, 0), Admission.waiting);
  });
});

describe('Suspended entries of InboundQueue', () => {
  it('free a place, do not count as a service time, and resume when there is a place', () => {
    const { queue, work } = setUp();
    const [stream, other, third] = [work('stream'), work('other'), work('third')];
    queue.offer(stream, 0, NEVER, 0);
    queue.offer(other, 0, NEVER, 0);
    queue.offer(third, 0, NEVER, 0);
    queue.suspend(stream, 1_000);
    assert.deepEqual([queue.running, queue.serviceMs, queue.next(1_000)], [0, 0, other]);
    assert.equal(queue.resume(stream, 1_500), false);
    assert.deepEqual([queue.running, queue.nextResumed(1_500), queue.next(1_500)], [1, null, null]);
    queue.release(other, 1_600);
    assert.equal(queue.nextResumed(1_600), stream);
    assert.deepEqual([stream.queueStartedMs, queue.next(1_600)], [1_600, null]);
    queue.suspend(stream, 2_500);
    assert.equal(queue.next(2_500), third);
    assert.deepEqual([queue.running, queue.admittedTotal], [1, 3]);
  });

  it('resume alternately with queued entries, in the order of their resume', () => {
    const { queue, work } = setUp({ concurrency: 2 });
    const streams = ['a', 'b', 'c'].map((name) => {
      const stream = work(name);
      queue.offer(stream, 0, NEVER, 0);
      queue.suspend(stream, 0);
      return stream;
    });
    const running = ['x', 'y'].map((name) => work(name));
    const waiting = ['1', '2'].map((name) => work(name));
    for (const each of [...running, ...waiting]) queue.offer(each, 0, NEVER, 0);
    for (const stream of streams) assert.equal(queue.resume(stream, 0), false);
    const order: unknown[] = [];
    let busy = running[0]!;
    for (let i = 0; i < 5; i++) {
      queue.releaseWithoutSample(busy, 0);
      busy = (queue.nextResumed(0) ?? queue.next(0))!;
      order.push(busy);
      assert.equal(queue.running, 2);
    }
    assert.deepEqual(order, [streams[0], waiting[0], streams[1], waiting[1], streams[2]]);
  });

  it('never make more run than may, whatever is suspended and resumed', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), fc.nat(30)), { maxLength: 300 }), (steps) => {
        const { queue, work } = setUp({ concurrency: 3, maxWaiting: 5 });
        const all: ReturnType<typeof work>[] = [];
        const pump = (): void => {
          while (queue.nextResumed(0) !== null || queue.next(0) !== null);
        };
        for (const [what, which] of steps) {
          const one = all[which % Math.max(1, all.length)];
          if (what === 0 || one === undefined) {
            const fresh = work('w');
            all.push(fresh);
            queue.offer(fresh, 0, NEVER, 0);
          } else if (what === 1) queue.suspend(one, 0);
          else if (what <= 3) queue.resume(one, 0);
          else if (what === 4) queue.releaseWithoutSample(one, 0);
          else queue.remove(one);
          pump();
          assert.ok(queue.running <= 3);
          assert.equal(
            all.filter(({ queueState }) => queueState === QueueState.running).length,
            queue.running,
          );
        }
      }),
    );
  });

  it('were running before, and only they resume', () => {
    const { queue, work } = setUp();
    const [running, waiting, idle] = [work('running'), work('waiting'), work('idle')];
    queue.offer(running, 0, NEVER, 0);
    queue.offer(waiting, 0, NEVER, 0);
    for (const each of [waiting, idle]) queue.suspend(each, 0);
    for (const each of [running, waiting, idle]) queue.resume(each, 0);
    assert.deepEqual([queue.running, queue.waiting], [1, 1]);
    queue.suspend(running, 0);
    queue.suspend(running, 0);
    assert.equal(queue.remove(running), false);
    queue.releaseWithoutSample(running, 0);
    queue.release(running, 10);
    assert.deepEqual([queue.running, queue.serviceMs], [0, 0]);
  });
});

describe('InboundQueue, when a place is free,', () => {
  it('starts entries in order of arrival', () => {
    const { queue, offered } = setUp();
    const [a, b, c] = offered('a', 'b', 'c') as [Work, Work, Work];
    assert.equal(queue.next(0), null);
    queue.release(a, 10);
    assert.equal(queue.next(10), b);
    assert.equal(b.queueState, QueueState.running);
    assert.equal(queue.next(10), null);
    queue.release(b, 20);
    assert.equal(queue.next(20), c);
    assert.deepEqual([queue.running, queue.waiting, queue.waitingBytes], [1, 0, 0]);
  });

  it('removes expired entries and reports them, even while all places are taken', () => {
    const { queue, work } = setUp();
    const [a, b, c] = [work('a'), work('b'), work('c')];
    queue.offer(a, 1, NEVER, 0);
    queue.offer(b, 1, 100, 0);
    queue.offer(c, 1, 101, 0);
    assert.equal(queue.next(99), null);
    assert.equal(queue.next(100), b);
    assert.equal(b.queueState, QueueState.expired);
    assert.equal(queue.next(100), null);
    queue.release(a, 100);
    assert.equal(queue.next(100), c);
    assert.equal(c.queueState, QueueState.running);
    assert.equal(queue.expiredTotal, 1);
  });

  it('does not start a run that would end too late while others wait, and starts it where none do', () => {
    const { queue, work } = setUp();
    const [first, a, b, c] = [work('first'), work('a'), work('b'), work('c')];
    queue.offer(first, 1, NEVER, 0);
    queue.release(first, 50);
    queue.offer(first, 1, NEVER, 50);
    queue.offer(a, 1, 200, 50);
    queue.offer(b, 1, 260, 50);
    queue.offer(c, 1, 280, 50);
    // It took 150 ms and not 50.
    queue.release(first, 200 - 50);
    assert.equal(queue.serviceMs, 75);
    assert.equal(queue.next(150), a, 'it has 50 ms left');
    assert.equal(a.queueState, QueueState.late);
    assert.equal(queue.next(150), b);
    assert.deepEqual([b.queueState, queue.running, queue.waitingBytes, queue.lateTotal], [2, 1, 1, 1]);
    queue.release(b, 250);
    assert.equal(queue.next(250), c, 'as hopeless, but nobody is kept waiting by it');
    assert.equal(c.queueState, QueueState.running);
  });

  it('removes the entry of a caller that left, wherever it is', () => {
    const { queue, offered } = setUp();
    const [a, b, c, d] = offered('a', 'b', 'c', 'd') as [Work, Work, Work, Work];
    assert.equal(queue.remove(c), true);
    assert.equal(queue.remove(c), false);
    assert.equal(queue.remove(a), false);
    assert.equal(queue.remove(d), true);
    assert.equal(queue.remove(b), true);
    assert.deepEqual([queue.running, queue.waiting, queue.waitingBytes], [1, 0, 0]);
    queue.release(a, 1);
    assert.equal(queue.next(1), null);
  });

  it('frees a place once, however often the entry is released', () => {
    const { queue, offered } = setUp();
    const [a] = offered('a') as [Work];
    queue.release(a, 10);
    queue.release(a, 10);
    queue.releaseWithoutSample(a, 0);
    assert.equal(queue.running, 0);
  });

  it('learns service times from runs that finished, not from cancelled ones', () => {
    const { queue, offered } = setUp();
    const [a] = offered('a') as [Work];
    queue.releaseWithoutSample(a, 0);
    assert.equal(queue.serviceMs, 0);
    queue.offer(a, 1, NEVER, 0);
    queue.release(a, 100);
    queue.offer(a, 1, NEVER, 100);
    queue.release(a, 400);
    assert.equal(queue.serviceMs, 200, 'the first ones count alike');
    for (let i = 0; i < 8; i++) {
      queue.offer(a, 1, NEVER, 400);
      queue.release(a, 600);
    }
    queue.offer(a, 1, NEVER, 600);
    queue.release(a, 600 + 300);
    assert.ok(Math.abs(queue.serviceMs - 210) < 1e-9, 'a tenth each after that');
  });

  it('starts more when its concurrency is raised, and none until enough have ended when it is lowered', () => {
    const { queue, offered } = setUp();
    const entries = offered('a', 'b', 'c');
    queue.configure({ concurrency: 2, maxWaiting: 0, maxWaitingBytes: 0 });
    assert.equal(queue.next(0), entries[1]);
    queue.configure({ concurrency: 1, maxWaiting: 0, maxWaitingBytes: 0 });
    queue.release(entries[0]!, 1);
    assert.equal(queue.next(1), null);
    queue.release(entries[1]!, 1);
    assert.equal(queue.next(1), entries[2]);
  });

  it('queues every call while its concurrency is 0, however long runs took before, and goes on afterwards', () => {
    const { queue, work } = setUp();
    const [a, b] = [work('a'), work('b')];
    queue.offer(a, 1, NEVER, 0);
    queue.release(a, 5_000);
    queue.configure({ concurrency: 0, maxWaiting: 3, maxWaitingBytes: 100 });
    assert.equal(queue.offer(b, 1, 5_010, 5_000), Admission.waiting);
    assert.equal(queue.next(5_000), null);
    queue.configure({ concurrency: 1, maxWaiting: 3, maxWaitingBytes: 100 });
    assert.equal(queue.next(5_000), b);
  });

  it('hands out all waiting entries, to be refused', () => {
    const { queue, offered } = setUp();
    const entries = offered('a', 'b', 'c');
    assert.equal(queue.takeWaiting(), entries[1]);
    assert.equal(queue.takeWaiting(), entries[2]);
    assert.equal(queue.takeWaiting(), null);
    assert.equal(entries[2]!.queueState, QueueState.idle);
  });
});

describe('InboundQueue under any sequence of events', () => {
  it('agrees with a plain list, and never passes a limit', () => {
    const step = fc.record({
      kind: fc.constantFrom(
        'offer',
        'offer',
        'offer',
        'release',
        'releaseWithoutSample',
        'remove',
        'wait',
        'next',
      ),
      bytes: fc.nat(40),
      leftMs: fc.oneof(fc.constant(NEVER), fc.nat(200)),
      pick: fc.nat(),
      waitMs: fc.nat(60),
    });
    const settings = fc.record({
      concurrency: fc.integer({ min: 1, max: 4 }),
      maxWaiting: fc.nat(6),
      maxWaitingBytes: fc.nat(120),
    });
    fc.assert(
      fc.property(settings, fc.array(step, { maxLength: 100 }), (limits, steps) => {
        const queue = new InboundQueue<Work>(limits);
        let nowMs = 0;
        const line: Work[] = [];
        const running: Work[] = [];
        const admit = (): void => {
          for (;;) {
            const head = line[0];
            const isTooLate = line.length > 1 && head!.queueDeadlineMs - nowMs < queue.serviceMs;
            const entry = queue.next(nowMs);
            if (entry === null) {
              assert.ok(
                head === undefined || (running.length >= limits.concurrency && head.queueDeadlineMs > nowMs),
              );
              return;
            }
            assert.equal(entry, line.shift());
            const isExpired = entry.queueDeadlineMs <= nowMs;
            const expected = isExpired
              ? QueueState.expired
              : isTooLate
                ? QueueState.late
                : QueueState.running;
            assert.equal(entry.queueState, expected);
            if (expected === QueueState.running) running.push(entry);
          }
        };
        steps.forEach(({ kind, bytes, leftMs, pick, waitMs }, i) => {
          if (kind === 'wait') nowMs += waitMs;
          else if (kind === 'next') admit();
          else if (kind === 'offer') {
            const entry = new Work(`${i}`);
            const answer = queue.offer(entry, bytes, nowMs + leftMs, nowMs);
            if (answer === Admission.admitted) running.push(entry);
            else if (answer === Admission.waiting) line.push(entry);
            else assert.equal(entry.queueState, QueueState.idle);
          } else if (kind === 'remove') {
            const entry = line[pick % Math.max(1, line.length)];
            if (entry !== undefined) {
              assert.equal(queue.remove(entry), true);
              line.splice(line.indexOf(entry), 1);
            }
          } else {
            const entry = running[pick % Math.max(1, running.length)];
            if (entry !== undefined) {
              queue[kind](entry, nowMs);
              running.splice(running.indexOf(entry), 1);
              admit();
            }
          }
          const bytesWaiting = line.reduce((sum, { queueBytes }) => sum + queueBytes, 0);
          assert.deepEqual(
            [queue.running, queue.waiting, queue.waitingBytes],
            [running.length, line.length, bytesWaiting],
          );
          assert.ok(running.length <= limits.concurrency);
          assert.ok(line.length <= limits.maxWaiting && bytesWaiting <= limits.maxWaitingBytes);
        });
      }),
      { numRuns: 300 },
    );
  });
});

describe('InboundQueue with classes and fairness', () => {
  const names = (queue: InboundQueue<Work>): string[] => {
    const order: string[] = [];
    for (let entry = queue.next(0); entry !== null; entry = queue.next(0)) {
      order.push(entry.name);
      queue.releaseWithoutSample(entry, 0);
    }
    return order;
  };

  it('starts the more important class first, and each class in order of arrival', () => {
    const { queue, work } = setUp({ maxWaiting: 10 });
    const running = work('running');
    queue.offer(running, 0, NEVER, 0);
    for (const [name, queueClass] of [
      ['a2', 2],
      ['b0', 0],
      ['c1', 1],
      ['d0', 0],
      ['e2', 2],
    ] as const)
      queue.offer(Object.assign(work(name), { queueClass }), 0, NEVER, 0);
    queue.releaseWithoutSample(running, 0);
    assert.deepEqual(names(queue), ['b0', 'd0', 'c1', 'a2', 'e2']);
  });

  it('serves callers round robin where it is fair, however many calls each has waiting', () => {
    const { queue, work } = setUp({ maxWaiting: 10, fair: true });
    const running = work('running');
    queue.offer(running, 0, NEVER, 0);
    for (const name of ['a1', 'a2', 'a3', 'b1', 'a4', 'c1', 'b2'])
      queue.offer(Object.assign(work(name), { queueCaller: name[0] }), 0, NEVER, 0);
    queue.releaseWithoutSample(running, 0);
    assert.deepEqual(names(queue), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']);
  });

  for (const [queueClass, room] of [
    [0, 12],
    [1, 9],
    [2, 8],
    [15, 7],
  ] as const) {
    it(`lets class ${queueClass} join a queue of ${room - 1} of 12 and no longer one`, () => {
      const { queue, work } = setUp({ maxWaiting: 12 });
      queue.offer(work('running'), 0, NEVER, 0);
      const offer = (): Admission => queue.offer(Object.assign(work('a'), { queueClass }), 0, NEVER, 0);
      for (let i = 0; i < room; i++) assert.equal(offer(), Admission.waiting);
      assert.equal(offer(), Admission.tooMany);
    });
  }

  it('evicts the newest entry of the least important class from a full queue', () => {
    const { queue, work } = setUp({ maxWaiting: 3 });
    queue.offer(work('running'), 0, NEVER, 0);
    for (const [name, queueClass] of [
      ['b2', 2],
      ['c2', 2],
      ['a1', 1],
    ] as const)
      queue.offer(Object.assign(work(name), { queueClass }), 10, NEVER, 0);
    const gone: string[] = [];
    const offer = (name: string, queueClass: number): Admission =>
      queue.offer(Object.assign(work(name), { queueClass }), 10, NEVER, 0, ({ name: victim }) =>
        gone.push(victim),
      );
    assert.equal(offer('d2', 2), Admission.tooMany);
    assert.equal(offer('e0', 0), Admission.waiting);
    assert.equal(offer('f1', 1), Admission.waiting);
    assert.equal(offer('g1', 1), Admission.tooMany);
    assert.deepEqual(gone, ['c2', 'b2']);
    assert.deepEqual([queue.waiting, queue.waitingBytes, queue.evictedTotal], [3, 30, 2]);
  });

  it('evicts an entry of the caller with most waiting for one with fewer, never for one that would have as many', () => {
    const { queue, work } = setUp({ maxWaiting: 4, fair: true });
    queue.offer(work('running'), 0, NEVER, 0);
    const gone: string[] = [];
    const offer = (name: string): Admission =>
      queue.offer(Object.assign(work(name), { queueCaller: name[0] }), 0, NEVER, 0, ({ name: victim }) =>
        gone.push(victim),
      );
    for (const name of ['a1', 'a2', 'a3', 'a4']) offer(name);
    assert.equal(offer('a5'), Admission.tooMany);
    assert.equal(offer('b1'), Admission.waiting);
    assert.equal(offer('b2'), Admission.waiting);
    assert.equal(offer('b3'), Admission.tooMany);
    assert.deepEqual(gone, ['a4', 'a3']);
  });

  it('evicts no entry when that would not make enough room', () => {
    const { queue, work } = setUp({ maxWaiting: 10, maxWaitingBytes: 100 });
    queue.offer(work('running'), 0, NEVER, 0);
    queue.offer(Object.assign(work('low'), { queueClass: 1 }), 40, NEVER, 0);
    queue.offer(work('high'), 60, NEVER, 0);
    const verdict = queue.offer(work('large'), 50, NEVER, 0, () => assert.fail('evicted in vain'));
    assert.equal(verdict, Admission.tooLarge);
  });

  it('predicts a shorter wait for a caller with few calls where it is fair', () => {
    const { queue, work } = setUp({ concurrency: 1, maxWaiting: 100, fair: true });
    const first = work('first');
    queue.offer(first, 0, NEVER, 0);
    queue.release(first, 10);
    for (let i = 0; i < 50; i++) queue.offer(Object.assign(work(`${i}`), { queueCaller: 'a' }), 0, NEVER, 10);
    assert.equal(queue.expectedWaitMs(0, 'b'), 20);
    assert.equal(queue.expectedWaitMs(0, 'a'), 500);
  });

  it('forgets a slow period while nothing runs', () => {
    const { queue, work } = setUp();
    const slow = work('slow');
    queue.offer(slow, 0, NEVER, 0);
    queue.release(slow, 8_000);
    queue.offer(work('next'), 0, NEVER, 38_000);
    assert.equal(queue.serviceMs, 1_000);
  });

  it('agrees with a plain sort under any sequence, and keeps its counts', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ queueClass: fc.nat(2), caller: fc.constantFrom('a', 'b', 'c'), leaves: fc.boolean() }),
          { maxLength: 60 },
        ),
        fc.boolean(),
        (arrivals, fair) => {
          const { queue, work } = setUp({ maxWaiting: 100, maxWaitingBytes: 1e6, fair });
          const running = work('running');
          queue.offer(running, 0, NEVER, 0);
          const waiting = arrivals.map(({ queueClass, caller, leaves }, i) => {
            const entry = Object.assign(work(`${i}`), { queueClass, queueCaller: caller });
            queue.offer(entry, 1, NEVER, 0);
            return { entry, leaves };
          });
          for (const { entry, leaves } of waiting) if (leaves) assert.equal(queue.remove(entry), true);
          const left = waiting.filter(({ leaves }) => !leaves).map(({ entry }) => entry);
          assert.deepEqual([queue.waiting, queue.waitingBytes], [left.length, left.length]);
          queue.releaseWithoutSample(running, 0);
          const order: Work[] = [];
          for (let entry = queue.next(0); entry !== null; entry = queue.next(0)) {
            order.push(entry);
            queue.releaseWithoutSample(entry, 0);
          }
          assert.deepEqual(new Set(order), new Set(left));
          const classes = order.map(({ queueClass }) => queueClass);
          assert.deepEqual(classes, [...classes].sort());
          for (const queueClass of [0, 1, 2]) {
            const mine = order.filter((entry) => entry.queueClass === queueClass);
            const expected = left.filter((entry) => entry.queueClass === queueClass);
            if (!fair) assert.deepEqual(mine, expected);
            for (const caller of ['a', 'b', 'c'])
              assert.deepEqual(
                mine.filter(({ queueCaller }) => queueCaller === caller),
                expected.filter(({ queueCaller }) => queueCaller === caller),
              );
          }
        },
      ),
    );
  });
});
