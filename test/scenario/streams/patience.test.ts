/** Small messages in quick succession reach their caller in fewer writes: which ones wait, how long, and which never do. */
import assert from 'node:assert/strict';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aRoute, aStreamRoute, type CallOptions } from '../../kit/stack/stack.js';

const TOKEN = grpcMessage(Buffer.from('token'));
/** Exact as a binary fraction: 8,000 messages in a second. */
const QUICK_MS = 0.125;
const STREAM = '/test.Service/Stream';
const UNARY = '/test.Service/Call';

describe('Scenario: small messages in quick succession', () => {
  let stack: UpstreamStack;
  let call: PeerStream;
  let endpoint: PeerStream;

  beforeEach(() => {
    const routes = [aStreamRoute({ methods: [STREAM] }), aRoute({ methods: [UNARY] })];
    stack = new UpstreamStack(['a'], { routes });
  });

  const open = (options: CallOptions = {}): void => {
    call = stack.call({ path: STREAM, ...options });
    endpoint = stack.backend('a').last;
    stack.settle(endpoint.begin());
  };
  /** Messages at these intervals, in ms; how many the caller has got after each. */
  const flow = (messages: number, everyMs = QUICK_MS): number[] =>
    Array.from({ length: messages }, () => {
      stack.advance(everyMs);
      stack.settle(endpoint.data(TOKEN));
      return got();
    });
  const got = (): number => call.bytes / TOKEN.length;
  const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

  it('wait for each other, a millisecond at most, and never the first ones', () => {
    open();
    assert.deepEqual(
      flow(9),
      upTo(9).map((n) => Math.min(n, 7)),
    );
    flow(3);
    assert.equal(got(), 7);
    stack.advance(1 - 4 * QUICK_MS - 0.0625);
    assert.equal(got(), 7);
    stack.advance(0.0625);
    assert.equal(got(), 12);
    stack.settle(endpoint.trailers(0));
    assert.deepEqual([call.status, got()], [0, 12]);
  });

  it('are never more than a millisecond late in a long stream, and all of them come', () => {
    open();
    const had = flow(400);
    // Eight come in a millisecond.
    assert.ok(
      had.every((n, i) => i + 1 - n <= 8),
      `${had}`,
    );
    assert.ok(new Set(had).size < 80, `${new Set(had).size} writes`);
    stack.settle(endpoint.trailers(0));
    assert.deepEqual([call.status, got()], [0, 400]);
    stack.assertIdle();
  });

  it('that come twice a millisecond, or twenty in a burst every twenty, wait for nothing', () => {
    open();
    assert.deepEqual(flow(50, 0.5), upTo(50));
    for (let i = 0; i < 20; i++) {
      stack.advance(20);
      for (let n = 0; n < 20; n++) endpoint.data(TOKEN);
      stack.run();
      assert.equal(got(), 50 + 20 * (i + 1));
    }
    stack.settle(endpoint.trailers(0));
  });

  it('wait for nothing while their caller may have more to say', () => {
    open({ body: null });
    stack.settle(call.data(TOKEN));
    assert.deepEqual(flow(50), upTo(50));
    stack.settle(call.end());
    flow(10);
    assert.ok(got() < 60);
    stack.advance(1);
    assert.equal(got(), 60);
    stack.settle(endpoint.trailers(0));
  });

  it('go out at once with trailers, and with the answer of another call on the connection', () => {
    open();
    flow(10);
    assert.ok(got() < 10);
    const other = stack.call({ path: UNARY });
    flow(1);
    assert.ok(got() < 11);
    stack.settle(stack.backend('a').last.reply());
    assert.deepEqual([other.status, got()], [0, 11]);
    flow(1);
    assert.equal(got(), 11);
    stack.settle(endpoint.trailers(0));
    assert.deepEqual([call.status, got()], [0, 12]);
    stack.assertIdle();
  });

  it('reach the caller of an endpoint that dies behind them', () => {
    open();
    flow(12);
    assert.ok(got() < 12);
    stack.kill('a');
    stack.run();
    assert.deepEqual([call.status, got()], [14, 12]);
  });

  it('are dropped with a caller that resets the stream, or whose connection breaks', () => {
    open();
    flow(12);
    stack.settle(call.reset());
    stack.advance(2);
    assert.equal(endpoint.resetCode, 8);
    stack.assertIdle();
    open();
    flow(12);
    stack.settle(stack.caller.socket.break());
    stack.advance(2);
    assert.equal(endpoint.resetCode, 8);
    stack.assertIdle();
  });

  it('tell the pace of the endpoint all the same', () => {
    open();
    flow(8 * 1200);
    const { messagesPerSecond } = stack.endpoint('a').pace;
    assert.ok(Math.abs(messagesPerSecond - 8000) < 100, `${messagesPerSecond}`);
    stack.settle(endpoint.trailers(0));
  });
});
