/** A listener that drains, and the limits of those that come in. */
import assert from 'node:assert/strict';
import { FrameType } from '../../kit/http2/h2-frames.js';
import {
  type Application,
  anUpstream,
  aStreamRoute,
  type OutboundStack,
  Stack,
} from '../../kit/stack/stack.js';

const MAX_ID = 0x7fffffff;

describe('A drain', () => {
  let stack: Stack;
  let out: OutboundStack;
  let app: Application;
  let isDrained: boolean;

  beforeEach(() => {
    stack = new Stack();
    out = stack.outbound(anUpstream(['a'], { routes: [aStreamRoute()] }));
    app = stack.app(out.listener);
    isDrained = false;
  });
  afterEach(() => stack.close());

  const drain = (): void => {
    void out.listener.drain().then(() => {
      isDrained = true;
    });
    stack.run();
  };
  const lastIds = (): number[] => app.goaways.map(({ payload }) => payload.readUInt32BE(0) & MAX_ID);
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('a drain sends GOAWAY twice: first without taking a stream away, then with the last stream it took', () => {
    const call = stack.settle(app.call({ body: null }));
    drain();
    assert.deepEqual(lastIds(), [MAX_ID]);
    const late = stack.settle(app.call({ body: null }));
    assert.equal(stack.backend('a').requests.length, 2, 'what crossed the first one is served');
    stack.advance(260);
    assert.deepEqual(lastIds(), [MAX_ID, late.id]);
    assert.equal(call.isOver || late.isOver, false);
  });

  it('a drain delays the second GOAWAY for a client that stands still, and serves the calls that it opens meanwhile', () => {
    stack.settle(app.call({ body: null }));
    app.socket.pause();
    drain();
    stack.advance(1_000);
    const late = stack.settle(app.call({ body: null }));
    app.socket.resume();
    stack.advance(10);
    assert.deepEqual(lastIds(), [MAX_ID, late.id]);
    assert.equal(late.resetCode, undefined);
    assert.equal(stack.backend('a').requests.length, 2);
  });

  it('a drain sends the second GOAWAY after 3 s to a client that answers no PING', () => {
    app = stack.app(out.listener, undefined, { answersPings: false });
    const call = stack.settle(app.call({ body: null }));
    drain();
    stack.advance(2_900);
    assert.deepEqual(lastIds(), [MAX_ID]);
    stack.advance(200);
    assert.deepEqual(lastIds(), [MAX_ID, call.id]);
  });

  it('a renewal of all connections leaves the listener open: a client that gets GOAWAY connects again', () => {
    const call = stack.settle(app.call({ body: null }));
    stack.settle(out.listener.renew());
    stack.advance(260);
    assert.deepEqual(lastIds(), [MAX_ID, call.id]);
    const again = stack.app(out.listener);
    assert.equal(stack.settle(again.call()).isOver, false);
    assert.equal(stack.backend('a').requests.length, 2);
  });

  it('a call after the second GOAWAY is refused as never processed', () => {
    stack.settle(app.call({ body: null }));
    drain();
    stack.advance(260);
    assert.equal(stack.settle(app.call()).resetCode, 7);
    assert.equal(stack.backend('a').requests.length, 1);
  });

  it('a drain lets calls in flight finish, closes their connections, and resolves', async () => {
    const call = stack.settle(app.call({ body: null }));
    drain();
    stack.advance(60_000);
    await settle();
    assert.deepEqual([isDrained, app.isClosed], [false, false]);
    call.end();
    stack.backend('a').last.begin().data(Buffer.from('done')).trailers(0);
    stack.run();
    assert.deepEqual([call.status, call.body.toString()], [0, 'done']);
    await settle();
    assert.deepEqual([isDrained, app.isClosed], [true, true]);
  });

  it('a drain of an idle connection is over after the second GOAWAY', async () => {
    drain();
    stack.advance(300);
    await settle();
    assert.deepEqual([isDrained, app.isClosed], [true, true]);
    assert.equal(app.goaways.length, 2);
  });

  it('a drain without connections is over at once', async () => {
    stack.settle(app.socket.destroy());
    drain();
    await settle();
    assert.equal(isDrained, true);
  });

  it('a second drain joins the first', async () => {
    drain();
    drain();
    stack.advance(300);
    await settle();
    assert.equal(app.goaways.length, 2);
    assert.equal(isDrained, true);
  });

  it('a stop during a drain loses the calls that are left, and counts them', () => {
    const call = stack.settle(app.call({ body: null }));
    drain();
    stack.advance(1000);
    stack.settle(out.listener.stop());
    assert.equal(app.isClosed, true);
    assert.equal(call.isOver, false);
    assert.equal(stack.backend('a').last.resetCode, 8);
    stack.assertIdle();
  });

  it('a drain loses no call of an outbound sidecar', () => {
    const stacked = new Stack();
    const behind = stacked.outbound(anUpstream(['a'], { name: 'behind' }));
    const net = stacked.net;
    net.declare('front:1', {
      mode: 'accepts',
      onSocket: (socket) => behind.listener.accept(socket as never, null),
    });
    stacked.backend('a').answer = (stream) => stream.reply();
    const config = anUpstream([], { name: 'front' });
    const front = stacked.outbound({
      ...config,
      endpoints: [{ address: { kind: 'tcp', host: 'front', port: 1 }, weight: 1, id: 'other' }],
    });
    const caller = stacked.app(front.listener);
    const made = [];
    for (let i = 0; i < 50; i++) {
      made.push(caller.call());
      // Calls are under way in every phase of the drain.
      if (i === 20) for (const link of behind.listener.sessions) void link.connection.announceGoaway();
      if (i === 30) for (const link of behind.listener.sessions) void link.connection.finalGoaway();
      stacked.turn();
    }
    stacked.advance(1000);
    for (const call of made) assert.equal(call.status, 0);
    stacked.close();
  });

  it('the connection of a caller that sends GOAWAY closes when its calls have ended', () => {
    const call = stack.settle(app.call({ body: null }));
    stack.settle(app.goaway(0));
    assert.equal(app.isClosed, false);
    call.end();
    stack.backend('a').last.fail(0);
    stack.run();
    assert.equal(call.status, 0);
    assert.equal(app.isClosed, true);
  });
});

describe('A newcomer', () => {
  let stack: Stack;
  let out: OutboundStack;
  beforeEach(() => {
    stack = new Stack();
    out = stack.outbound(anUpstream(['a']));
  });
  afterEach(() => stack.close());

  it('a new connection that sends nothing is closed after the handshake timeout', () => {
    const [near, far] = stack.net.pair();
    out.listener.accept(far as never, null);
    stack.advance(4990);
    assert.equal(near.destroyed, false);
    stack.advance(20);
    assert.equal(near.destroyed, true);
    assert.equal(stack.context.stats.limits.get('handshake-timeout'), 1);
    assert.equal(stack.context.stats.connectionsOpen, 0);
  });

  it('a connection that is idle for an hour stays open, without a PING', () => {
    const app = stack.app(out.listener);
    stack.advance(3_600_000);
    assert.equal(app.isClosed, false);
    assert.equal(app.count(FrameType.ping), 0);
  });
});
