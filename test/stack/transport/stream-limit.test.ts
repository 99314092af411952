/** Connections beyond the configured number, where the peer's limit of streams is reached. */
import assert from 'node:assert/strict';
import { Setting } from '../../kit/http2/h2-frames.js';
import { ENDLESS, PoolStack } from '../../kit/stack/pool-stack.js';
import { aRoute } from '../../kit/stack/stack.js';

describe('The pool and the peer’s limit of streams', () => {
  let stack: PoolStack;
  beforeEach(() => {
    stack = new PoolStack();
  });

  const limit = (n: number): void => {
    stack.a.peerOptions = { settings: [[Setting.maxConcurrentStreams, n]] };
  };

  it('a peer with a limit of one stream gets up to three more connections, and calls wait', () => {
    limit(1);
    stack.open();
    const made = Array.from({ length: 10 }, () => stack.call());
    assert.deepEqual([stack.a.peers.length, stack.a.requests.length], [4, 4]);
    for (let i = 0; i < 10; i++) {
      const running = stack.a.requests.slice(i).map(({ peer }) => peer);
      assert.equal(new Set(running).size, running.length, 'never two on one connection');
      stack.settle(stack.a.requests[i]!.reply(Buffer.from(String(i))));
    }
    assert.equal(made.map(({ body }) => body.toString()).join(), [...'0123456789'].join());
    stack.assertIdle();
  });

  it('calls that arrive at once at a limit of one stream get their connections one after the other', () => {
    limit(1);
    stack.open();
    stack.calls(10);
    assert.deepEqual([stack.a.peers.length, stack.a.requests.length], [4, 4]);
  });

  it('a waiting call gets an extra connection though the first connect failed, and no other call arrives', () => {
    limit(1);
    stack.open({ pool: { connections: 1 } });
    const [long] = stack.calls(1);
    stack.a.mode = 'refuses';
    const waiting = stack.call();
    stack.a.mode = 'accepts';
    stack.advance(6_000);
    assert.deepEqual([stack.a.requests.length, stack.a.peers.length], [2, 2]);
    stack.settle(stack.a.requests[1]!.reply());
    assert.deepEqual([long!.isOver, waiting.status], [false, 0]);
  });

  it('connects for waiting calls are no more, and no more often, than may be', () => {
    limit(1);
    stack.open({ pool: { connections: 1 }, routes: [ENDLESS] });
    stack.calls(1);
    stack.a.mode = 'refuses';
    stack.calls(10);
    const { failures } = stack.pool;
    stack.advance(60_000);
    const tried = stack.pool.failures - failures;
    assert.ok(tried > 10 && tried < 40, `${tried} connects in a minute`);
    stack.a.mode = 'accepts';
    stack.advance(10_000);
    assert.deepEqual([stack.pool.activeCount, stack.a.requests.length], [4, 4]);
    stack.advance(60_000);
    assert.equal(stack.pool.activeCount, 4);
  });

  it('a call that comes right after an extra connect has failed gets the next one, and no other call arrives', () => {
    limit(1);
    stack.open({ pool: { connections: 1, connectTimeoutMs: 1000 }, routes: [ENDLESS] });
    stack.calls(1);
    stack.a.mode = 'silent';
    const gone = stack.call({ timeout: '500m' });
    for (let ms = 0; ms < 2_000 && stack.pool.failures === 0; ms++) stack.advance(1);
    assert.deepEqual([gone.status, stack.pool.failures, stack.pool.isConnecting], [4, 1, false]);
    stack.a.mode = 'accepts';
    stack.call();
    assert.equal(stack.a.requests.length, 1);
    stack.advance(50);
    assert.equal(stack.a.requests.length, 2);
  });

  describe('a peer that ends connections soon, though their streams go on', () => {
    const leave = (): void => void stack.settle(stack.a.peer.goaway(0x7fffffff));
    /** Three connections at the limit, the one that leaves, and `waiting` calls. */
    const fillUp = (waiting: number): void => {
      limit(1);
      stack.open({ pool: { connections: 1 }, routes: [ENDLESS] });
      for (let i = 0; i < 9; i++) leave();
      stack.advance(100);
      stack.calls(4 + waiting);
      assert.deepEqual([stack.pool.activeCount, stack.a.requests.length], [4, 4]);
      leave();
    };

    it('gets another connection for the calls that wait, and no other call arrives', () => {
      fillUp(1);
      assert.equal(stack.pool.activeCount, 3);
      stack.advance(200);
      assert.deepEqual([stack.pool.activeCount, stack.a.requests.length], [4, 5]);
    });

    it('gets them later each time', () => {
      fillUp(100);
      const before = stack.a.peers.length;
      for (let ms = 0, seen = before; ms < 10_000; ms++, stack.advance(1))
        for (; seen < stack.a.peers.length; seen++) leave();
      const made = stack.a.peers.length - before;
      assert.ok(made >= 5 && made <= 16, `${made} connections in 10 s`);
    });
  });

  it('extra connections are retired at their age', () => {
    limit(1);
    stack.open({ pool: { maxAgeMs: 60_000 } });
    stack.answers();
    stack.calls(10);
    assert.ok(stack.a.open.length > 1);
    stack.advance(70_000);
    assert.deepEqual([stack.a.open.length, stack.call().status], [1, 0]);
  });

  it('calls wait at a limit of no streams, within their deadlines, until it is raised', () => {
    limit(0);
    stack.open();
    stack.answers();
    const hasty = stack.call({ timeout: '300m' });
    const patient = stack.call({ timeout: '5S' });
    stack.advance(310);
    assert.equal(hasty.status, 4);
    stack.settle(stack.a.peers[0]!.announce([[Setting.maxConcurrentStreams, 10]]));
    assert.equal(patient.status, 0);
    stack.assertIdle();
  });

  it('calls that wait go on when the stream limit is raised', () => {
    limit(1);
    stack.open({ pool: { connections: 1 } });
    stack.calls(20);
    const before = stack.a.requests.length;
    for (const peer of stack.a.peers) peer.announce([[Setting.maxConcurrentStreams, 100]]);
    stack.run();
    assert.equal(stack.a.requests.length, 20);
    assert.ok(before < 20);
  });

  it('a waiting call fails with the others when the connection is lost', () => {
    limit(1);
    stack.open({ routes: [aRoute()] });
    const made = Array.from({ length: 6 }, () => stack.call());
    stack.a.peerOptions = {};
    stack.answers();
    for (const peer of stack.a.peers.slice()) peer.socket.break();
    stack.advance(100);
    assert.deepEqual(made.map(({ status }) => status).sort(), [0, 0, 14, 14, 14, 14]);
    stack.assertIdle();
  });
});
