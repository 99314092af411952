/** Connections beyond the configured number, where the peer's limit of streams is reached. */
import assert from 'node:assert/strict';
import { Setting } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type Application,
  anUpstream,
  aRoute,
  aStreamRoute,
  type Backend,
  type OutboundStack,
  Stack,
  type UpstreamOptions,
} from '../../kit/stack/stack.js';

/** A route whose calls last as long as they like. */
const ENDLESS = aStreamRoute({ idleTimeoutMs: 0 });

describe('The pool and the peer’s limit of streams', () => {
  let stack: Stack;
  let out: OutboundStack;
  let app: Application;
  let a: Backend;

  beforeEach(() => {
    stack = new Stack();
    a = stack.backend('a');
  });
  afterEach(() => stack.close());

  const open = (over: UpstreamOptions = {}): void => {
    out = stack.outbound(anUpstream(['a'], over));
    app = stack.app(out.listener);
  };
  const pool = () => out.cluster.endpoints[0]!.pool;
  const call = (options = {}): PeerStream => stack.settle(app.call(options));
  const calls = (n: number): PeerStream[] => stack.settle(Array.from({ length: n }, () => app.call()));
  const answers = (): void => {
    a.answer = (stream) => stream.reply();
  };
  const limit = (n: number): void => {
    a.peerOptions = { settings: [[Setting.maxConcurrentStreams, n]] };
  };

  it('a peer with a limit of one stream gets up to three more connections, and calls wait', () => {
    limit(1);
    open();
    const made = Array.from({ length: 10 }, () => call());
    assert.deepEqual([a.peers.length, a.requests.length], [4, 4]);
    for (let i = 0; i < 10; i++) {
      const running = a.requests.slice(i).map(({ peer }) => peer);
      assert.equal(new Set(running).size, running.length, 'never two on one connection');
      stack.settle(a.requests[i]!.reply(Buffer.from(String(i))));
    }
    assert.equal(made.map(({ body }) => body.toString()).join(), [...'0123456789'].join());
    stack.assertIdle();
  });

  it('calls that arrive at once at a limit of one stream get their connections one after the other', () => {
    limit(1);
    open();
    calls(10);
    assert.deepEqual([a.peers.length, a.requests.length], [4, 4]);
  });

  it('a waiting call gets an extra connection though the first connect failed, and no other call arrives', () => {
    limit(1);
    open({ pool: { connections: 1 } });
    const [long] = calls(1);
    a.mode = 'refuses';
    const waiting = call();
    a.mode = 'accepts';
    stack.advance(6_000);
    assert.deepEqual([a.requests.length, a.peers.length], [2, 2]);
    stack.settle(a.requests[1]!.reply());
    assert.deepEqual([long!.isOver, waiting.status], [false, 0]);
  });

  it('connects for waiting calls are no more, and no more often, than may be', () => {
    limit(1);
    open({ pool: { connections: 1 }, routes: [ENDLESS] });
    calls(1);
    a.mode = 'refuses';
    calls(10);
    const { failures } = pool();
    stack.advance(60_000);
    const tried = pool().failures - failures;
    assert.ok(tried > 10 && tried < 40, `${tried} connects in a minute`);
    a.mode = 'accepts';
    stack.advance(10_000);
    assert.deepEqual([pool().activeCount, a.requests.length], [4, 4]);
    stack.advance(60_000);
    assert.equal(pool().activeCount, 4);
  });

  it('a call that comes right after an extra connect has failed gets the next one, and no other call arrives', () => {
    limit(1);
    open({ pool: { connections: 1, connectTimeoutMs: 1000 }, routes: [ENDLESS] });
    calls(1);
    a.mode = 'silent';
    const gone = call({ timeout: '500m' });
    for (let ms = 0; ms < 2_000 && pool().failures === 0; ms++) stack.advance(1);
    assert.deepEqual([gone.status, pool().failures, pool().isConnecting], [4, 1, false]);
    a.mode = 'accepts';
    call();
    assert.equal(a.requests.length, 1);
    stack.advance(50);
    assert.equal(a.requests.length, 2);
  });

  describe('a peer that ends connections soon, though their streams go on', () => {
    const leave = (): void => void stack.settle(a.peer.goaway(0x7fffffff));
    /** Three connections at the limit, the one that leaves, and `waiting` calls. */
    const fillUp = (waiting: number): void => {
      limit(1);
      open({ pool: { connections: 1 }, routes: [ENDLESS] });
      for (let i = 0; i < 9; i++) leave();
      stack.advance(100);
      calls(4 + waiting);
      assert.deepEqual([pool().activeCount, a.requests.length], [4, 4]);
      leave();
    };

    it('gets another connection for the calls that wait, and no other call arrives', () => {
      fillUp(1);
      assert.equal(pool().activeCount, 3);
      stack.advance(200);
      assert.deepEqual([pool().activeCount, a.requests.length], [4, 5]);
    });

    it('gets them later each time', () => {
      fillUp(100);
      const before = a.peers.length;
      for (let ms = 0, seen = before; ms < 10_000; ms++, stack.advance(1))
        for (; seen < a.peers.length; seen++) leave();
      const made = a.peers.length - before;
      assert.ok(made >= 5 && made <= 16, `${made} connections in 10 s`);
    });
  });

  it('extra connections are retired at their age', () => {
    limit(1);
    open({ pool: { maxAgeMs: 60_000 } });
    answers();
    calls(10);
    assert.ok(a.open.length > 1);
    stack.advance(70_000);
    assert.deepEqual([a.open.length, call().status], [1, 0]);
  });

  it('calls wait at a limit of no streams, within their deadlines, until it is raised', () => {
    limit(0);
    open();
    answers();
    const hasty = call({ timeout: '300m' });
    const patient = call({ timeout: '5S' });
    stack.advance(310);
    assert.equal(hasty.status, 4);
    stack.settle(a.peers[0]!.announce([[Setting.maxConcurrentStreams, 10]]));
    assert.equal(patient.status, 0);
    stack.assertIdle();
  });

  it('calls that wait go on when the stream limit is raised', () => {
    limit(1);
    open({ pool: { connections: 1 } });
    calls(20);
    const before = a.requests.length;
    for (const peer of a.peers) peer.announce([[Setting.maxConcurrentStreams, 100]]);
    stack.run();
    assert.equal(a.requests.length, 20);
    assert.ok(before < 20);
  });

  it('a waiting call fails with the others when the connection is lost', () => {
    limit(1);
    open({ routes: [aRoute()] });
    const made = Array.from({ length: 6 }, () => call());
    a.peerOptions = {};
    answers();
    for (const peer of a.peers.slice()) peer.socket.break();
    stack.advance(100);
    assert.deepEqual(made.map(({ status }) => status).sort(), [0, 0, 14, 14, 14, 14]);
    stack.assertIdle();
  });
});
