/** Calls have a longest wait in the queue before the model: by their class, and streams by what their callers wait for. */
import assert from 'node:assert/strict';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertUnprocessed, statusesOf } from '../../kit/stack/call-ends.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import { aRoute, aStreamRoute, MESSAGE } from '../../kit/stack/stack.js';

const PRIORITY = { key: 'x-class', classes: ['now', 'later'], defaultClass: 'later' };

describe('The longest wait of a class', () => {
  let stack: ModelStack;
  const start = (maxWait?: readonly number[]): void => {
    const priority = maxWait === undefined ? PRIORITY : { ...PRIORITY, maxWait };
    stack = new ModelStack({ queue: { concurrency: 1, priority } });
    stack.model.answer = () => {};
  };
  const ofClass = (name: string, timeout?: string): PeerStream =>
    stack.call({ metadata: [['x-class', name]], ...(timeout === undefined ? {} : { timeout }) });

  it('is that of its own class: then the call is refused as one that the model has not seen', () => {
    start([200, 0]);
    const running = ofClass('now');
    const waiting = [ofClass('now'), ofClass('later')];
    stack.advance(199);
    assert.deepEqual(statusesOf(waiting), [-1, -1]);
    stack.advance(2);
    assert.deepEqual(statusesOf(waiting), [8, -1]);
    assertUnprocessed(waiting[0]!, [8, 'overloaded']);
    stack.settle(stack.requests[0]!.reply());
    stack.settle(stack.requests[1]!.reply());
    assert.deepEqual(statusesOf([running, waiting[1]!]), [0, 0]);
    assert.equal(stack.requests.length, 2);
  });

  it('does not end a call that runs, however long that takes', () => {
    start([200, 300]);
    const first = ofClass('later');
    const second = ofClass('later');
    stack.advance(250);
    stack.settle(stack.requests[0]!.reply());
    stack.advance(10_000);
    assert.deepEqual(statusesOf([first, second]), [0, -1]);
    stack.settle(stack.requests[1]!.reply());
    assert.equal(second.status, 0);
  });

  it('does not make a deadline later, and without one said a call waits until its deadline', () => {
    start([5_000, 5_000]);
    const calls = [ofClass('now'), ofClass('now', '100m')];
    stack.advance(101);
    assert.deepEqual(statusesOf(calls), [-1, 4]);
    stack.settle(stack.requests[0]!.reply());
    stack.close();
    start();
    const [running, patient] = [ofClass('now'), ofClass('now')];
    stack.advance(14_000);
    assert.deepEqual(statusesOf([running, patient]), [-1, -1]);
    for (const i of [0, 1]) stack.settle(stack.requests[i]!.reply());
    assert.equal(patient.status, 0);
  });
});

describe('The wait of a stream whose caller gives up when the first message is late', () => {
  /** Another value in each test: a list that has come before has no field of its own, as those of sidecars have. */
  const told = (value: string) => ({ metadata: [['outrider-attempt-timeout', value]] as const });
  let stack: ModelStack;
  beforeEach(() => {
    stack = new ModelStack({ routes: [aStreamRoute()], queue: { concurrency: 1 } });
    stack.model.answer = () => {};
  });

  it('ends before the caller gives up, and the stream is refused as one that the model has not seen', () => {
    const [running, waiting, patient] = [stack.call(), stack.call(told('1000m')), stack.call()];
    stack.advance(890);
    assert.deepEqual(statusesOf([running, waiting, patient]), [-1, -1, -1]);
    stack.advance(20);
    assertUnprocessed(waiting, [8, 'overloaded']);
    stack.advance(60_000);
    // One that runs is not ended, nor one whose caller says nothing.
    assert.deepEqual(statusesOf([running, patient]), [-1, -1]);
    assert.equal(stack.requests.length, 1);
    assert.equal(stack.requests[0]!.header('outrider-attempt-timeout'), undefined);
  });

  it('does not while the caller has more to send, and counts from the end of the request', () => {
    stack.call();
    const open = stack.call({ ...told('2S'), body: null });
    stack.advance(10_000);
    assert.equal(open.isOver, false);
    stack.settle(open.data(MESSAGE).end());
    stack.advance(1_790);
    assert.equal(open.isOver, false);
    stack.advance(20);
    assertUnprocessed(open, [8, 'overloaded']);
  });

  it('counts as well while its window is used up: then its caller waits for this side, whatever more it has to send', () => {
    stack.call();
    const large = stack.call({ ...told('3S'), body: null });
    stack.settle(large.data(Buffer.alloc(60_000)));
    stack.advance(2_690);
    assert.equal(large.isOver, false);
    stack.advance(20);
    assertUnprocessed(large, [8, 'overloaded']);
  });

  it('leaves the model the time that it usually needs, also where that is learnt while it waits', () => {
    const running = stack.call(told('4S'));
    const before = stack.call(told('4000m'));
    stack.advance(1_500);
    stack.settle(stack.requests[0]!.begin().data(MESSAGE));
    const after = stack.call(told('4000000u'));
    for (let i = 0; i < 2; i++) {
      stack.advance(900);
      stack.settle(stack.requests[0]!.data(MESSAGE));
    }
    // Twice 1.5 s would be more than half of the time.
    stack.advance(190);
    assert.deepEqual(statusesOf([running, before, after]), [-1, -1, -1]);
    stack.advance(20);
    assertUnprocessed(after, [8, 'overloaded']);
    assert.equal(before.isOver, false, 'its turn has not come, nor nine tenths of its time');
    stack.settle(stack.requests[0]!.trailers(0));
    assertUnprocessed(before, [8, 'overloaded']);
    assert.equal(stack.requests.length, 1, 'it would not have begun in time');
    assert.equal(stack.call().isOver, false);
    assert.equal(stack.requests.length, 2, 'the place is free');
  });
});

describe('The wait of a call for a place until its deadline', () => {
  it('ends before the caller gives up, so that it hears that the replica is full', () => {
    for (const routes of [[aStreamRoute()], [aRoute()]]) {
      const stack = new ModelStack({ routes, queue: { concurrency: 1 } });
      stack.model.answer = () => {};
      const [running, waiting, short] = [
        stack.call(),
        stack.call({ timeout: '2S' }),
        stack.call({ timeout: '50m' }),
      ];
      stack.advance(40);
      assert.deepEqual(statusesOf([running, waiting, short]), [-1, -1, -1]);
      stack.advance(9);
      assertUnprocessed(short, [4, 'queue-expired']);
      stack.advance(1_930);
      assert.equal(waiting.isOver, false);
      stack.advance(6);
      assertUnprocessed(waiting, [4, 'queue-expired']);
      assert.equal(running.isOver, false);
      assert.equal(stack.side.backend.queue.expiredTotal, 2);
      stack.close();
    }
  });
});
