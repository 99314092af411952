import assert from 'node:assert/strict';
import {
  type Instance,
  type InstanceList,
  readInstances,
} from '../../../../../sidecar/discovery/consul/parser/instances.js';
import type { FromWorker, ToWorker } from '../../../../../sidecar/discovery/consul/parser/messages.js';
import { ParseTask, SLICE } from '../../../../../sidecar/discovery/consul/parser/parse-task.js';
import {
  type InstanceStream,
  LARGE_BYTES,
  ParsePool,
  type ParseThread,
} from '../../../../../sidecar/discovery/consul/parser/parser-pool.js';
import { systemTimers } from '../../../../../sidecar/runtime/time/timers.js';
import { type AnswerEntry, answerOf, entryOf } from '../../../../kit/consul/answers.js';
import { afterTest } from '../../../../kit/mocha/after-test.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';

const NEAR = { wan: false };

/** The task of the worker without its thread; every message is kept. */
class FakeThread implements ParseThread {
  readonly sent: FromWorker[] = [];
  readonly got: ToWorker[] = [];
  isTerminated = false;
  isDeaf = false;
  private onMessage: (message: FromWorker) => void = () => {};
  private onError: (error: Error) => void = () => {};
  private readonly task = new ParseTask((message) => {
    this.sent.push(message);
    setImmediate(() => this.onMessage(message));
  });

  postMessage(message: ToWorker): void {
    this.got.push(message);
    if (!this.isDeaf) this.task.handle(message);
  }
  on(event: string, listener: never): void {
    if (event === 'message') this.onMessage = listener;
    if (event === 'error') this.onError = listener;
  }
  unref(): void {}
  async terminate(): Promise<void> {
    this.isTerminated = true;
  }
  fail(message: string): void {
    this.onError(new Error(message));
  }
  /** Rows that crossed. */
  rows(): number {
    const slices = this.sent.filter((message) => message.kind === 'slice');
    return slices.flatMap(({ text }) => JSON.parse(text) as unknown[]).length;
  }
}

const COUNT = 500;
const fleet = (): AnswerEntry[] => Array.from({ length: COUNT }, (_, i) => entryOf(i));
const plainly = (entries: readonly unknown[]): readonly Instance[] =>
  readInstances(answerOf(entries), NEAR).instances;

describe('the parse pool', () => {
  let threads: FakeThread[];
  let clock: ManualClock;
  let pool: ParsePool;
  beforeEach(() => {
    threads = [];
    clock = new ManualClock();
    pool = new ParsePool(clock, () => {
      threads.push(new FakeThread());
      return threads.at(-1)!;
    });
  });

  /** Lets the fake thread answer and the slices be taken. */
  const settled = async <T>(work: T | Promise<T>): Promise<T> => {
    let done = false;
    const result = Promise.resolve(work).finally(() => (done = true));
    result.catch(() => {});
    for (let i = 0; i < 1_000 && !done; i += 1) await clock.settle(1);
    return result;
  };

  const readFleet = (stream: InstanceStream) => settled(stream.read(answerOf(fleet())));
  const assertReadsFleet = async (stream: InstanceStream): Promise<void> =>
    assert.deepEqual((await readFleet(stream)).instances, plainly(fleet()));
  const assertReadsOne = (stream: InstanceStream, n: number): void =>
    assert.deepEqual((stream.read(answerOf([entryOf(n)])) as InstanceList).instances, plainly([entryOf(n)]));

  /** A stream that has brought the fleet once. */
  const used = async (): Promise<InstanceStream> => {
    const stream = pool.stream(NEAR);
    await readFleet(stream);
    return stream;
  };

  it('the parse pool parses a small answer at once', () => {
    const list = pool.stream(NEAR).read(answerOf([entryOf(1)]));
    assert.ok(!(list instanceof Promise));
    assert.deepEqual(list.instances, plainly([entryOf(1)]));
    assert.equal(threads.length, 0);
  });

  it('the parse pool throws at once for a small one that is garbage', () =>
    assert.throws(() => pool.stream(NEAR).read(Buffer.from('{')), /expected a JSON array/));

  it('the parse pool gives of small answers the same objects for what has not changed', () => {
    const stream = pool.stream(NEAR);
    const first = stream.read(answerOf([entryOf(1), entryOf(2)])) as InstanceList;
    const second = stream.read(answerOf([entryOf(2), entryOf(1, { status: 'warning' })])) as InstanceList;
    assert.equal(second.instances[0], first.instances[1]);
    assert.equal(second.instances[1]!.status, 'warning');
  });

  it('the parse pool has a large answer parsed elsewhere, and takes it in slices', async () => {
    const list = await settled(pool.stream(NEAR).read(answerOf(fleet())));
    assert.deepEqual(list, { instances: plainly(fleet()), skipped: 0, problem: undefined });
    assert.equal(threads[0]!.sent.filter(({ kind }) => kind === 'slice').length, Math.ceil(COUNT / SLICE));
  });

  it('the parse pool brings over only what changed, and keeps the objects of the rest', async () => {
    const stream = pool.stream(NEAR);
    const first = await readFleet(stream);
    const next = fleet();
    next[3] = entryOf(3, { status: 'critical' });
    next.splice(10, 1);
    next.unshift(entryOf(1000));
    const second = await settled(stream.read(answerOf(next)));
    assert.deepEqual(second.instances, plainly(next));
    assert.equal(threads[0]!.rows(), COUNT + 2);
    assert.equal(second.instances[1], first.instances[0]);
    assert.notEqual(second.instances[4], first.instances[3]);
  });

  it('the parse pool keeps the lists of several queries apart', async () => {
    const [one, other] = [pool.stream(NEAR), pool.stream(NEAR)];
    const letters = fleet().map((_, i) => entryOf(i, { service: 'letters' }));
    const [a, b] = await settled(Promise.all([one.read(answerOf(fleet())), other.read(answerOf(letters))]));
    assert.deepEqual(a.instances, plainly(fleet()));
    assert.deepEqual(b.instances, plainly(letters));
    assert.equal(threads.length, 1);
    assert.deepEqual((await settled(one.read(answerOf(fleet())))).instances, a.instances);
    assert.equal(threads[0]!.rows(), 2 * COUNT);
  });

  it('the parse pool starts from the whole list after a small answer in between', async () => {
    const stream = await used();
    await stream.read(answerOf([entryOf(1)]));
    await assertReadsFleet(stream);
    assert.equal(threads[0]!.rows(), 2 * COUNT);
  });

  it('the parse pool is not confused by a large answer that a small one has overtaken', async () => {
    const stream = await used();
    const next = [entryOf(1000), ...fleet()];
    const overtaken = stream.read(answerOf(next));
    assertReadsOne(stream, 1);
    assert.deepEqual((await settled(overtaken)).instances, plainly(next));
    assertReadsOne(stream, 2);
    await assertReadsFleet(stream);
  });

  it('the parse pool rejects a large answer that is garbage, and goes on with the list before', async () => {
    const stream = await used();
    const message = `found an end after ${LARGE_BYTES + 1} bytes, within an element; expected a JSON array`;
    await assert.rejects(async () => settled(stream.read(Buffer.alloc(LARGE_BYTES + 1, '['))), { message });
    await assertReadsFleet(stream);
    assert.equal(threads[0]!.rows(), COUNT);
    assert.equal(pool.counts.failures, 1);
  });

  it('the parse pool fails the parse when the thread fails, and starts another for the next', async () => {
    const stream = await used();
    threads[0]!.isDeaf = true;
    const reading = stream.read(answerOf(fleet()));
    const why = 'Worker terminated due to reaching memory limit';
    threads[0]!.fail(why);
    await assert.rejects(async () => settled(reading), { message: `the answer was not parsed: ${why}` });
    await assertReadsFleet(stream);
    assert.equal(threads.length, 2);
  });

  it('the parse pool gives up on a thread that takes too long', async () => {
    const stream = await used();
    threads[0]!.isDeaf = true;
    const reading = stream.read(answerOf(fleet()));
    clock.advance(20_000);
    await assert.rejects(async () => reading, /it took longer than 20000 ms/);
    assert.equal(threads[0]!.isTerminated, true);
  });

  it('the parse pool fails the parse when a thread cannot be started', async () => {
    const broken = new ParsePool(clock, () => {
      throw new Error('no memory');
    });
    await assert.rejects(async () => broken.stream(NEAR).read(answerOf(fleet())), /not parsed: no memory/);
  });

  it('the parse pool ends a thread that has had nothing to do for a minute', async () => {
    const stream = await used();
    clock.advance(50_000);
    await readFleet(stream);
    clock.advance(59_000);
    assert.equal(threads[0]!.isTerminated, false);
    clock.advance(1_000);
    assert.equal(threads[0]!.isTerminated, true);
    await assertReadsFleet(stream);
    assert.equal(threads.length, 2);
  });

  it('the parse pool fails what is under way when it is closed', async () => {
    const reading = pool.stream(NEAR).read(answerOf(fleet()));
    pool.close();
    await assert.rejects(async () => reading, /the sidecar stops/);
    assert.equal(clock.pending(), 0);
  });

  it('the parse pool has the worker forget a query that has ended', async () => {
    const stream = await used();
    stream.close();
    assert.equal(threads[0]!.got.at(-1)!.kind, 'forget');
  });
});

describe('the parse thread', function () {
  this.timeout(60_000);
  const realPool = (): ParsePool => {
    const pool = new ParsePool(systemTimers);
    afterTest(() => pool.close());
    return pool;
  };

  it('the parse thread is found beside this program, parses, and ends', async () => {
    const pool = realPool();
    const stream = pool.stream(NEAR);
    assert.deepEqual((await stream.read(answerOf(fleet()))).instances, plainly(fleet()));
    const next = fleet();
    next[5] = entryOf(5, { status: 'critical', output: 'dead' });
    const { instances } = await stream.read(answerOf(next));
    assert.equal(instances[5]!.why, 'Sidecar can serve: dead');
    await assert.rejects(async () => stream.read(Buffer.alloc(LARGE_BYTES + 1, ' ')), /found nothing/);
    assert.equal(pool.counts.threads, 1);
  });

  it('the parse thread lives on after megabytes of garbage', async () => {
    const stream = realPool().stream(NEAR);
    const huge = Buffer.alloc(LARGE_BYTES * 64, '{"a":[');
    huge[0] = 0x5b;
    await assert.rejects(async () => stream.read(huge), /expected a JSON array|not parsed/);
    assert.equal((await stream.read(answerOf(fleet()))).instances.length, COUNT);
  });
});
