/**
 * Callers that stop reading their answers, and models that stop reading their requests. Who waits for its caller needs no place at the
 * model; a model that has more of a request than it has read is at work, however long nothing moves.
 */
import assert from 'node:assert/strict';
import { Status } from '../../../sidecar/core/outcome/status.js';
import * as h2 from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type Application,
  anInbound,
  aRoute,
  aStreamRoute,
  type InboundOptions,
  type InboundStack,
  MESSAGE,
  Stack,
} from '../../kit/stack/stack.js';

const TALK = '/talk.Service/Talk';
/** More than the window of a model that does not read, and less than the sidecar takes before it is read. */
const UPLOAD = Buffer.alloc(80_000, 'z');
/** More than the windows of a stream on the way and what is held beside them. */
const LONG = Buffer.alloc(2_500_000, 'z');

describe('Scenario: callers that stop reading', () => {
  let stack: Stack;
  let side: InboundStack;
  let reader: Application;
  let stopped: Application;

  const start = (over: InboundOptions = {}): void => {
    stack = new Stack();
    const routes = [aStreamRoute({ methods: ['/talk.Service/*'] }), aRoute({ timeoutMs: 0 })];
    side = stack.inbound(anInbound({ routes, ...over }));
    reader = stack.app(side.listener, 'app');
    stopped = stack.app(side.listener, 'app', { replenishes: false });
  };
  const running = (): number => side.backend.queue.running;
  /** A call of a reader ends within so many ms. */
  const assertServed = (withinMs: number): void => {
    side.model.answer = (stream) => void stream.reply();
    const call = stack.settle(reader.call({ timeout: '30S' }));
    stack.advance(withinMs);
    assert.equal(call.status, Status.OK, call.reason);
  };
  /** A stream whose answer is longer than what its caller takes. */
  const stop = (): readonly [PeerStream, PeerStream] => {
    const near = stack.settle(stopped.call({ path: TALK, body: null }).data(MESSAGE));
    const far = stack.settle(side.model.last.begin().data(LONG));
    return [near, far];
  };
  const leave = (...streams: PeerStream[]): void => {
    for (const each of streams) stack.settle(each.reset());
  };

  it('keep no place at the model, and the others have them all after a second', () => {
    start();
    const ends = [stop(), stop()];
    assert.equal(running(), 2);
    stack.advance(1_010);
    assert.equal(running(), 0);
    for (let i = 0; i < 3; i++) assertServed(10);
    leave(...ends.map(([near]) => near));
  });

  it('keep none with a long answer to a unary call', () => {
    start();
    side.model.answer = (stream) => void stream.begin().data(LONG);
    const calls = [stopped.call(), stopped.call()];
    stack.run();
    assert.equal(running(), 2);
    stack.advance(1_010);
    assertServed(10);
    leave(...calls);
  });

  it('keep none with a complete answer', () => {
    start();
    side.model.answer = (stream) => void stream.reply(LONG.subarray(0, 60_000));
    const calls = [stopped.call(), stopped.call(), stopped.call()];
    stack.run();
    assert.equal(running(), 0);
    leave(...calls);
  });

  it('keep none by what they send meanwhile', () => {
    start();
    const ends = [stop(), stop()];
    for (let i = 0; i < 4; i++) {
      stack.advance(600);
      for (const [near] of ends) stack.settle(near.data(MESSAGE));
    }
    assert.equal(running(), 0);
    assertServed(10);
    leave(...ends.map(([near]) => near));
  });

  it('go on when they read again, in their turn', () => {
    start({ queue: { concurrency: 1 } });
    const [near, far] = stop();
    stack.advance(1_010);
    assert.equal(running(), 0);
    stopped.send(h2.windowUpdate(0, 1 << 24));
    stack.settle(near.credit(1 << 24));
    assert.deepEqual([near.bytes, running()], [LONG.length, 1]);
    stack.settle(far.trailers(0));
    stack.settle(near.end());
    assert.equal(near.status, Status.OK);
  });

  it('wait for their turn when they read again, and no more runs than may', () => {
    start({ queue: { concurrency: 1 } });
    const [near, far] = stop();
    stack.advance(1_010);
    side.model.answer = () => {};
    const [one, other] = [reader.call({ timeout: '30S' }), reader.call({ timeout: '30S' })];
    stack.run();
    const atModel = side.model.last;
    stopped.send(h2.windowUpdate(0, 1 << 24));
    stack.settle(near.credit(1 << 24));
    const held = near.bytes;
    assert.ok(held > 60_000 && held < LONG.length, `${held} bytes`);
    assert.deepEqual([running(), side.model.requests.length], [1, 2]);
    stack.settle(atModel.reply());
    assert.deepEqual(
      [one.status, near.bytes, running()],
      [Status.OK, LONG.length, 1],
      'before the next in line',
    );
    stack.settle(far.trailers(0));
    assert.equal(running(), 1);
    stack.settle(side.model.last.reply());
    assert.equal(other.status, Status.OK);
    stack.settle(near.end());
  });

  it('go on at a model that has one worker for each place, and begins nothing before they are over', () => {
    start({ queue: { concurrency: 2 } });
    const [one, other] = [stop(), stop()];
    stack.advance(1_010);
    const workers = new Set([one[1], other[1]]);
    const behind: PeerStream[] = [];
    side.model.answer = (stream) => void behind.push(stream);
    const calls = Array.from({ length: 3 }, () => reader.call());
    stack.run();
    assert.deepEqual([running(), behind.length], [2, 2]);
    stopped.send(h2.windowUpdate(0, 1 << 24));
    for (const [near] of [one, other]) stack.settle(near.credit(1 << 24));
    let most = 0;
    for (let i = 0; i < 40; i++) {
      stack.advance(1_000);
      most = Math.max(most, running());
      for (const [near, far] of [one, other]) {
        if (near.bytes < LONG.length || !workers.delete(far)) continue;
        stack.settle(far.trailers(0));
        stack.settle(near.end());
      }
      if (workers.size < 2) for (const stream of behind.splice(0)) stack.settle(stream.reply());
    }
    assert.deepEqual(
      [one, other].map(([near]) => near.status),
      [Status.OK, Status.OK],
    );
    assert.deepEqual(
      calls.map(({ status }) => status),
      [Status.OK, Status.OK, Status.OK],
    );
    assert.deepEqual([most, running()], [3, 0]);
  });

  it('that read slowly have a place while the model can go on', () => {
    start();
    const [near, far] = stop();
    stopped.send(h2.windowUpdate(0, 1 << 24));
    let had = 0;
    for (let i = 0; i < 60 && near.bytes < LONG.length; i++) {
      stack.advance(900);
      stack.settle(near.credit(100_000));
      had += running();
    }
    assert.equal(near.bytes, LONG.length);
    assert.ok(had > 1 && had < 20, `${had} of the time`);
    stack.settle(far.trailers(0));
    stack.settle(near.end());
    assert.equal(near.status, Status.OK);
  });

  it('of a model that takes no calls any more get the rest when they read', () => {
    start({ queue: { concurrency: 1 } });
    const [near, far] = stop();
    stack.advance(1_010);
    side.instance.setState({ kind: 'away', why: 'it ends' });
    stopped.send(h2.windowUpdate(0, 1 << 24));
    stack.settle(near.credit(1 << 24));
    assert.equal(near.bytes, LONG.length);
    stack.settle(far.trailers(0));
    stack.settle(near.end());
    assert.equal(near.status, Status.OK);
  });
});

describe('Scenario: models that stop reading', () => {
  let stack: Stack;
  let side: InboundStack;
  let app: Application;

  const start = (): void => {
    stack = new Stack();
    stack.backend('model').peerOptions = { replenishes: false };
    const routes = [aStreamRoute({ methods: ['/talk.Service/*'] }), aRoute()];
    side = stack.inbound(anInbound({ routes, queue: { concurrency: 1 } }));
    app = stack.app(side.listener, 'app');
  };
  const running = (): number => side.backend.queue.running;

  it('have no more calls than they run at once', () => {
    start();
    const near = stack.settle(app.call({ path: TALK, body: null }).data(LONG));
    const far = side.model.last;
    assert.ok(far.bytes < LONG.length, 'the model does not read');
    const waiting = stack.settle(app.call({ timeout: '30S' }));
    stack.advance(5_000);
    assert.deepEqual([running(), side.model.requests.length], [1, 1]);
    assert.equal(side.instance.activity.report().inFlight, 1);
    side.model.answer = (stream) => void stream.reply();
    far.peer.send(h2.windowUpdate(0, 1 << 24));
    stack.settle(far.credit(1 << 24));
    assert.equal(far.bytes, LONG.length);
    stack.advance(1_010);
    assert.equal(waiting.status, Status.OK, 'it has read all, and waits for its caller');
    stack.settle(near.reset());
  });

  it('keep it no longer than a second once they have read all and are silent', () => {
    start();
    const near = stack.settle(app.call({ path: TALK, body: null }).data(UPLOAD));
    const far = side.model.last;
    stack.advance(5_000);
    assert.ok(far.bytes < UPLOAD.length, `${far.bytes} bytes`);
    assert.equal(running(), 1, 'it is at work');
    far.peer.send(h2.windowUpdate(0, 1 << 24));
    stack.settle(far.credit(1 << 24));
    assert.deepEqual([far.bytes, running()], [UPLOAD.length, 1]);
    stack.advance(2_020);
    assert.deepEqual([running(), side.backend.queue.suspended], [0, 1]);
    stack.settle(near.reset());
  });

  it('keep it while they read on, and while they answer', () => {
    start();
    const near = stack.settle(app.call({ path: TALK, body: null }).data(UPLOAD));
    const far = side.model.last;
    far.peer.send(h2.windowUpdate(0, 1 << 24));
    for (let i = 0; i < 5; i++) {
      stack.advance(1_500);
      stack.settle(far.credit(1_000));
      assert.equal(running(), 1, `read ${far.bytes}`);
    }
    assert.ok(far.bytes < UPLOAD.length, `${far.bytes} bytes`);
    stack.settle(far.credit(1 << 24));
    stack.settle(far.begin());
    for (let i = 0; i < 5; i++) {
      stack.advance(900);
      stack.settle(far.data(MESSAGE));
      assert.equal(running(), 1, `answer ${i}`);
    }
    assert.equal(side.instance.activity.report().inFlight, 1);
    stack.settle(near.reset());
  });

  it('because their answer is not read have their place given away', () => {
    start();
    const stopped = stack.app(side.listener, 'app', { replenishes: false });
    const near = stack.settle(stopped.call({ path: TALK, body: null }).data(MESSAGE));
    stack.settle(side.model.last.begin().data(LONG));
    stack.settle(near.data(LONG));
    stack.advance(2_020);
    assert.equal(running(), 0);
    stack.settle(near.reset());
  });
});

describe('Scenario: streams that go on after a wait for their turn', () => {
  let stack: Stack;
  let side: InboundStack;
  let app: Application;
  let stream: PeerStream;
  let far: PeerStream;

  const running = (): number => side.backend.queue.running;
  /** A silent stream sends again, waits for longer than a second, and gets the only place. */
  beforeEach(() => {
    stack = new Stack();
    const routes = [aStreamRoute({ methods: ['/talk.Service/*'] }), aRoute()];
    side = stack.inbound(anInbound({ routes, queue: { concurrency: 1 } }));
    app = stack.app(side.listener, 'app');
    stream = stack.settle(app.call({ path: TALK, body: null }).data(MESSAGE));
    far = side.model.last;
    stack.settle(far.begin().data(MESSAGE));
    stack.advance(1_010);
    assert.deepEqual([running(), side.backend.queue.suspended], [0, 1]);
    const other = stack.settle(app.call({ timeout: '30S' }));
    const atModel = side.model.last;
    stack.settle(stream.data(MESSAGE));
    stack.advance(2_500);
    assert.deepEqual([running(), far.bytes], [1, MESSAGE.length], 'it waits');
    stack.settle(atModel.reply());
    assert.deepEqual([other.status, running(), far.bytes], [Status.OK, 1, 2 * MESSAGE.length]);
  });
  afterEach(() => void stack.settle(stream.reset()));

  it('lose it after a second of silence', () => {
    stack.advance(900);
    assert.equal(running(), 1);
    stack.advance(120);
    assert.deepEqual([running(), side.backend.queue.suspended], [0, 1]);
    assert.equal(side.instance.activity.report().inFlight, 0);
  });

  it('keep it while their callers send', () => {
    for (let i = 0; i < 5; i++) {
      stack.advance(900);
      stack.settle(stream.data(MESSAGE));
      assert.equal(running(), 1, `message ${i}`);
    }
    assert.equal(side.instance.activity.report().inFlight, 1);
  });
});
