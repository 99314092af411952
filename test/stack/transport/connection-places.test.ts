/** All places of a listener are taken: whose place a new connection gets, and when it gets none. */
import assert from 'node:assert/strict';
import { STALLED_MS } from '../../../sidecar/core/admission/stalled-work.js';
import { Flag, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type Application,
  anUpstream,
  aRoute,
  aStreamRoute,
  type OutboundStack,
  Stack,
} from '../../kit/stack/stack.js';

const PLACES = 3;
const MESSAGE = grpcMessage(Buffer.alloc(40_000));
const PART = MESSAGE.subarray(0, 10_000);

describe('A listener whose places are all taken', () => {
  let stack: Stack;
  let out: OutboundStack;
  const start = (route = aRoute({ timeoutMs: 0 })): void => {
    stack = new Stack({ maxConnections: PLACES });
    out = stack.outbound(anUpstream(['a'], { routes: [route], pool: { pingIntervalMs: 0 } }));
  };
  const connect = (): Application => stack.settle(stack.connect(out.listener));
  const some = (n: number): Application[] => Array.from({ length: n }, connect);
  const hits = (): Record<string, number> => Object.fromEntries(stack.context.stats.limits);
  const isIn = ({ socket, goaways }: Application): boolean => !socket.destroyed && goaways.length === 0;
  const partial = (app: Application): PeerStream => stack.settle(app.call({ body: null }).data(PART));
  /** A call on this connection is answered. */
  const assertServes = (app: Application): void => {
    const call = stack.settle(app.call());
    stack.settle(stack.backend('a').last.reply());
    assert.equal(call.status, 0);
  };

  it('gives the place of the connection that has been without a call longest', () => {
    start();
    const [first, second, third] = some(PLACES) as [Application, Application, Application];
    stack.advance(10);
    assertServes(first);
    stack.advance(10);
    assertServes(third);
    stack.advance(STALLED_MS);
    assertServes(connect());
    assert.deepEqual([first, second, third].map(isIn), [true, false, true]);
    assertServes(connect());
    assert.deepEqual([first, third].map(isIn), [false, true]);
    assert.deepEqual(hits(), { 'displaced-connections': 2 });
    stack.advance(2_000);
    assert.deepEqual(
      [first, second].map(({ socket }) => socket.destroyed),
      [true, true],
    );
    assert.equal(out.listener.sessions.size, PLACES);
  });

  it('gives the place of one whose callers owe the rest of their messages, however many', () => {
    start();
    const [holder] = some(1) as [Application];
    const owed = [partial(holder), partial(holder)];
    const busy = some(PLACES - 1);
    stack.advance(STALLED_MS - 10);
    const calls = busy.map((app) => app.call());
    assert.equal(isIn(connect()), false, 'too early');
    stack.advance(110);
    assertServes(connect());
    assert.deepEqual([holder, ...busy].map(isIn), [false, true, true]);
    assert.deepEqual(
      owed.map(({ status }) => status),
      [-1, -1],
    );
    for (const request of stack.backend('a').requests) request.reply();
    stack.run();
    assert.deepEqual(
      calls.map(({ status }) => status),
      [0, 0],
    );
    assert.deepEqual(hits(), { connections: 1, 'displaced-connections': 1 });
  });

  it('gives the place of one whose request is not gRPC and does not end', () => {
    start();
    const [holder] = some(1) as [Application];
    const request = stack.settle(holder.call({ body: null, contentType: 'application/json' }).data(PART));
    const busy = some(PLACES - 1);
    const calls = stack.settle(busy.map((app) => app.call()));
    stack.advance(STALLED_MS + 100);
    assertServes(connect());
    assert.deepEqual([holder, ...busy].map(isIn), [false, true, true]);
    assert.equal(request.status, -1);
    for (const each of stack.backend('a').requests) each.reply();
    stack.run();
    assert.deepEqual(
      calls.map(({ status }) => status),
      [0, 0],
    );
  });

  it('gives none of a connection with a call that waits for its model, also beside one that has stalled', () => {
    start();
    const apps = some(PLACES);
    for (const app of apps) partial(app);
    const calls = stack.settle(apps.map((app) => app.call()));
    stack.advance(60_000);
    assert.equal(isIn(connect()), false);
    assert.deepEqual(apps.map(isIn), [true, true, true]);
    for (const request of stack.backend('a').requests) request.reply();
    stack.run();
    assert.deepEqual(
      calls.map(({ status }) => status),
      [0, 0, 0],
    );
    assert.deepEqual(hits(), { connections: 1 });
  });

  it('gives none of a connection with an upload that goes on slowly', () => {
    start();
    const apps = some(PLACES);
    const uploads = apps.map((app) => app.call({ body: null }));
    const at = { sent: 0 };
    for (; at.sent < 30_000; at.sent += 3_000) {
      for (const call of uploads) call.data(MESSAGE.subarray(at.sent, at.sent + 3_000));
      stack.advance(STALLED_MS - 500);
      assert.equal(isIn(connect()), false);
    }
    for (const call of uploads) call.data(MESSAGE.subarray(at.sent), Flag.endStream);
    stack.run();
    for (const request of stack.backend('a').requests) request.reply();
    stack.run();
    assert.deepEqual(
      uploads.map(({ status }) => status),
      [0, 0, 0],
    );
  });

  it('gives none of a connection with a stream between two messages, or before the first', () => {
    start(aStreamRoute({ idleTimeoutMs: 0 }));
    const apps = some(PLACES);
    const calls = apps.map((app) => app.call({ body: null }));
    calls[0]!.data(MESSAGE);
    calls[1]!.data(PART).data(MESSAGE.subarray(PART.length));
    stack.advance(60_000);
    assert.equal(isIn(connect()), false);
    assert.deepEqual(apps.map(isIn), [true, true, true]);
    assert.ok(calls.every(({ isOver }) => !isOver));
  });

  it('gives none of a connection with an upload that its endpoint does not read', () => {
    start(aStreamRoute({ idleTimeoutMs: 0 }));
    stack.backend('a').peerOptions = { replenishes: false };
    const apps = some(PLACES);
    const long = grpcMessage(Buffer.alloc(1_000_000));
    const calls = apps.map((app) => app.call({ body: null }).data(long));
    stack.advance(60_000);
    assert.equal(isIn(connect()), false);
    assert.ok(calls.every(({ isOver }) => !isOver));
  });

  it('keeps a bound on those that lost their places and do not leave', () => {
    start();
    const before = some(PLACES);
    stack.advance(STALLED_MS);
    for (let i = 0; i < 200; i++) {
      for (const app of some(PLACES)) before.push(app);
      assert.ok(out.listener.sessions.size <= PLACES + 64, `${out.listener.sessions.size}`);
      stack.clock.advance(1);
      if (i % 10 === 9) stack.advance(STALLED_MS);
    }
    assert.ok(hits()['displaced-connections']! > 50);
  });
});

describe('A listener of a process that is short of descriptors', () => {
  const RESERVED = 100;
  let stack: Stack;
  let out: OutboundStack;
  const connect = (descriptor: number): Application => stack.settle(stack.connect(out.listener, descriptor));
  const hits = (): Record<string, number> => Object.fromEntries(stack.context.stats.limits);
  const isIn = ({ socket, goaways }: Application): boolean => !socket.destroyed && goaways.length === 0;
  const assertServes = (app: Application): void => {
    const call = stack.settle(app.call());
    stack.settle(stack.backend('a').last.reply());
    assert.equal(call.status, 0);
  };

  beforeEach(() => {
    stack = new Stack({ firstReservedDescriptor: RESERVED });
    const route = aRoute({ timeoutMs: 0 });
    out = stack.outbound(anUpstream(['a'], { routes: [route], pool: { pingIntervalMs: 0 } }));
  });

  it('gives a newcomer the descriptor of the connection that has been without a call longest', () => {
    const busy = connect(97);
    const [older, newer] = [connect(98), connect(99)];
    const call = stack.settle(busy.call());
    stack.advance(10);
    assertServes(newer);
    stack.advance(STALLED_MS);
    assertServes(connect(RESERVED));
    assert.deepEqual([busy, older, newer].map(isIn), [true, false, true]);
    assert.deepEqual(hits(), { 'displaced-connections': 1 });
    stack.settle(stack.backend('a').requests[0]!.reply());
    assert.equal(call.status, 0);
  });

  it('refuses a newcomer where no connection has been quiet for long', () => {
    const [one, other] = [connect(98), connect(99)];
    const call = stack.settle(one.call());
    stack.advance(STALLED_MS - 10);
    assert.equal(isIn(connect(RESERVED)), false);
    assert.deepEqual([one, other].map(isIn), [true, true]);
    assert.deepEqual(hits(), { descriptors: 1 });
    assert.equal(call.isOver, false);
  });

  it('lets no more than a few connections linger, or have descriptors of the reserve; then a newcomer makes room for the next', () => {
    const quiet = Array.from({ length: 10 }, (_, i) => connect(50 + i));
    stack.advance(STALLED_MS);
    const newcomers = quiet.map((_, i) => connect(RESERVED + i));
    assert.deepEqual(
      quiet.map(isIn),
      quiet.map(() => false),
    );
    const lingering = quiet.filter(({ socket }) => !socket.destroyed);
    assert.ok(lingering.length <= 4, `${lingering.length} linger`);
    assert.equal(newcomers.filter(isIn).length, 4);
    assert.deepEqual(hits(), { 'displaced-connections': 10, descriptors: 6 });
    // What was freed is below the reserve.
    assertServes(connect(50));
    for (const app of newcomers.filter(isIn)) stack.settle(app.socket.break());
    stack.advance(STALLED_MS);
    assertServes(connect(RESERVED));
  });
});
