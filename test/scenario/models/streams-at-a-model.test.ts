/**
 * Streams and unary calls at one model. A stream lasts as long as it likes: its life says nothing about how long an
 * inference takes, and while nothing moves on it, it keeps no other call out.
 */
import assert from 'node:assert/strict';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { countBy } from '../../kit/scenario/counts.js';
import {
  type Application,
  anInbound,
  aRoute,
  aStreamRoute,
  type CallOptions,
  type InboundOptions,
  type InboundStack,
  MESSAGE,
  Stack,
} from '../../kit/stack/stack.js';

const TALK = '/talk.Service/Talk';
const RUN_MS = 5;

describe('Scenario: streams at a model', () => {
  let stack: Stack;
  let side: InboundStack;
  let app: Application;

  const start = (over: InboundOptions = {}): void => {
    stack = new Stack();
    const routes = [aStreamRoute({ methods: ['/talk.Service/*'] }), aRoute()];
    side = stack.inbound(anInbound({ routes, ...over }));
    app = stack.app(side.listener, 'app');
    side.model.answer = (stream) => void stack.clock.after(RUN_MS, () => stream.reply());
  };
  const running = (): number => side.backend.queue.running;
  const call = (options: CallOptions = {}): PeerStream =>
    stack.settle(app.call({ timeout: '1S', ...options }));
  /** A stream in both directions that has said something: the caller’s end and the model’s. */
  const talk = (): readonly [PeerStream, PeerStream] => {
    const near = stack.settle(app.call({ path: TALK, body: null }).data(MESSAGE));
    return [near, stack.settle(side.model.last.begin())];
  };
  const end = (near: PeerStream, far: PeerStream): void => {
    far.trailers(0);
    stack.settle(near.end());
  };
  /** Unary calls, one every `everyMs`; by status. */
  const load = (count: number, everyMs: number): Record<number, number> => {
    const calls: PeerStream[] = [];
    for (let i = 0; i < count; i++) {
      calls.push(call());
      stack.advance(everyMs);
    }
    stack.advance(2_000);
    return countBy(calls, ({ status }) => status);
  };

  it('a long one does not count as the duration of an inference', () => {
    start();
    load(50, RUN_MS + 1);
    const [near, far] = talk();
    for (let i = 0; i < 600; i++) {
      far.data(MESSAGE);
      stack.advance(1_000);
    }
    end(near, far);
    const { serviceMs } = side.backend.queue;
    const { usualMs } = side.instance.activity.report();
    assert.ok(serviceMs <= RUN_MS && usualMs <= RUN_MS, `${serviceMs} and ${usualMs} ms`);
    // More than the places there are, so that some have to wait; none is refused because it would wait too long.
    assert.deepEqual(load(60, 2), { 0: 60 });
  });

  describe('on which nothing moves', () => {
    it('keep no call waiting, however many', () => {
      start();
      const talks = [talk(), talk()];
      assert.equal(running(), 2);
      const first = call({ timeout: '5S' });
      stack.advance(980);
      assert.deepEqual([first.isOver, running()], [false, 2], 'not before a second is over');
      stack.advance(30);
      assert.deepEqual([first.status, running()], [0, 0]);
      assert.deepEqual(load(10, 100), { 0: 10 });
      for (const [near, far] of talks) end(near, far);
      assert.equal(running(), 0);
      assert.equal(side.backend.queue.admittedTotal, 13, 'each is let through once');
    });

    it('wait for a place when the caller goes on and none is free, and go before the next in line', () => {
      start({ queue: { concurrency: 1 } });
      const [near, far] = talk();
      stack.advance(1_010);
      side.model.answer = () => {};
      const [one, other] = [call({ timeout: '30S' }), call({ timeout: '30S' })];
      const atModel = side.model.last;
      assert.deepEqual([running(), side.backend.queue.waiting], [1, 1]);
      stack.settle(near.data(MESSAGE));
      stack.settle(near.data(MESSAGE));
      assert.deepEqual([running(), far.bytes], [1, MESSAGE.length], 'no more than may run');
      stack.settle(far.data(MESSAGE));
      assert.equal(near.bytes, MESSAGE.length, 'what the model says is passed on');
      stack.settle(atModel.reply());
      assert.deepEqual([one.status, running(), side.backend.queue.waiting], [0, 1, 1]);
      assert.equal(far.bytes, 3 * MESSAGE.length);
      stack.advance(1_010);
      assert.deepEqual([running(), side.backend.queue.waiting], [1, 0], 'silent again');
      stack.settle(side.model.last.reply());
      assert.equal(other.status, 0);
      end(near, far);
    });

    it('take it too when the model goes on', () => {
      start();
      const [near, far] = talk();
      stack.advance(1_010);
      assert.equal(running(), 0);
      stack.settle(far.data(MESSAGE));
      assert.equal(running(), 1);
      end(near, far);
      assert.equal(running(), 0);
    });

    it('may end, be given up or pass their deadline', () => {
      start();
      const [ended, left, late] = [talk(), talk(), app.call({ path: TALK, body: null, timeout: '5S' })];
      stack.advance(1_010);
      assert.equal(running(), 1, 'the third one waited for its place until now');
      stack.advance(1_010);
      assert.equal(running(), 0);
      end(...ended);
      left[0].reset();
      stack.advance(5_000);
      assert.equal(late.status, 4);
      stack.assertIdle();
    });

    it('are ended after their idle time all the same', () => {
      start({ routes: [aStreamRoute({ idleTimeoutMs: 3_000 })] });
      const [near] = talk();
      stack.advance(2_990);
      assert.equal(near.isOver, false);
      stack.advance(20);
      assert.equal(near.reason, 'idle-timeout');
    });
  });

  it('that bring something all along keep their place', () => {
    start();
    const [near, far] = talk();
    for (let i = 0; i < 20; i++) {
      stack.advance(900);
      assert.equal(running(), 1);
      stack.settle(far.data(MESSAGE));
    }
    end(near, far);
  });

  it('whose whole request waits for the first of the answer are at work', () => {
    start();
    side.model.answer = () => {};
    const stream = app.call({ path: TALK });
    stack.advance(20_000);
    assert.equal(running(), 1);
    side.model.last.begin().data(MESSAGE);
    stack.advance(990);
    assert.equal(running(), 1);
    stack.advance(20);
    assert.equal(running(), 0);
    stack.settle(side.model.last.trailers(0));
    assert.equal(stream.status, 0);
  });

  describe('as the hang detector sees them', () => {
    it('are no runs while they are silent, and new ones when they go on', () => {
      start();
      const [near, far] = talk();
      assert.equal(side.instance.activity.report().inFlight, 1);
      stack.advance(60_000);
      const silent = side.instance.activity.report();
      const counts = [silent.inFlight, silent.oldestStartMs, silent.completed, silent.abandoned];
      assert.deepEqual(counts, [0, 0, 0, 0]);
      stack.settle(near.data(MESSAGE));
      const now = stack.clock.now();
      const { inFlight, abandoned, oldestStartMs } = side.instance.activity.report();
      assert.deepEqual([inFlight, abandoned, oldestStartMs], [1, 0, now]);
      end(near, far);
    });

    const sendTen = (stream: PeerStream): void => {
      for (let i = 0; i < 10; i++) {
        stack.advance(500);
        stack.settle(stream.data(MESSAGE));
      }
    };

    it('are as fresh as the last of their answer, whatever the caller sends', () => {
      start();
      const [near, far] = talk();
      sendTen(far);
      const toldMs = stack.clock.now();
      sendTen(near);
      assert.equal(side.instance.activity.report().oldestStartMs, toldMs);
      end(near, far);
    });
  });
});
