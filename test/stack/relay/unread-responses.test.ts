/** Callers that do not read: what their calls hold ends with the deadline or the idle timeout, and slow ones are not cut. */
import assert from 'node:assert/strict';
import { ErrorCode, windowUpdate } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { type Application, aRoute, aStreamRoute } from '../../kit/stack/stack.js';

const WINDOW = 65_535;
const BODY = Buffer.alloc(2 * WINDOW, 'z');
const IDLE_MS = 10_000;

describe('A response that its caller does not read', () => {
  let stack: UpstreamStack;
  let app: Application;

  /** An application that gives windows back by hand only. */
  function start(route = aStreamRoute({ idleTimeoutMs: IDLE_MS }), connectionBytes = 1 << 24): void {
    stack = new UpstreamStack(['a'], { routes: [route], pool: { pingIntervalMs: 0 } });
    app = stack.app(stack.out.listener, undefined, { replenishes: false });
    if (connectionBytes > 0) stack.settle(app.send(windowUpdate(0, connectionBytes)));
  }

  /** Its response is there, all of it or its beginning, and waits for the window of its caller. */
  function blocked(timeout?: string, end: 'ended' | 'open' = 'ended'): PeerStream {
    const call = stack.settle(app.call(timeout === undefined ? {} : { timeout }));
    const { last } = stack.backend('a');
    last.begin().data(BODY);
    if (end === 'ended') last.trailers(0);
    stack.run();
    assert.equal(call.bytes, WINDOW);
    assert.ok(stack.context.memory.used > WINDOW);
    return call;
  }

  /** Gives the caller's window back, `bytes` each `everyMs`, until the call is over. */
  function readSlowly(call: PeerStream, bytes: number, everyMs: number, mostMs: number): void {
    const untilMs = stack.clock.now() + mostMs;
    while (!call.isOver && stack.clock.now() < untilMs) {
      stack.advance(everyMs);
      if (!call.isOver) stack.settle(call.credit(bytes));
    }
  }

  const assertFreed = (): void => {
    assert.equal(stack.context.memory.used, 0);
    assert.equal(app.isClosed, false);
    stack.assertIdle();
  };

  it('is reset when the deadline passes, in place of a status behind blocked bytes', () => {
    start();
    const calls = Array.from({ length: 20 }, () => blocked('2S', 'open'));
    stack.advance(1900);
    assert.ok(calls.every(({ isOver }) => !isOver));
    stack.advance(200);
    for (const { resetCode } of calls) assert.equal(resetCode, ErrorCode.cancel);
    const [stats] = stack.context.stats.calls;
    assert.equal(stats!.byStatus[4], calls.length);
    assertFreed();
  });

  it('is reset when its endpoint says first that the deadline has passed', () => {
    start();
    for (const end of ['trailers', 'reset'] as const) {
      const call = blocked('2S', 'open');
      stack.advance(1_999);
      const { last } = stack.backend('a');
      if (end === 'trailers') last.trailers(4);
      else last.reset(ErrorCode.cancel);
      stack.run();
      assert.equal(call.resetCode, ErrorCode.cancel, end);
    }
    const [stats] = stack.context.stats.calls;
    assert.equal(stats!.byStatus[4], 2);
    assertFreed();
  });

  it('and is complete is reset once the deadline has passed', () => {
    start();
    const calls = Array.from({ length: 20 }, () => blocked('2S'));
    stack.advance(1900);
    assert.ok(calls.every(({ isOver }) => !isOver));
    stack.advance(3000);
    for (const { resetCode } of calls) assert.equal(resetCode, ErrorCode.cancel);
    assert.equal(stack.context.stats.unreadResponses, calls.length);
    assertFreed();
  });

  it('and is complete is reset likewise where it waits for the window of its connection, which another one has used up', () => {
    start(aStreamRoute({ idleTimeoutMs: IDLE_MS }), 0);
    const other = blocked(undefined, 'open');
    const call = stack.settle(app.call({ timeout: '2S' }));
    const { last } = stack.backend('a');
    last.begin().data(Buffer.alloc(100));
    stack.run();
    // Its end comes when it waits already.
    stack.settle(last.trailers(0));
    stack.advance(1900);
    assert.equal(call.isOver, false);
    stack.advance(3000);
    assert.equal(call.resetCode, ErrorCode.cancel);
    stack.settle(other.reset(ErrorCode.cancel));
    assertFreed();
  });

  it('is reset at the idle timeout where it has no deadline, complete or not', () => {
    for (const end of ['open', 'ended'] as const) {
      start();
      const call = blocked(undefined, end);
      stack.advance(IDLE_MS - 100);
      assert.equal(call.isOver, false);
      stack.advance(IDLE_MS + 2000);
      assert.equal(call.resetCode, ErrorCode.cancel);
      assertFreed();
    }
  });

  it('is reset after five minutes where it has neither', () => {
    start(aRoute({ timeoutMs: 0 }));
    const call = blocked();
    stack.advance(299_000);
    assert.equal(call.isOver, false);
    stack.advance(3000);
    assert.equal(call.resetCode, ErrorCode.cancel);
    assertFreed();
  });

  it('is freed at the deadline where the socket takes nothing either', () => {
    start();
    app.socket.pause();
    const calls = Array.from({ length: 10 }, () => app.call({ timeout: '2S' }));
    stack.run();
    for (const request of stack.backend('a').requests) request.begin().data(BODY).trailers(0);
    stack.run();
    const { memory } = stack.context;
    assert.ok(memory.used > 600_000);
    stack.advance(5000);
    const [session] = [...stack.out.listener.sessions].slice(-1);
    assert.equal(session!.connection.openStreams, 0);
    assert.ok(memory.used < 600_000, `${memory.used} bytes are held`);
    stack.settle(app.socket.resume());
    assert.ok(calls.every(({ isOver }) => isOver));
    assertFreed();
  });

  describe('but read slowly', () => {
    it('is not cut within its deadline', () => {
      start(aStreamRoute({ idleTimeoutMs: 1000 }));
      const call = blocked('500S');
      readSlowly(call, 200, 700, 480_000);
      assert.deepEqual([call.status, call.bytes], [0, BODY.length]);
      stack.advance(1000);
      assertFreed();
    });

    it('is not cut by an idle timeout, however long it takes', () => {
      for (const end of ['open', 'ended'] as const) {
        start();
        const call = blocked(undefined, end);
        readSlowly(call, 2000, IDLE_MS - 1000, IDLE_MS * 30);
        if (end === 'open') {
          assert.equal(call.isOver, false);
          stack.settle(stack.backend('a').last.trailers(0));
        }
        readSlowly(call, 20_000, IDLE_MS - 1000, IDLE_MS * 10);
        assert.deepEqual([call.status, call.bytes], [0, BODY.length]);
        assertFreed();
      }
    });

    it('has ten seconds beyond its deadline for the rest of a complete response', () => {
      for (const [bytes, isCut] of [
        [10_000, false],
        [100, true],
      ] as const) {
        start();
        const call = blocked('2S');
        readSlowly(call, bytes, 500, 60_000);
        assert.equal(call.resetCode, isCut ? ErrorCode.cancel : undefined);
        stack.advance(1000);
        assertFreed();
      }
    });
  });
});
