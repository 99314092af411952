/**
 * A stream is committed by its first message. Until then it has the care of a unary call: another attempt, a hedge, a
 * fallback. A caller that has more to say gets the response headers at once.
 */
import assert from 'node:assert/strict';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { ErrorCode, Flag, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import {
  anUpstream,
  aSafeRoute,
  aStreamRoute,
  type CallOptions,
  MESSAGE,
  type UpstreamOptions,
} from '../../kit/stack/stack.js';

const TOKEN = grpcMessage(Buffer.from('token'));
const HEDGE = { percentile: 0.95, minDelayMs: 1, maxRatio: 0.5 };

/** A stream that is safe to repeat until its first message. */
const safe = (over: Partial<RouteConfig> = {}): RouteConfig =>
  aStreamRoute({ idempotent: true, retry: aSafeRoute().retry!, ...over });

describe('Scenario: the first message of a stream', () => {
  let stack: UpstreamStack;

  const start = (route = safe(), over: UpstreamOptions = {}, names = ['a', 'b']): void => {
    stack = new UpstreamStack(names, { routes: [route], ...over });
  };
  const open = (options: CallOptions = {}): readonly [PeerStream, PeerStream] => {
    const call = stack.call(options);
    return [call, stack.backend('a').last];
  };
  const wasRetried = (): boolean => stack.backend('b').requests.length > 0;
  const ends = (call: PeerStream) => [call.status, call.reason];

  describe('has not come, and', () => {
    for (const [how, end, status] of [
      ['the endpoint fails', (stream: PeerStream) => stream.trailers(14), 14],
      ['its connection breaks', (stream: PeerStream) => stream.peer.socket.break(), 14],
      ['it resets the stream', (stream: PeerStream) => stream.reset(ErrorCode.internalError), 13],
    ] as const) {
      it(`${how} after its headers: another endpoint serves the call`, () => {
        start();
        const [call, first] = open();
        stack.settle(first.begin([['served-by', 'a']]));
        assert.equal(call.lists.length, 0, 'the headers wait');
        stack.settle(end(first));
        const second = stack.backend('b').last;
        assert.deepEqual(second.body, first.body);
        stack.settle(second.begin([['served-by', 'b']]).data(TOKEN));
        assert.deepEqual([call.header('served-by'), call.body, call.isOver], ['b', TOKEN, false]);
        stack.settle(second.data(TOKEN).trailers(0));
        assert.deepEqual([call.status, call.body.length], [0, 2 * TOKEN.length]);
        stack.assertIdle();
      });

      it(`${how}, on a route that is not to be repeated: the caller hears of it`, () => {
        start(aStreamRoute());
        const [call, first] = open();
        stack.settle(first.begin());
        assert.equal(call.lists.length, 1, 'nothing is to be won by waiting');
        stack.settle(end(first));
        assert.deepEqual([call.status, wasRetried()], [status, false]);
      });
    }

    it('it is in pieces: no piece is passed on before the last', () => {
      start();
      const [call, first] = open();
      first.begin();
      for (const byte of TOKEN.subarray(0, -1)) stack.settle(first.data(Buffer.of(byte)));
      assert.equal(call.lists.length, 0);
      stack.settle(first.data(TOKEN.subarray(-1)));
      assert.deepEqual(call.body, TOKEN);
    });

    it('64 KiB of it are here: they are passed on', () => {
      start();
      const [call, first] = open();
      const large = grpcMessage(Buffer.alloc(100_000));
      stack.settle(first.begin().data(large.subarray(0, 64 * 1024 - 1)));
      assert.equal(call.bytes, 0);
      stack.settle(first.data(large.subarray(64 * 1024 - 1)).trailers(0));
      assert.deepEqual([call.status, call.bytes], [0, large.length]);
    });

    it('what came is no gRPC framing: it is passed on', () => {
      start();
      const [call, first] = open();
      stack.settle(first.begin().data(Buffer.from([7, 0])));
      assert.equal(call.bytes, 2);
    });

    it('the stream ends well without one: that is the answer', () => {
      start();
      const [call, first] = open();
      stack.settle(first.begin().trailers(0));
      assert.deepEqual([call.status, call.lists.length, wasRetried()], [0, 2, false]);
    });

    it('an error of the call itself ends the stream: it is passed on with the headers', () => {
      start();
      const [call, first] = open();
      stack.settle(first.begin([['served-by', 'a']]).trailers(3));
      assert.deepEqual([call.header('served-by'), call.status, wasRetried()], ['a', 3, false]);
    });

    it('the caller leaves: the stream is reset', () => {
      start();
      const [call, first] = open();
      stack.settle(first.begin());
      stack.settle(call.reset());
      assert.equal(first.resetCode, ErrorCode.cancel);
      stack.assertIdle();
    });

    it('the deadline passes: an endpoint that sent headers has done nothing wrong', () => {
      start();
      const [call, first] = open({ timeout: '3S' });
      stack.settle(first.begin());
      stack.advance(3010);
      assert.deepEqual(ends(call), [4, 'deadline-exceeded']);
      assert.equal(stack.endpoint('a').ejection.consecutiveFaults, 0);
    });

    it('a hedge is due: the first message of the two wins', () => {
      start(safe({ hedge: HEDGE }), { budget: { ratio: 1, perSecond: 100 } });
      stack.answers((stream) => void stack.clock.after(40, () => stream.begin().data(TOKEN).trailers(0)));
      stack.load(30, 50);
      stack.answers((stream) => void stream.begin());
      for (const name of stack.names) stack.backend(name).requests.length = 0;
      const call = stack.call();
      stack.advance(50);
      const [first, second] = stack.requests;
      assert.ok(first !== undefined && second !== undefined, 'the headers alone do not stop the hedge');
      stack.settle(second.data(TOKEN));
      assert.deepEqual([call.body, first.resetCode, second.resetCode], [TOKEN, ErrorCode.cancel, undefined]);
      stack.settle(second.trailers(0));
      assert.equal(call.status, 0);
      stack.assertIdle();
    });

    it('the endpoint fails: a fallback serves the stream, and says so', () => {
      const fallback = [{ kind: 'upstream', upstream: 'small' }] as const;
      start(aStreamRoute({ idempotent: true, fallback }), {}, ['a']);
      stack.outbound(anUpstream(['small-1'], { name: 'small', routes: [aStreamRoute()] }));
      const [call, first] = open();
      stack.settle(first.begin().trailers(14));
      const other = stack.backend('small-1').last;
      stack.settle(other.begin());
      assert.equal(call.lists.length, 0, 'what becomes of it there is to be known, too');
      stack.settle(other.data(TOKEN).trailers(0));
      assert.deepEqual([call.status, call.body], [0, TOKEN]);
      assert.equal(call.header('outrider-degraded'), 'unavailable; from=small');
    });
  });

  describe('has come: the stream is its endpoint’s', () => {
    it('and ends with it, with a status and a reason', () => {
      start();
      const [call, first] = open();
      stack.settle(first.begin().data(TOKEN));
      assert.deepEqual(call.body, TOKEN);
      stack.settle(first.peer.socket.break());
      assert.deepEqual([...ends(call), wasRetried()], [14, 'connection-lost', false]);
    });
  });

  describe('is not waited for where the caller has more to say:', () => {
    it('a bidirectional stream gets its headers at once', () => {
      start();
      const [call, first] = open({ body: null });
      stack.settle(call.data(MESSAGE));
      stack.settle(first.begin([['served-by', 'a']]));
      assert.deepEqual([call.header('served-by'), call.isOver], ['a', false]);
      stack.settle(first.data(TOKEN));
      assert.deepEqual(call.body, TOKEN);
      stack.settle(call.end());
      stack.settle(first.trailers(0));
      assert.deepEqual([call.status, wasRetried()], [0, false]);
    });

    it('a stream of the client gets the answer to all of it, or another attempt', () => {
      start();
      const [call, first] = open({ body: null });
      stack.settle(call.data(MESSAGE));
      stack.settle(call.data(MESSAGE, Flag.endStream));
      stack.settle(first.fail(14));
      const second = stack.backend('b').last;
      assert.equal(second.body.length, 2 * MESSAGE.length);
      stack.settle(second.begin().data(TOKEN).trailers(0));
      assert.deepEqual([call.status, call.body], [0, TOKEN]);
    });
  });
});
