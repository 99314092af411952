import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { QueueSettings } from '../../../../sidecar/core/admission/queue.js';
import { Admission, InboundQueue, QueueEntry, QueueState } from '../../../../sidecar/core/admission/queue.js';

const NEVER = Number.POSITIVE_INFINITY;
const { admitted, waiting, tooMany, tooLarge, tooLate } = Admission;

class Work extends QueueEntry {
  constructor(readonly name: string) {
    super();
  }
}

interface Offer extends Partial<Pick<QueueEntry, 'queueClass' | 'queueCaller'>> {
  readonly bytes?: number;
  readonly deadlineMs?: number;
  readonly nowMs?: number;
  readonly onEvicted?: (entry: Work) => void;
}

function setUp(settings: Partial<QueueSettings> = {}) {
  const limits = { concurrency: 1, maxWaiting: 3, maxWaitingBytes: 100, ...settings };
  const queue = new InboundQueue<Work>(limits);
  /** Offers an entry, a new one for a name; by default at 0 ms, with one byte and no deadline. */
  const offer = (
    work: Work | string,
    { bytes = 1, deadlineMs = NEVER, nowMs = 0, onEvicted, ...fields }: Offer = {},
  ): Admission => {
    const entry = Object.assign(typeof work === 'string' ? new Work(work) : work, fields);
    return queue.offer(entry, bytes, deadlineMs, nowMs, onEvicted);
  };
  /** Offers entries of these names. */
  const offered = (...names: string[]): [Work, Work, Work, Work] => {
    const entries = names.map((name) => new Work(name));
    for (const entry of entries) offer(entry);
    return entries as [Work, Work, Work, Work];
  };
  /** A call has run from 0 ms until then. */
  const ran = (untilMs: number): void => queue.release(offered('first')[0], untilMs);
  /** The next entry, with its state. */
  const next = (nowMs: number): string | null => {
    const entry = queue.next(nowMs);
    return entry && `${entry.name} ${Object.keys(QueueState)[entry.queueState]}`;
  };
  /** Running, waiting, and the bytes of those. */
  const counts = () => [queue.running, queue.waiting, queue.waitingBytes];
  /** Takes other limits from now on. */
  const configure = (changed: Partial<QueueSettings>): void => queue.configure({ ...limits, ...changed });
  return { queue, offer, offered, ran, next, counts, configure };
}

/** Runs all entries that wait; in the order in which they ran. */
function runAll(queue: InboundQueue<Work>): Work[] {
  const order: Work[] = [];
  for (let entry = queue.next(0); entry !== null; entry = queue.next(0)) {
    order.push(entry);
    queue.releaseWithoutSample(entry, 0);
  }
  return order;
}

describe('InboundQueue, at an arrival,', () => {
  it('predicts its answer, and admits nothing', () => {
    const { queue, offer, offered } = setUp({ maxWaiting: 2, fair: true });
    const predict = (queueCaller = '', queueClass = 0, deadlineMs = NEVER): Admission =>
      queue.predict(Object.assign(new Work('x'), { queueCaller, queueClass }), deadlineMs, 0);
    assert.deepEqual([predict(), predict('', 0, 0)], [admitted, tooLate]);
    const [running] = offered('running');
    assert.equal(predict(), waiting);
    offer('a', { bytes: 100 });
    assert.equal(predict(), tooLarge);
    offer('b', { bytes: 0 });
    assert.deepEqual([predict(), predict('', 1)], [tooMany, tooMany]);
    assert.equal(predict('another'), waiting, 'another entry would give way');
    queue.release(running, 50);
    queue.next(50);
    assert.deepEqual([predict('', 0, 150), predict('', 0, 200)], [tooLate, waiting]);
    assert.deepEqual([queue.running, queue.waiting, queue.evictedTotal], [1, 1, 0]);
  });

  it('admits calls up to its concurrency, then queues, then refuses', () => {
    const { offer, counts } = setUp({ concurrency: 2 });
    const answers = [...'abcdef'].map((name) => offer(name));
    assert.deepEqual(answers, [admitted, admitted, waiting, waiting, waiting, tooMany]);
    assert.deepEqual(counts(), [2, 3, 3]);
  });

  it('bounds the bytes that wait, to the byte', () => {
    const { queue, offer } = setUp();
    const answers = [1_000_000, 60, 41, 40].map((bytes) => offer('a', { bytes }));
    assert.deepEqual(answers, [admitted, waiting, tooLarge, waiting]);
    assert.equal(queue.waitingBytes, 100);
  });

  it('refuses everything that cannot start at once when nothing may wait', () => {
    const { offer } = setUp({ maxWaiting: 0 });
    assert.deepEqual([offer('a', { bytes: 0 }), offer('b', { bytes: 0 })], [admitted, tooMany]);
  });

  for (const [deadlineMs, answer] of [
    [999, tooLate],
    [1_000, tooLate],
    [1_000.1, admitted],
  ] as const)
    it(`answers ${Object.keys(Admission)[answer]} at 1000 ms to a deadline at ${deadlineMs} ms`, () =>
      assert.equal(setUp().offer('a', { deadlineMs, nowMs: 1_000 }), answer));

  it('refuses a call whose run would not end by its deadline, with a margin on the wait', () => {
    const { queue, offer, offered, ran } = setUp({ concurrency: 2, maxWaiting: 100 });
    ran(50);
    assert.equal(queue.serviceMs, 50);
    offered('a', 'b', 'c');
    assert.equal(queue.expectedWaitMs(), 50);
    // 50 ms of wait, perhaps a fifth more, and 50 ms of its run.
    assert.equal(offer('late', { deadlineMs: 50 + 109, nowMs: 50 }), tooLate);
    assert.equal(offer('just', { deadlineMs: 50 + 110, nowMs: 50 }), waiting);
    assert.equal(queue.expectedWaitMs(), 75);
  });

  it('admits a call that can start at once, however short its deadline, to learn of shorter runs', () => {
    const { offer, ran } = setUp();
    ran(5_000);
    assert.equal(offer('hasty', { deadlineMs: 5_010, nowMs: 5_000 }), admitted);
  });

  it('reports when half of its limit waits, in calls or in bytes', () => {
    const { queue, offer, offered } = setUp({ maxWaiting: 4 });
    offered('running', 'a');
    assert.equal(queue.isHalfFull, false);
    const [b] = offered('b');
    assert.equal(queue.isHalfFull, true);
    queue.remove(b);
    offer('c', { bytes: 49 });
    assert.equal(queue.isHalfFull, true);
  });

  it('predicts no wait while no service time is known', () => {
    const { offer } = setUp();
    assert.deepEqual([offer('a'), offer('b', { deadlineMs: 0.001 })], [admitted, waiting]);
  });
});

describe('Suspended entries of InboundQueue', () => {
  it('free a place, do not count as a service time, and resume when there is a place', () => {
    const { queue, offered } = setUp();
    const [stream, other, third] = offered('stream', 'other', 'third');
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
    const { queue, offered } = setUp({ concurrency: 2 });
    const streams = ['a', 'b', 'c'].map((name) => {
      const [stream] = offered(name);
      queue.suspend(stream, 0);
      return stream;
    });
    let [busy] = offered('x', 'y', '1', '2');
    for (const stream of streams) assert.equal(queue.resume(stream, 0), false);
    const order: string[] = [];
    for (let i = 0; i < 5; i++) {
      queue.releaseWithoutSample(busy, 0);
      busy = (queue.nextResumed(0) ?? queue.next(0))!;
      order.push(busy.name);
      assert.equal(queue.running, 2);
    }
    assert.deepEqual(order, ['a', '1', 'b', '2', 'c']);
  });

  it('never make more run than may, whatever is suspended and resumed', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), fc.nat(30)), { maxLength: 300 }), (steps) => {
        const { queue, offered } = setUp({ concurrency: 3, maxWaiting: 5 });
        const all: Work[] = [];
        for (const [what, which] of steps) {
          const one = all[which % Math.max(1, all.length)];
          if (what === 0 || one === undefined) all.push(offered('w')[0]);
          else if (what === 1) queue.suspend(one, 0);
          else if (what <= 3) queue.resume(one, 0);
          else if (what === 4) queue.releaseWithoutSample(one, 0);
          else queue.remove(one);
          while (queue.nextResumed(0) !== null || queue.next(0) !== null);
          assert.ok(queue.running <= 3);
          const running = all.filter(({ queueState }) => queueState === QueueState.running);
          assert.equal(running.length, queue.running);
        }
      }),
    );
  });

  it('go on beyond the limit once no place has moved for long, each further one later', () => {
    const { queue, offered } = setUp({ concurrency: 2, maxWaiting: 5 });
    const streams = offered('a', 'b');
    for (const stream of streams) queue.suspend(stream, 0);
    const [x, y, z] = offered('x', 'y', 'z');
    for (const stream of streams) queue.resume(stream, 1_000);
    queue.resume(streams[0], 3_000);
    assert.equal(queue.nextStuck(5_999), null, 'waits for less than 5 s');
    assert.equal(queue.nextStuck(6_000), streams[0]);
    assert.deepEqual([queue.running, queue.nextStuck(15_999), queue.nextResumed(15_999)], [3, null, null]);
    assert.equal(queue.nextStuck(16_000), streams[1]);
    assert.deepEqual([queue.running, queue.hasResuming, queue.nextStuck(99_000)], [4, false, null]);
    queue.suspend(streams[0], 20_000);
    queue.release(x, 20_000);
    assert.equal(queue.resume(streams[0], 20_000), false);
    queue.release(streams[1], 24_000);
    assert.deepEqual(
      [queue.nextResumed(24_000), queue.next(24_000)],
      [null, z],
      'the place is for the queue',
    );
    assert.equal(queue.nextStuck(28_999), null);
    queue.release(y, 28_999);
    assert.equal(queue.nextResumed(28_999), streams[0], 'in its turn');
  });

  it('do not go on beyond the limit while places move, nor while none is open', () => {
    const { queue, offered, configure } = setUp();
    const [stream, first, second] = offered('stream', 'first', 'second', 'third');
    queue.suspend(stream, 0);
    queue.next(0);
    queue.resume(stream, 0);
    queue.release(first, 4_000);
    queue.next(4_000);
    assert.deepEqual([queue.nextStuck(8_999), second.queueState], [null, QueueState.running]);
    configure({ concurrency: 0 });
    assert.equal(queue.nextStuck(60_000), null);
  });

  it('do not go on beyond the limit while runs take as long as they always do', () => {
    const { queue, offered } = setUp();
    const [before, stream] = offered('before', 'stream', 'long');
    queue.release(before, 25_000);
    queue.next(25_000);
    queue.suspend(stream, 26_000);
    queue.next(26_000);
    assert.equal(queue.resume(stream, 27_000), false);
    assert.equal(queue.nextStuck(26_000 + 74_999), null);
    assert.equal(queue.nextStuck(27_000 + 75_000), stream);
  });

  it('were running before, and only they resume', () => {
    const { queue, offered } = setUp();
    const [running, queued] = offered('running', 'waiting');
    const idle = new Work('idle');
    for (const each of [queued, idle]) queue.suspend(each, 0);
    for (const each of [running, queued, idle]) queue.resume(each, 0);
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
    const { queue, offered, next, counts } = setUp();
    const [a, b] = offered('a', 'b', 'c');
    assert.equal(next(0), null);
    queue.release(a, 10);
    assert.deepEqual([next(10), next(10)], ['b running', null]);
    queue.release(b, 20);
    assert.equal(next(20), 'c running');
    assert.deepEqual(counts(), [1, 0, 0]);
  });

  it('removes expired entries and reports them, even while all places are taken', () => {
    const { queue, offer, offered, next } = setUp();
    const [a] = offered('a');
    offer('b', { deadlineMs: 100 });
    offer('c', { deadlineMs: 101 });
    assert.deepEqual([next(99), next(100), next(100)], [null, 'b expired', null]);
    queue.release(a, 100);
    assert.equal(next(100), 'c running');
    assert.equal(queue.expiredTotal, 1);
  });

  it('counts an entry that is answered because of its deadline, once', () => {
    const { queue, offered, next } = setUp();
    const [a, b] = offered('a', 'b', 'c');
    assert.equal(queue.first, b);
    for (const each of [a, b, b]) queue.expire(each);
    assert.deepEqual([queue.expiredTotal, queue.waiting, queue.running], [1, 1, 1]);
    queue.release(a, 10);
    assert.equal(next(10), 'c running');
    assert.equal(queue.first, null);
  });

  it('does not start a run that would end too late while others wait, and starts it where none do', () => {
    const { queue, offer, ran, next } = setUp();
    ran(50);
    const [second, b] = [new Work('second'), new Work('b')];
    offer(second, { nowMs: 50 });
    offer('a', { deadlineMs: 200, nowMs: 50 });
    offer(b, { deadlineMs: 260, nowMs: 50 });
    offer('c', { deadlineMs: 280, nowMs: 50 });
    // It took 100 ms and not 50.
    queue.release(second, 200 - 50);
    assert.equal(queue.serviceMs, 75);
    assert.deepEqual([next(150), next(150)], ['a late', 'b running'], 'the first has 50 ms left');
    assert.deepEqual([queue.running, queue.waitingBytes, queue.lateTotal], [1, 1, 1]);
    queue.release(b, 250);
    assert.equal(next(250), 'c running', 'as hopeless, but it keeps no other waiting');
  });

  it('removes the entry of a caller that left, wherever it is', () => {
    const { queue, offered, counts } = setUp();
    const [a, b, c, d] = offered('a', 'b', 'c', 'd');
    const removed = [c, c, a, d, b].map((entry) => queue.remove(entry));
    assert.deepEqual(removed, [true, false, false, true, true]);
    assert.deepEqual(counts(), [1, 0, 0]);
    queue.release(a, 1);
    assert.equal(queue.next(1), null);
  });

  it('frees a place once, however often the entry is released', () => {
    const { queue, offered } = setUp();
    const [a] = offered('a');
    queue.release(a, 10);
    queue.release(a, 10);
    queue.releaseWithoutSample(a, 0);
    assert.equal(queue.running, 0);
  });

  it('learns service times from runs that finished, not from cancelled ones', () => {
    const { queue, offer, offered } = setUp();
    const [a] = offered('a');
    queue.releaseWithoutSample(a, 0);
    assert.equal(queue.serviceMs, 0);
    const run = (nowMs: number, untilMs: number): void => {
      offer(a, { nowMs });
      queue.release(a, untilMs);
    };
    run(0, 100);
    run(100, 400);
    assert.equal(queue.serviceMs, 200, 'the first ones count alike');
    for (let i = 0; i < 8; i++) run(400, 600);
    run(600, 600 + 300);
    assert.ok(Math.abs(queue.serviceMs - 210) < 1e-9, 'a tenth each after that');
  });

  it('starts more when its concurrency is raised, and none until enough have ended when it is lowered', () => {
    const { queue, offered, configure, next } = setUp({ maxWaiting: 3 });
    const [a, b] = offered('a', 'b', 'c');
    configure({ concurrency: 2, maxWaiting: 0, maxWaitingBytes: 0 });
    assert.equal(next(0), 'b running');
    configure({ concurrency: 1, maxWaiting: 0, maxWaitingBytes: 0 });
    queue.release(a, 1);
    assert.equal(next(1), null);
    queue.release(b, 1);
    assert.equal(next(1), 'c running');
  });

  it('queues every call while its concurrency is 0, however long runs took before, and goes on afterwards', () => {
    const { offer, ran, configure, next } = setUp();
    ran(5_000);
    configure({ concurrency: 0 });
    assert.equal(offer('b', { deadlineMs: 5_010, nowMs: 5_000 }), waiting);
    assert.equal(next(5_000), null);
    configure({ concurrency: 1 });
    assert.equal(next(5_000), 'b running');
  });

  it('hands out all waiting entries, to be refused', () => {
    const { queue, offered } = setUp();
    const [, b, c] = offered('a', 'b', 'c');
    assert.equal(queue.takeWaiting(), b);
    assert.equal(queue.takeWaiting(), c);
    assert.equal(queue.takeWaiting(), null);
    assert.equal(c.queueState, QueueState.idle);
  });
});

describe('InboundQueue under any sequence of events', () => {
  const OFFERS = ['offer', 'offer', 'offer'] as const;
  const OTHERS = ['release', 'releaseWithoutSample', 'remove', 'wait', 'next'] as const;

  it('agrees with a plain list, and never passes a limit', () => {
    const step = fc.record({
      kind: fc.constantFrom(...OFFERS, ...OTHERS),
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
        const { queue, counts } = setUp(limits);
        let nowMs = 0;
        const line: Work[] = [];
        const running: Work[] = [];
        const admit = (): void => {
          for (;;) {
            const head = line[0];
            const isTooLate = line.length > 1 && head!.queueDeadlineMs - nowMs < queue.serviceMs;
            const entry = queue.next(nowMs);
            const isFull = running.length >= limits.concurrency;
            if (entry === null)
              return assert.ok(head === undefined || (isFull && head.queueDeadlineMs > nowMs));
            assert.equal(entry, line.shift());
            const onTurn = isTooLate ? QueueState.late : QueueState.running;
            const expected = entry.queueDeadlineMs <= nowMs ? QueueState.expired : onTurn;
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
            if (answer === admitted) running.push(entry);
            else if (answer === waiting) line.push(entry);
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
          assert.deepEqual(counts(), [running.length, line.length, bytesWaiting]);
          assert.ok(running.length <= limits.concurrency);
          assert.ok(line.length <= limits.maxWaiting && bytesWaiting <= limits.maxWaitingBytes);
        });
      }),
      { numRuns: 300 },
    );
  });
});

describe('InboundQueue with classes and fairness', () => {
  const names = (queue: InboundQueue<Work>): string[] => runAll(queue).map(({ name }) => name);

  it('starts the more important class first, and each class in order of arrival', () => {
    const { queue, offer, offered } = setUp({ maxWaiting: 10 });
    const [running] = offered('running');
    for (const name of ['a2', 'b0', 'c1', 'd0', 'e2']) offer(name, { queueClass: Number(name[1]) });
    queue.releaseWithoutSample(running, 0);
    assert.deepEqual(names(queue), ['b0', 'd0', 'c1', 'a2', 'e2']);
  });

  it('serves callers round robin where it is fair, however many calls each has waiting', () => {
    const { queue, offer, offered } = setUp({ maxWaiting: 10, fair: true });
    const [running] = offered('running');
    for (const name of ['a1', 'a2', 'a3', 'b1', 'a4', 'c1', 'b2']) offer(name, { queueCaller: name[0]! });
    queue.releaseWithoutSample(running, 0);
    assert.deepEqual(names(queue), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']);
  });

  for (const [queueClass, room] of [
    [0, 12],
    [1, 9],
    [2, 8],
    [15, 7],
  ] as const)
    it(`lets class ${queueClass} join a queue of ${room - 1} of 12 and no longer one`, () => {
      const { offer } = setUp({ maxWaiting: 12 });
      offer('running');
      for (let i = 0; i < room; i++) assert.equal(offer('a', { queueClass }), waiting);
      assert.equal(offer('a', { queueClass }), tooMany);
    });

  it('evicts the newest entry of the least important class from a full queue', () => {
    const { offer, queue, counts } = setUp({ maxWaiting: 3 });
    offer('running');
    const gone: string[] = [];
    const arrive = (name: string): Admission =>
      offer(name, { bytes: 10, queueClass: Number(name[1]), onEvicted: (victim) => gone.push(victim.name) });
    for (const name of ['b2', 'c2', 'a1']) arrive(name);
    assert.deepEqual(['d2', 'e0', 'f1', 'g1'].map(arrive), [tooMany, waiting, waiting, tooMany]);
    assert.deepEqual(gone, ['c2', 'b2']);
    assert.deepEqual([...counts(), queue.evictedTotal], [1, 3, 30, 2]);
  });

  it('evicts an entry of the caller with most waiting for one with fewer, never for one that would have as many', () => {
    const { offer } = setUp({ maxWaiting: 4, fair: true });
    offer('running');
    const gone: string[] = [];
    const arrive = (name: string): Admission =>
      offer(name, { queueCaller: name[0]!, onEvicted: (victim) => gone.push(victim.name) });
    for (const name of ['a1', 'a2', 'a3', 'a4']) arrive(name);
    assert.deepEqual(['a5', 'b1', 'b2', 'b3'].map(arrive), [tooMany, waiting, waiting, tooMany]);
    assert.deepEqual(gone, ['a4', 'a3']);
  });

  it('evicts no entry when that would not make enough room', () => {
    const { offer } = setUp({ maxWaiting: 10 });
    offer('running');
    offer('low', { bytes: 40, queueClass: 1 });
    offer('high', { bytes: 60 });
    const verdict = offer('large', { bytes: 50, onEvicted: () => assert.fail('evicted in vain') });
    assert.equal(verdict, tooLarge);
  });

  it('predicts a shorter wait for a caller with few calls where it is fair', () => {
    const { queue, offer, ran } = setUp({ maxWaiting: 100, fair: true });
    ran(10);
    for (let i = 0; i < 50; i++) offer(`${i}`, { nowMs: 10, queueCaller: 'a' });
    assert.deepEqual([queue.expectedWaitMs(0, 'b'), queue.expectedWaitMs(0, 'a')], [20, 500]);
  });

  it('forgets a slow period while nothing runs', () => {
    const { queue, offer, ran } = setUp();
    ran(8_000);
    offer('next', { nowMs: 38_000 });
    assert.equal(queue.serviceMs, 1_000);
  });

  it('agrees with a plain sort under any sequence, and keeps its counts', () => {
    const callers = fc.constantFrom('a', 'b', 'c');
    const arrival = fc.record({ queueClass: fc.nat(2), queueCaller: callers, leaves: fc.boolean() });
    fc.assert(
      fc.property(fc.array(arrival, { maxLength: 60 }), fc.boolean(), (arrivals, fair) => {
        const { queue, offer, offered } = setUp({ maxWaiting: 100, maxWaitingBytes: 1e6, fair });
        const [running] = offered('running');
        const entries = arrivals.map(({ leaves, ...fields }, i) => {
          const entry = new Work(`${i}`);
          offer(entry, fields);
          return { entry, leaves };
        });
        for (const { entry, leaves } of entries) if (leaves) assert.equal(queue.remove(entry), true);
        const left = entries.filter(({ leaves }) => !leaves).map(({ entry }) => entry);
        assert.deepEqual([queue.waiting, queue.waitingBytes], [left.length, left.length]);
        queue.releaseWithoutSample(running, 0);
        const order = runAll(queue);
        assert.deepEqual(new Set(order), new Set(left));
        const classes = order.map(({ queueClass }) => queueClass);
        assert.deepEqual(classes, [...classes].sort());
        for (const queueClass of [0, 1, 2]) {
          const mine = order.filter((entry) => entry.queueClass === queueClass);
          const expected = left.filter((entry) => entry.queueClass === queueClass);
          if (!fair) assert.deepEqual(mine, expected);
          for (const caller of ['a', 'b', 'c']) {
            const ofCaller = ({ queueCaller }: Work): boolean => queueCaller === caller;
            assert.deepEqual(mine.filter(ofCaller), expected.filter(ofCaller));
          }
        }
      }),
    );
  });
});

describe('what a refused call is told of the queue', () => {
  it('is the time that what waits before it takes, also before a run has ended', () => {
    const { queue, offered } = setUp();
    assert.equal(queue.retryAfterMs(0, '', 0), 0, 'a place is free');
    offered('a', 'b', 'c', 'd');
    assert.equal(queue.retryAfterMs(0, '', 0), 400, 'nothing is known yet');
    assert.equal(queue.retryAfterMs(0, '', 2_000), 8_000, 'the run has taken 2 s so far');
  });

  it('goes by how long places are held where no run counts as a sample, as of streams', () => {
    const { queue, offered } = setUp();
    const [first] = offered('a');
    queue.releaseWithoutSample(first, 3_000);
    assert.equal(queue.expectedWaitMs(), 0);
    const busy = new Work('b');
    queue.offer(busy, 1, NEVER, 3_000);
    queue.offer(new Work('c'), 1, NEVER, 3_000);
    assert.equal(queue.retryAfterMs(0, '', 3_000), 6_000);
  });

  it('is a second while no place is open', () => {
    const { queue } = setUp({ concurrency: 0 });
    assert.equal(queue.retryAfterMs(0, '', 0), 1_000);
  });
});
