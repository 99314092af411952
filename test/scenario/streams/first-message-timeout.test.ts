/** `first_message_timeout` ends an attempt that says nothing, and nothing else. */
import assert from 'node:assert/strict';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { ErrorCode, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aSafeRoute, aStreamRoute, type CallOptions, MESSAGE } from '../../kit/stack/stack.js';

const LIMIT_MS = 300;
const TOKEN = grpcMessage(Buffer.from('token'));

describe('Scenario: the first message does not come in time', () => {
  let stack: UpstreamStack;

  const start = (over: Partial<RouteConfig> = {}): void => {
    const route = aStreamRoute({ firstMessageTimeoutMs: LIMIT_MS, ...over });
    stack = new UpstreamStack(['a', 'b'], { routes: [route] });
  };
  const safe = { idempotent: true, retry: aSafeRoute().retry! };
  const open = (options: CallOptions = {}): readonly [PeerStream, PeerStream] => {
    const call = stack.call(options);
    return [call, stack.backend('a').last];
  };
  const faults = (): number => stack.endpoint('a').outcomes[1]!;
  const ends = (call: PeerStream) => [call.status, call.reason];
  const second = (): PeerStream => stack.backend('b').last;

  it('its endpoint is charged with a fault, and another serves the call', () => {
    start(safe);
    const [call, first] = open();
    stack.settle(first.begin());
    stack.advance(LIMIT_MS + 10);
    assert.deepEqual([first.resetCode, faults()], [ErrorCode.cancel, 1]);
    stack.settle(second().begin().data(TOKEN));
    stack.advance(10 * LIMIT_MS);
    stack.settle(second().trailers(0));
    assert.deepEqual([call.status, call.body], [0, TOKEN]);
    stack.assertIdle();
  });

  it('without another attempt the caller gets a status and a reason', () => {
    start();
    const [call, first] = open();
    stack.settle(first.begin());
    stack.advance(LIMIT_MS + 10);
    assert.deepEqual(ends(call), [4, 'first-message-timeout']);
    assert.equal(call.trailer('grpc-message'), 'no message from a:1 within 300 ms');
    stack.assertIdle();
  });

  it('so does a caller that got its headers before it was done', () => {
    start(safe);
    const [call, first] = open({ body: null });
    stack.settle(first.begin());
    stack.settle(call.data(MESSAGE).end());
    stack.advance(LIMIT_MS + 20);
    assert.deepEqual([...ends(call), faults(), stack.requests.length], [4, 'first-message-timeout', 1, 1]);
    assert.equal(first.resetCode, ErrorCode.cancel);
    stack.assertIdle();
  });

  describe('It ends no stream', () => {
    it('whose caller has more to say', () => {
      start();
      const [call, first] = open({ body: null });
      stack.settle(first.begin());
      for (let i = 0; i < 5; i++) {
        stack.settle(call.data(MESSAGE));
        stack.advance(LIMIT_MS);
      }
      assert.deepEqual([call.isOver, first.resetCode, faults()], [false, undefined, 0]);
      stack.settle(call.reset());
    });

    it('whose caller took long over its request', () => {
      start();
      const [call, first] = open({ body: null });
      stack.advance(LIMIT_MS - 50);
      stack.settle(call.data(MESSAGE).end());
      stack.advance(LIMIT_MS - 50);
      stack.settle(first.begin().data(TOKEN).trailers(0));
      assert.deepEqual([call.status, faults()], [0, 0]);
    });

    it('that has had its first message, however long the second takes', () => {
      start();
      const [call, first] = open();
      stack.settle(first.begin().data(TOKEN));
      stack.advance(100 * LIMIT_MS);
      assert.equal(call.isOver, false);
      stack.settle(first.trailers(0));
      assert.equal(call.status, 0);
    });

    it('whose first message is long, and read slowly', () => {
      start();
      const [call, first] = open({ body: null });
      stack.settle(first.begin());
      stack.settle(call.end());
      stack.settle(first.data(grpcMessage(Buffer.alloc(1000)).subarray(0, 100)));
      stack.advance(10 * LIMIT_MS);
      assert.deepEqual([call.isOver, faults()], [false, 0]);
      stack.settle(call.reset());
    });

    it('and blames no endpoint for a time in which this process stood still', () => {
      start();
      const [call] = open();
      stack.hasStalled = true;
      stack.advance(LIMIT_MS + 10);
      assert.equal(call.status, 4);
      assert.equal(stack.endpoint('a').ejection.consecutiveFaults, 0);
    });
  });
});
