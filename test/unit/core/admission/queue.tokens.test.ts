/** The queue where it counts tokens: its bound, whose turn is next, and who gives way. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  Admission,
  InboundQueue,
  QueueEntry,
  type QueueSettings,
} from '../../../../sidecar/core/admission/queue.js';
import { runs } from '../../../kit/mocha/effort.js';

const NEVER = Number.POSITIVE_INFINITY;
const { admitted, waiting, tooMany, tooCostly } = Admission;

class Work extends QueueEntry {
  constructor(
    caller: string,
    cost: number,
    readonly name = caller,
  ) {
    super();
    this.queueCaller = caller;
    this.queueCost = cost;
  }
}

const SETTINGS: QueueSettings = {
  ...{ concurrency: 1, maxWaiting: 100, maxWaitingBytes: 1_000_000 },
  ...{ fair: true, maxWaitingCost: 1_000 },
};

/** A queue whose one place is taken. */
function setUp(over: Partial<QueueSettings> = {}) {
  const queue = new InboundQueue<Work>({ ...SETTINGS, ...over });
  const first = new Work('', 0);
  assert.equal(queue.offer(first, 1, NEVER, 0), admitted);
  const evicted: string[] = [];
  const offer = (caller: string, cost: number, name = caller): Admission =>
    queue.offer(new Work(caller, cost, name), 1, NEVER, 0, (entry) => void evicted.push(entry.name));
  /** Runs the next entry to its end: its name. */
  let running = first;
  const run = (): string => {
    queue.releaseWithoutSample(running, 0);
    running = queue.next(0)!;
    return running?.name ?? '';
  };
  const runAll = (): string[] => Array.from({ length: queue.waiting }, run);
  return { queue, offer, run, runAll, evicted };
}

describe('InboundQueue, where tokens count,', () => {
  it('bounds what waits by its tokens', () => {
    const { queue, offer } = setUp();
    assert.deepEqual([offer('a', 600), offer('a', 400), offer('a', 1)], [waiting, waiting, tooCostly]);
    assert.equal(queue.waitingCost, 1_000);
    assert.equal(queue.isHalfFull, true);
    assert.equal(queue.predict(new Work('a', 0), NEVER, 0), tooCostly);
    queue.takeWaiting();
    assert.equal(queue.waitingCost, 400);
    assert.equal(queue.predict(new Work('a', 0), NEVER, 0), waiting);
  });

  it('admits any call where a place is free', () => {
    const { queue, offer } = setUp();
    queue.configure({ ...SETTINGS, concurrency: 2 });
    assert.equal(offer('a', 1_000_000), admitted);
    assert.equal(queue.waitingCost, 0);
  });

  it('lets one that alone is too much wait while no other does', () => {
    const { queue, offer } = setUp();
    assert.equal(offer('a', 1_000_000), waiting);
    assert.equal(queue.waitingCost, 1_000_000);
    assert.equal(offer('a', 10), tooCostly);
    const busy = setUp();
    assert.equal(busy.offer('a', 10), waiting);
    assert.equal(busy.offer('a', 1_001), tooCostly);
  });

  it('gives callers turns by tokens: one of large prompts does not hold up one of small ones', () => {
    const { offer, runAll } = setUp();
    for (let i = 0; i < 4; i++) offer('large', 100);
    for (let i = 0; i < 8; i++) offer('small', 25);
    assert.deepEqual(runAll(), [
      ...['large', 'small', 'small', 'small', 'small'],
      ...['large', 'small', 'small', 'small', 'small'],
      ...['large', 'large'],
    ]);
  });

  it('takes turns call by call where all cost the same', () => {
    const { offer, runAll } = setUp();
    for (const caller of ['a', 'a', 'a', 'b', 'c', 'b']) offer(caller, 10);
    assert.deepEqual(runAll(), ['a', 'b', 'c', 'a', 'b', 'a']);
  });

  it('gives a caller that comes one by one no more tokens than one that has many waiting', () => {
    const { offer, run } = setUp();
    for (let i = 0; i < 30; i++) offer('small', 10);
    const names: string[] = [];
    for (let i = 0; i < 22; i++) {
      if (names.at(-1) === 'large' || i === 0) offer('large', 100);
      names.push(run());
    }
    assert.equal(names.filter((name) => name === 'large').length, 2, names.join(' '));
  });

  it('gives a caller that was away no turns for that time', () => {
    const { offer, run, runAll } = setUp();
    for (let i = 0; i < 6; i++) offer('a', 10);
    for (let i = 0; i < 3; i++) run();
    for (let i = 0; i < 3; i++) offer('b', 10);
    assert.deepEqual(runAll(), ['b', 'a', 'b', 'a', 'b', 'a']);
  });

  it('counts calls that cost nothing as one token, so that they do not go before all others for ever', () => {
    const { offer, run } = setUp();
    for (let i = 0; i < 50; i++) offer('free', 0);
    offer('paid', 10);
    const names = Array.from({ length: 20 }, run);
    assert.ok(names.includes('paid'));
  });

  it('keeps to the order of turns when calls leave', () => {
    const { queue, offer, runAll } = setUp();
    for (let i = 0; i < 3; i++) offer('a', 10, `a${i}`);
    for (let i = 0; i < 3; i++) offer('b', 10, `b${i}`);
    assert.equal(queue.first!.name, 'a0');
    queue.remove(queue.first!);
    queue.expire(queue.first!);
    assert.equal(queue.waitingCost, 40);
    assert.equal(runAll().length, 4);
    assert.equal(queue.waitingCost, 0);
  });

  it('lets the caller whose calls cost the most give way, as far as that is enough', () => {
    const { offer, evicted, queue } = setUp();
    for (let i = 0; i < 3; i++) offer('large', 300, `large ${i}`);
    offer('small', 100);
    assert.equal(offer('small', 50), waiting);
    assert.deepEqual(evicted, ['large 2']);
    assert.equal(queue.waitingCost, 750);
    assert.equal(offer('other', 900), tooCostly, 'one would not be enough');
    assert.deepEqual(evicted, ['large 2']);
  });

  it('does not let a caller of large prompts push out one of small ones', () => {
    const { offer, evicted } = setUp();
    for (let i = 0; i < 20; i++) offer('small', 45);
    assert.equal(offer('large', 950), tooCostly);
    assert.deepEqual(evicted, []);
  });

  it('gives every caller one place where the places are used up', () => {
    const { offer, evicted } = setUp({ maxWaiting: 10 });
    for (let i = 0; i < 10; i++) offer('small', 1);
    assert.deepEqual([offer('large', 100), offer('large', 100)], [waiting, tooMany]);
    assert.deepEqual(evicted, ['small']);
  });

  it('counts on with the entries that wait when its limits change', () => {
    const { queue, offer, runAll } = setUp();
    for (let i = 0; i < 2; i++) offer('large', 100);
    for (let i = 0; i < 2; i++) offer('small', 10);
    const { maxWaitingCost: _, ...byCalls } = SETTINGS;
    queue.configure(byCalls);
    assert.deepEqual(runAll(), ['large', 'small', 'large', 'small']);
    assert.equal(queue.waitingCost, 0);
    for (let i = 0; i < 2; i++) offer('large', 100);
    for (let i = 0; i < 4; i++) offer('small', 25);
    queue.configure(SETTINGS);
    assert.deepEqual(runAll(), ['large', 'small', 'small', 'small', 'small', 'large']);
  });

  it('predicts a wait by the tokens ahead', () => {
    const { queue, offer, run } = setUp();
    offer('large', 100);
    run();
    queue.serviceMs = 10;
    for (let i = 0; i < 5; i++) offer('large', 100);
    assert.equal(queue.expectedWaitMs(0, 'large'), 60);
    assert.ok(queue.expectedWaitMs(0, 'small') <= 20);
  });

  it('shares tokens evenly between callers that always have calls waiting, whatever these cost', () => {
    const costs = fc.array(fc.nat({ max: 100 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(costs, costs, costs, (...all) => {
        const { queue, offer, run } = setUp({ maxWaitingCost: 1_000_000, maxWaiting: 1_000 });
        const got = [0, 0, 0];
        const sent = [0, 0, 0];
        const send = (who: number): void => {
          const cost = all[who]![sent[who]!++ % all[who]!.length]!;
          offer(`c${who}`, cost, `${who} ${cost}`);
        };
        for (const who of [0, 1, 2]) for (let i = 0; i < 3; i++) send(who);
        for (let i = 0; i < 100; i++) {
          const [who, cost] = run().split(' ').map(Number) as [number, number];
          got[who]! += Math.max(1, cost);
          send(who);
          assert.ok(Math.max(...got) - Math.min(...got) <= 2 * 100, `after ${i}: ${got.join(', ')}`);
        }
        assert.equal(queue.waiting, 9);
      }),
      { numRuns: runs(100) },
    );
  });
});
