/** A listener that drains, and the limits of those that come in. */
import assert from 'node:assert/strict';
import { FrameType } from '../../kit/http2/h2-frames.js';
import type { MemorySocket } from '../../kit/http2/memory-net.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { statusesOf } from '../../kit/stack/call-ends.js';
import { addressOf, anUpstream, aStreamRoute, Stack } from '../../kit/stack/stack.js';

const MAX_ID = 0x7fffffff;

describe('A drain', () => {
  let stack: UpstreamStack;
  let isDrained: boolean;

  beforeEach(() => {
    stack = new UpstreamStack(['a'], { routes: [aStreamRoute()] });
    isDrained = false;
  });

  const open = (app = stack.caller): PeerStream => stack.settle(app.call({ body: null }));
  const drain = (): void => {
    void stack.out.listener.drain().then(() => {
      isDrained = true;
    });
    stack.run();
  };
  /** Of a drain that has gone so far. */
  const assertOver = async (isOver: boolean): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([isDrained, stack.caller.isClosed], [isOver, isOver]);
  };
  const lastIds = (app = stack.caller): number[] =>
    app.goaways.map(({ payload }) => payload.readUInt32BE(0) & MAX_ID);

  it('a drain sends GOAWAY twice: first without taking a stream away, then with the last stream it took', () => {
    const call = open();
    drain();
    assert.deepEqual(lastIds(), [MAX_ID]);
    const late = open();
    assert.equal(stack.requests.length, 2, 'what crossed the first one is served');
    stack.advance(260);
    assert.deepEqual(lastIds(), [MAX_ID, late.id]);
    assert.equal(call.isOver || late.isOver, false);
  });

  it('a drain delays the second GOAWAY for a client that stands still, and serves the calls that it opens meanwhile', () => {
    open();
    stack.caller.socket.pause();
    drain();
    stack.advance(1_000);
    const late = open();
    stack.caller.socket.resume();
    stack.advance(10);
    assert.deepEqual(lastIds(), [MAX_ID, late.id]);
    assert.deepEqual([late.resetCode, stack.requests.length], [undefined, 2]);
  });

  it('a drain sends the second GOAWAY after 3 s to a client that answers no PING', () => {
    const app = stack.app(stack.out.listener, undefined, { answersPings: false });
    const call = open(app);
    drain();
    stack.advance(2_900);
    assert.deepEqual(lastIds(app), [MAX_ID]);
    stack.advance(200);
    assert.deepEqual(lastIds(app), [MAX_ID, call.id]);
  });

  it('a renewal of all connections leaves the listener open: a client that gets GOAWAY connects again', () => {
    const call = open();
    stack.settle(stack.out.listener.retireSessions());
    stack.advance(260);
    assert.deepEqual(lastIds(), [MAX_ID, call.id]);
    const again = stack.app(stack.out.listener);
    assert.deepEqual([stack.settle(again.call()).isOver, stack.requests.length], [false, 2]);
  });

  it('a call after the second GOAWAY is refused as never processed', () => {
    open();
    drain();
    stack.advance(260);
    assert.deepEqual([stack.settle(stack.caller.call()).resetCode, stack.requests.length], [7, 1]);
  });

  it('a drain lets calls in flight finish, closes their connections, and resolves', async () => {
    const call = open();
    drain();
    stack.advance(60_000);
    await assertOver(false);
    call.end();
    stack.settle(stack.backend('a').last.begin().data(Buffer.from('done')).trailers(0));
    assert.deepEqual([call.status, call.body.toString()], [0, 'done']);
    await assertOver(true);
  });

  it('a drain of an idle connection is over after the second GOAWAY', async () => {
    drain();
    stack.advance(300);
    await assertOver(true);
    assert.equal(stack.caller.goaways.length, 2);
  });

  it('a drain without connections is over at once', async () => {
    stack.settle(stack.caller.socket.destroy());
    drain();
    await assertOver(true);
  });

  it('a second drain joins the first', async () => {
    drain();
    drain();
    stack.advance(300);
    await assertOver(true);
    assert.equal(stack.caller.goaways.length, 2);
  });

  it('a stop during a drain loses the calls that are left, and counts them', () => {
    const call = open();
    drain();
    stack.advance(1000);
    stack.settle(stack.out.listener.stop());
    assert.deepEqual(
      [stack.caller.isClosed, call.isOver, stack.backend('a').last.resetCode],
      [true, false, 8],
    );
  });

  it('a drain loses no call of an outbound sidecar', () => {
    const stacked = new Stack();
    const behind = stacked.outbound(anUpstream(['a'], { name: 'behind' }));
    const onSocket = (socket: MemorySocket): void => behind.listener.accept(socket as never, null);
    stacked.net.declare('front:1', { mode: 'accepts', onSocket });
    stacked.backend('a').answer = (stream) => stream.reply();
    const endpoints = [{ address: addressOf('front'), weight: 1, id: 'other' }];
    const front = stacked.outbound(anUpstream([], { name: 'front', endpoints }));
    const caller = stacked.app(front.listener);
    const made: PeerStream[] = [];
    for (let i = 0; i < 50; i++) {
      made.push(caller.call());
      // Calls are under way in every phase of the drain.
      if (i === 20) for (const link of behind.listener.sessions) void link.connection.announceGoaway();
      if (i === 30) for (const link of behind.listener.sessions) void link.connection.finalGoaway();
      stacked.turn();
    }
    stacked.advance(1000);
    assert.ok(statusesOf(made).every((status) => status === 0));
    stacked.close();
  });

  it('the connection of a caller that sends GOAWAY closes when its calls have ended', () => {
    const call = open();
    stack.settle(stack.caller.goaway(0));
    assert.equal(stack.caller.isClosed, false);
    call.end();
    stack.settle(stack.backend('a').last.fail(0));
    assert.deepEqual([call.status, stack.caller.isClosed], [0, true]);
  });

  for (const [when, hasCall] of [
    ['at once', false],
    ['with its last call', true],
  ] as const)
    it(`the call of a caller behind its GOAWAY is refused as never processed where its connection closes ${when}`, () => {
      const last = hasCall ? open() : null;
      const requests = stack.requests.length;
      stack.caller.goaway(0);
      last?.reset();
      const late = stack.caller.call();
      stack.run();
      assert.deepEqual([late.resetCode, stack.requests.length, stack.caller.isClosed], [7, requests, true]);
    });
});

describe('A newcomer', () => {
  let stack: UpstreamStack;
  beforeEach(() => {
    stack = new UpstreamStack(['a']);
  });

  it('a new connection that sends nothing is closed after the handshake timeout', () => {
    stack.settle(stack.caller.socket.destroy());
    const [near, far] = stack.net.pair();
    stack.out.listener.accept(far as never, null);
    stack.advance(4990);
    assert.equal(near.destroyed, false);
    stack.advance(20);
    assert.deepEqual([near.destroyed, stack.context.stats.limits.get('handshake-timeout')], [true, 1]);
    assert.equal(stack.context.stats.connectionsOpen, 0);
  });

  const HOUR_MS = 3_600_000;

  it('a connection that is idle for less than an hour stays open, without a PING', () => {
    stack.advance(HOUR_MS - 60_000);
    assert.deepEqual([stack.caller.isClosed, stack.caller.count(FrameType.ping)], [false, 0]);
  });

  it('a connection without a call for an hour is closed, with GOAWAY, and the next one is served', () => {
    stack.advance(HOUR_MS + 120_000);
    assert.deepEqual([stack.caller.isClosed, stack.caller.count(FrameType.goaway)], [true, 2]);
    assert.equal(stack.context.stats.limits.get('idle'), 1);
    const again = stack.app(stack.out.listener);
    const call = stack.settle(again.call());
    stack.settle(stack.backend('a').last.reply());
    assert.equal(call.status, 0);
  });

  it('a connection with a call now and then is not idle', () => {
    for (let i = 0; i < 6; i++) {
      stack.advance(HOUR_MS / 2);
      const call = stack.settle(stack.caller.call());
      stack.settle(stack.backend('a').last.reply());
      assert.equal(call.status, 0);
    }
    assert.equal(stack.caller.count(FrameType.goaway), 0);
  });
});

describe('A quiet stream', () => {
  /** Without a limit of its own, as a Watch has none. */
  const quiet = () => {
    const stack = new UpstreamStack(['a'], { routes: [aStreamRoute({ idleTimeoutMs: 0 })] });
    return { stack, call: stack.settle(stack.caller.call({ body: null })) };
  };

  it('keeps its connection for days, as its peer answers PINGs', () => {
    const { stack, call } = quiet();
    for (let i = 0; i < 48; i++) stack.advance(3_600_000);
    assert.deepEqual([call.isOver, stack.caller.isClosed], [false, false]);
    assert.ok(stack.caller.count(FrameType.ping) >= 20);
    stack.settle(stack.backend('a').last.reply());
    call.end();
    stack.run();
    assert.equal(call.status, 0);
  });

  it('ends when its peer is gone without a word', () => {
    const { stack, call } = quiet();
    stack.advance(3_600_000);
    stack.caller.socket.isCut = true;
    for (let i = 0; i < 3; i++) stack.advance(3_600_000);
    assert.equal(call.isOver, false);
    assert.equal(stack.context.stats.limits.get('keepalive'), 1);
    assert.equal(stack.context.stats.connectionsOpen, 0);
    stack.caller.socket.destroy();
  });
});
