/**
 * The endpoint of a stream dies in the middle of it. Where the route says so, another goes on: the caller gets each message
 * once, in order, and never learns of it. Where that cannot be, it gets a status and a reason.
 */
import assert from 'node:assert/strict';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { ErrorCode, Flag, FrameType, grpcMessage, windowUpdate } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aSafeRoute, aStreamRoute, type CallOptions, type UpstreamOptions } from '../../kit/stack/stack.js';

const token = (i: number): Buffer => grpcMessage(Buffer.from(`token ${i}, `));
const tokens = (from: number, to: number): Buffer =>
  Buffer.concat(Array.from({ length: to - from }, (_, i) => token(from + i)));
const ALL = 10;
const REQUEST = grpcMessage(Buffer.from('prompt'));

describe('Scenario: an endpoint dies in the middle of a stream', () => {
  let stack: UpstreamStack;

  const start = (over: Partial<RouteConfig> = {}, more: UpstreamOptions = {}, names = ['a', 'b']): void => {
    const route = aStreamRoute({ idempotent: true, retry: aSafeRoute().retry!, resumable: true, ...over });
    stack = new UpstreamStack(names, { routes: [route], ...more });
  };
  const open = (options: CallOptions = {}): readonly [PeerStream, PeerStream] => {
    const call = stack.call({ body: REQUEST, ...options });
    return [call, stack.backend('a').last];
  };
  const at = (name: string): PeerStream => stack.backend(name).last;
  const requests = (): number => stack.requests.length;
  const ends = (call: PeerStream) => [call.status, call.reason];
  const resumedFrom = (k: number) => [['outrider-resumed-from', String(k)]] as const;
  /** An endpoint that resumes sends what follows message `k`. */
  const goOn = (stream: PeerStream, k: number): void =>
    void stack.settle(stream.begin(resumedFrom(k)).data(tokens(k, ALL)).trailers(0));
  const assertWhole = (call: PeerStream): void => {
    assert.deepEqual([call.status, call.body.toString()], [0, tokens(0, ALL).toString()]);
    assert.equal(call.lists.length, 2, 'headers once, trailers once');
    stack.assertIdle();
  };

  for (const [how, die] of [
    ['its connection breaks', (stream: PeerStream) => stream.peer.socket.break()],
    ['it resets the stream', (stream: PeerStream) => stream.reset(ErrorCode.internalError)],
    ['it ends it with UNAVAILABLE', (stream: PeerStream) => stream.trailers(14)],
  ] as const) {
    it(`and another goes on: ${how}`, () => {
      start();
      const [call, first] = open();
      stack.settle(first.begin().data(tokens(0, 4)));
      stack.settle(die(first));
      const second = at('b');
      assert.equal(second.header('outrider-resume-after'), '4');
      assert.deepEqual(second.body, REQUEST);
      assert.equal(first.header('outrider-resume-after'), undefined);
      goOn(second, 4);
      assertWhole(call);
      assert.equal(stack.out.outbound.state.resumed, 1);
      assert.equal(stack.endpoint('a').outcomes[1], 1, 'its death counts as ever');
    });
  }

  it('in the middle of a message: the caller gets no piece of it twice', () => {
    start();
    const [call, first] = open();
    stack.settle(first.begin().data(tokens(0, 3)));
    stack.settle(first.data(token(3).subarray(0, 9)));
    assert.deepEqual(call.body, tokens(0, 3), 'a piece waits for the rest');
    stack.settle(first.peer.socket.break());
    goOn(at('b'), 3);
    assertWhole(call);
  });

  it('at its end, with the trailers missing', () => {
    start();
    const [call, first] = open();
    stack.settle(first.begin().data(tokens(0, ALL)));
    stack.settle(first.peer.socket.break());
    stack.settle(at('b').fail(0, resumedFrom(ALL)));
    assertWhole(call);
  });

  it('again and again: each time another goes on, as long as there is progress', () => {
    start({}, { budget: { ratio: 1, perSecond: 100 } }, ['a', 'b', 'c', 'd']);
    const [call, first] = open();
    stack.settle(first.begin().data(tokens(0, 2)));
    let serving = first;
    for (let k = 2; k < 8; k += 2) {
      stack.settle(serving.reset());
      serving = stack.requests.find(
        (each) => each.header('outrider-resume-after') === String(k) && !each.hasLeft,
      )!;
      stack.settle(serving.begin(resumedFrom(k)).data(tokens(k, k + 2)));
    }
    stack.settle(serving.data(tokens(8, ALL)).trailers(0));
    assertWhole(call);
    assert.equal(stack.out.outbound.state.resumed, 3);
  });

  it('under more long streams than the reserve of the retry budget has attempts: all go on', () => {
    start({ idleTimeoutMs: 0 }, { balance: { kind: 'round-robin' } });
    const calls = Array.from({ length: 160 }, () => stack.call({ body: REQUEST }));
    for (const name of ['a', 'b'])
      for (const stream of stack.backend(name).requests) stack.settle(stream.begin().data(tokens(0, 4)));
    stack.advance(12_000);
    const before = stack.backend('b').requests.length;
    stack.settle(at('a').peer.socket.break());
    stack.advance(1_000);
    const moved = stack.backend('b').requests.slice(before);
    assert.ok(moved.length >= 60, `${moved.length} were there`);
    for (const stream of moved) goOn(stream, 4);
    for (const stream of stack.backend('b').requests.slice(0, before))
      stack.settle(stream.data(tokens(4, ALL)).trailers(0));
    for (const call of calls)
      assert.deepEqual([call.status, call.body.toString()], [0, tokens(0, ALL).toString()]);
    assert.equal(stack.out.outbound.state.resumed, moved.length);
    stack.assertIdle();
  });

  it('while the caller reads nothing: what waits for it is neither lost nor credited to the next endpoint', () => {
    const settings = [[4, 100]] as const;
    start();
    const caller = stack.app(stack.out.listener, undefined, { settings, replenishes: false });
    const call = stack.settle(caller.call({ body: REQUEST }));
    const first = at('a');
    stack.settle(first.begin().data(tokens(0, 9)));
    assert.ok(call.bytes <= 100);
    stack.settle(first.peer.socket.break());
    const second = at('b');
    goOn(second, 9);
    stack.settle(call.credit(10_000));
    assert.deepEqual([call.status, call.body.toString()], [0, tokens(0, ALL).toString()]);
    stack.assertIdle();
  });

  it('and its resumption ends while the caller has not read: the next endpoint gets no credit for the first one', () => {
    start();
    const settings = [[4, 100]] as const;
    const caller = stack.app(stack.out.listener, undefined, { settings, replenishes: false });
    const call = stack.settle(caller.call({ body: REQUEST }));
    const first = at('a');
    stack.settle(first.begin());
    for (let i = 0; i < 5; i++) stack.settle(first.data(grpcMessage(Buffer.alloc(10_000))));
    stack.settle(first.peer.socket.break());
    const second = at('b');
    // A message of more than 16 KiB is not held until it is whole.
    const long = grpcMessage(Buffer.alloc(40_000));
    stack.settle(second.begin(resumedFrom(5)).data(long.subarray(0, 20_000)));
    caller.send(windowUpdate(0, 200_000));
    stack.settle(call.credit(200_000));
    assert.equal(call.bytes, 5 * 10_005 + 20_000);
    const updates = second.peer.frames.filter(
      ({ type, streamId }) => type === FrameType.windowUpdate && streamId === second.id,
    );
    assert.equal(updates.length, 0, 'it has sent 20,000 of its 65,536 bytes');
    stack.settle(second.data(long.subarray(20_000)).trailers(0));
    assert.equal(call.status, 0);
    stack.assertIdle();
  });

  describe('and the next one is frozen,', () => {
    const retry = { ...aSafeRoute().retry!, attempts: 4, on: [4, 14] };
    const LIMIT_MS = 500;
    /** A stream of two seconds, whose endpoint dies, and the one that is to go on. */
    const startDead = (): readonly [PeerStream, PeerStream] => {
      start({ retry, messageTimeoutMs: LIMIT_MS }, {}, ['a', 'b', 'c']);
      const [call, first] = open();
      stack.settle(first.begin());
      for (let i = 0; i < 5; i++) {
        stack.settle(first.data(token(i)));
        stack.advance(400);
      }
      stack.settle(first.peer.socket.break());
      return [call, at('b')];
    };

    it('a third one goes on, once the second has had the time that its part took and message_timeout', () => {
      const [call, second] = startDead();
      assert.equal(second.header('outrider-resume-after'), '5');
      stack.advance(2_000 + LIMIT_MS - 50);
      assert.equal(second.resetCode, undefined, 'it may be making again what the caller has');
      stack.advance(400);
      assert.equal(second.resetCode, ErrorCode.cancel);
      goOn(at('c'), 5);
      assertWhole(call);
    });

    it('one that makes the answer again before it goes on is left alone', () => {
      const [call, second] = startDead();
      stack.advance(2_300);
      goOn(second, 5);
      assertWhole(call);
      assert.equal(stack.requestsAt('c').length, 0);
    });
  });

  describe('which always sends the same,', () => {
    it('and another begins anew: the caller gets what it lacks', () => {
      start({ deterministic: true });
      const [call, first] = open();
      stack.settle(first.begin().data(tokens(0, 4)));
      stack.settle(first.peer.socket.break());
      const second = at('b').begin();
      // Cut in the middle of the last message that is left out.
      const all = tokens(0, ALL);
      const cut = tokens(0, 4).length - 3;
      stack.settle(second.data(all.subarray(0, cut)));
      assert.deepEqual(call.body, tokens(0, 4));
      stack.settle(second.data(all.subarray(cut)).trailers(0));
      assertWhole(call);
    });

    it('and another repeats it for longer than a first message may take: it is at work', () => {
      start({ deterministic: true, firstMessageTimeoutMs: 300 });
      const [call, first] = open();
      stack.settle(first.begin().data(tokens(0, 4)));
      stack.settle(first.peer.socket.break());
      const second = at('b');
      stack.settle(second.begin());
      for (let i = 0; i < 4; i++) {
        stack.advance(200);
        stack.settle(second.data(token(i)));
      }
      stack.advance(400);
      assert.equal(second.resetCode, undefined);
      stack.settle(second.data(tokens(4, ALL)).trailers(0));
      assertWhole(call);
      assert.equal(stack.endpoint('b').outcomes[1], 0);
    });

    it('and another repeats nothing in the time that a first message may take: it is given up', () => {
      start({ deterministic: true, firstMessageTimeoutMs: 300 });
      const [call, first] = open();
      stack.settle(first.begin().data(tokens(0, 4)));
      stack.settle(first.peer.socket.break());
      stack.settle(at('b').begin().data(token(0).subarray(0, 9)));
      stack.advance(320);
      assert.equal(at('b').resetCode, ErrorCode.cancel);
      assert.deepEqual(ends(call), [14, 'not-resumed']);
      assert.equal(stack.endpoint('b').outcomes[1], 1);
    });

    it('and another ends sooner: that is not the same stream', () => {
      start({ deterministic: true });
      const [call, first] = open();
      stack.settle(first.begin().data(tokens(0, 4)));
      stack.settle(first.peer.socket.break());
      stack.settle(at('b').begin().data(tokens(0, 3)).trailers(0));
      assert.deepEqual([...ends(call), call.body.toString()], [14, 'not-resumed', tokens(0, 4).toString()]);
      stack.assertIdle();
    });

    /** The first endpoint dies after these bytes; the second one sends those, in pieces of `piece` bytes, and ends well. */
    const repeats = (before: Buffer, after: Buffer, piece = after.length): PeerStream => {
      start({ deterministic: true });
      const [call, first] = open();
      stack.settle(first.begin().data(before));
      stack.settle(first.peer.socket.break());
      const second = at('b').begin();
      for (let i = 0; i < after.length && second.resetCode === undefined; i += piece)
        stack.settle(second.data(after.subarray(i, i + piece)));
      if (second.resetCode === undefined) stack.settle(second.trailers(0));
      return call;
    };
    const assertRefused = (call: PeerStream, before: Buffer): void => {
      assert.deepEqual([...ends(call), call.body.toString()], [14, 'not-resumed', before.toString()]);
      assert.match(call.trailer('grpc-message')!, /b:1 repeated other messages/);
      assert.equal(at('b').resetCode, ErrorCode.cancel);
      assert.equal(stack.endpoint('b').outcomes[1], 0, 'no fault of the endpoint');
      assert.equal(stack.out.outbound.state.resumed, 0);
      stack.assertIdle();
    };
    /** The same tokens, two in a message. */
    const paired = Buffer.concat(
      Array.from({ length: ALL / 2 }, (_, i) =>
        grpcMessage(Buffer.from(`token ${2 * i}, token ${2 * i + 1}, `)),
      ),
    );

    it('and another has the same tokens in other messages: the stream does not end well without some of them', () => {
      assertRefused(repeats(tokens(0, 4), paired), tokens(0, 4));
    });

    it('and another has other tokens of the same lengths', () => {
      const other = Buffer.from(tokens(0, ALL).toString('latin1').replace('token 2', 'tokem 2'), 'latin1');
      assertRefused(repeats(tokens(0, 4), other), tokens(0, 4));
    });

    it('and another compresses its messages otherwise, under the same grpc-encoding', () => {
      const other = Buffer.concat([grpcMessage(Buffer.from('token 0, '), 9, 1), tokens(1, ALL)]);
      assertRefused(repeats(tokens(0, 4), other), tokens(0, 4));
    });

    for (const piece of [1, 7, 1_000])
      it(`and another repeats it in frames of ${piece} bytes: it is the same stream`, () => {
        assertWhole(repeats(tokens(0, 4), tokens(0, ALL), piece));
        assert.equal(stack.out.outbound.state.resumed, 1);
      });

    it('and a third one goes on: it is compared with what both before have passed on', () => {
      for (const isSame of [true, false]) {
        start({ deterministic: true }, { budget: { ratio: 1, perSecond: 100 } }, ['a', 'b', 'c']);
        const [call, first] = open();
        stack.settle(first.begin().data(tokens(0, 2)));
        stack.settle(first.peer.socket.break());
        const [second] = stack.requestsAt('b', 'c');
        stack.settle(second!.begin().data(tokens(0, 6)));
        stack.settle(second!.peer.socket.break());
        const third = stack.requestsAt('b', 'c').find((each) => each !== second)!;
        const other = Buffer.from(tokens(0, ALL).toString('latin1').replace('token 4', 'tokem 4'), 'latin1');
        stack.settle(third.begin().data(isSame ? tokens(0, ALL) : other));
        if (isSame) stack.settle(third.trailers(0));
        if (isSame) assertWhole(call);
        else
          assert.deepEqual(
            [...ends(call), call.body.toString()],
            [14, 'not-resumed', tokens(0, 6).toString()],
          );
      }
    });

    it('and another dies while it repeats: the next one is compared from the beginning', () => {
      const retry = { ...aSafeRoute().retry!, attempts: 3 };
      start({ deterministic: true, retry }, { budget: { ratio: 1, perSecond: 100 } }, ['a', 'b', 'c']);
      const [call, first] = open();
      stack.settle(first.begin().data(tokens(0, 4)));
      stack.settle(first.peer.socket.break());
      const [second] = stack.requestsAt('b', 'c');
      stack.settle(second!.begin().data(tokens(0, 3)));
      stack.settle(second!.peer.socket.break());
      const third = stack.requestsAt('b', 'c').find((each) => each !== second)!;
      stack.settle(third.begin().data(tokens(0, ALL)).trailers(0));
      assertWhole(call);
    });

    it('and another ends it with the frame that shows that it differs: the call ends once', () => {
      start({ deterministic: true });
      const [call, first] = open();
      stack.settle(first.begin().data(tokens(0, 4)));
      stack.settle(first.peer.socket.break());
      stack.settle(at('b').begin().data(paired, Flag.endStream));
      assert.deepEqual(ends(call), [14, 'not-resumed']);
      assert.equal(requests(), 2, 'it is not tried again');
      assert.equal(stack.endpoint('b').outcomes[1], 0);
      stack.assertIdle();
    });
  });

  describe('and the next one encodes messages otherwise:', () => {
    type Head = readonly (readonly [string, string])[];
    const GRPC = 'application/grpc';
    const headers = (stream: PeerStream, encoding: string, type = GRPC, more: Head = []): PeerStream =>
      stream.headers([
        [':status', '200'],
        ['content-type', type],
        ...(encoding === '' ? [] : [['grpc-encoding', encoding] as const]),
        ...more,
      ]);

    for (const deterministic of [false, true]) {
      const how = deterministic ? 'of a service that repeats itself' : 'of a service that goes on itself';
      const splice = (before: readonly [string, string?], after: readonly [string, string?]): PeerStream => {
        start({ deterministic });
        const [call, first] = open();
        stack.settle(headers(first, ...before).data(tokens(0, 4)));
        stack.settle(first.peer.socket.break());
        const [encoding, type] = after;
        if (deterministic) stack.settle(headers(at('b'), encoding, type).data(tokens(0, ALL)));
        else stack.settle(headers(at('b'), encoding, type, resumedFrom(4)).data(tokens(4, ALL)));
        if (at('b').resetCode === undefined) stack.settle(at('b').trailers(0));
        return call;
      };

      for (const [before, after] of [
        [[''], ['gzip']],
        [['identity'], ['gzip']],
        [['gzip'], ['']],
        [['gzip'], ['deflate']],
        [
          ['', GRPC],
          ['', `${GRPC}+json`],
        ],
      ] as const)
        it(`${after.join(' ')} after ${before.join(' ')}, ${how}`, () => {
          const call = splice(before, after);
          assert.deepEqual(
            [...ends(call), call.body.toString()],
            [14, 'not-resumed', tokens(0, 4).toString()],
          );
          assert.match(call.trailer('grpc-message')!, /b:1 encodes messages otherwise/);
          assert.equal(at('b').resetCode, ErrorCode.cancel);
          assert.equal(stack.endpoint('b').outcomes[1], 0, 'no fault of the endpoint');
          stack.assertIdle();
        });

      for (const [before, after] of [
        [['gzip'], ['gzip']],
        [[''], ['identity']],
        [['identity'], ['']],
        [
          ['', GRPC],
          ['', `${GRPC}+proto`],
        ],
      ] as const)
        it(`it does not: ${after.join(' ')} after ${before.join(' ')}, ${how}`, () => {
          assertWhole(splice(before, after));
        });
    }
  });

  describe('and nothing is sent again', () => {
    const dies = (options: CallOptions = {}, k = 4): PeerStream => {
      const [call, first] = open(options);
      stack.settle(first.begin().data(tokens(0, k)));
      stack.settle(first.peer.socket.break());
      stack.advance(1_000);
      return call;
    };

    it('on a route that does not say so', () => {
      start({ resumable: false });
      const call = dies();
      assert.deepEqual([...ends(call), requests()], [14, 'connection-lost', 1]);
    });

    it('of a caller that has more to say', () => {
      start();
      const [call, first] = open({ body: null });
      stack.settle(call.data(REQUEST));
      stack.settle(first.begin().data(tokens(0, 4)));
      stack.settle(call.end());
      stack.settle(first.peer.socket.break());
      assert.deepEqual([...ends(call), requests()], [14, 'connection-lost', 1]);
    });

    it('of a request beyond what is kept', () => {
      start({ replayBytes: 1_000 });
      const call = dies({ body: grpcMessage(Buffer.alloc(2_000)) });
      assert.deepEqual([...ends(call), requests()], [14, 'connection-lost', 1]);
    });

    it('beyond the retry budget', () => {
      start({}, { budget: { ratio: 0, perSecond: 0 } });
      const call = dies();
      assert.deepEqual([...ends(call), requests()], [14, 'connection-lost', 1]);
    });

    it('after a status that the route does not ask for', () => {
      start();
      const [call, first] = open();
      stack.settle(first.begin().data(tokens(0, 4)).trailers(13));
      assert.deepEqual([call.status, requests()], [13, 1]);
    });

    it('after a message that is too large to wait for whole', () => {
      start();
      const [call, first] = open();
      stack.settle(first.begin().data(token(0)));
      stack.settle(first.data(grpcMessage(Buffer.alloc(60_000)).subarray(0, 30_000)));
      assert.equal(call.bytes, token(0).length + 30_000, 'it is passed on as it comes');
      stack.settle(first.peer.socket.break());
      assert.deepEqual([...ends(call), requests()], [14, 'connection-lost', 1]);
    });
  });

  describe('and the next one', () => {
    const broken = (): readonly [PeerStream, PeerStream] => {
      start();
      const [call, first] = open();
      stack.settle(first.begin().data(tokens(0, 4)));
      stack.settle(first.peer.socket.break());
      return [call, at('b')];
    };

    it('begins anew: the caller gets a reason, and no other text', () => {
      const [call, second] = broken();
      stack.settle(second.begin().data(tokens(0, 1)));
      assert.deepEqual([...ends(call), call.body.toString()], [14, 'not-resumed', tokens(0, 4).toString()]);
      assert.match(call.trailer('grpc-message')!, /after message 4, .*resumed: b:1 begins anew/);
      assert.equal(second.resetCode, ErrorCode.cancel);
      stack.assertIdle();
    });

    it('resumes elsewhere than it was asked to: likewise', () => {
      const [call, second] = broken();
      stack.settle(second.begin(resumedFrom(3)).data(tokens(3, ALL)).trailers(0));
      assert.deepEqual(ends(call), [14, 'not-resumed']);
    });

    it('is full: the answer does not say that the call was never begun', () => {
      const [call, second] = broken();
      stack.settle(
        second.fail(8, [
          ['outrider-unprocessed', 'true'],
          ['outrider-reason', 'overloaded'],
        ]),
      );
      assert.deepEqual([...ends(call), call.trailer('outrider-unprocessed')], [14, 'not-resumed', undefined]);
    });

    it('is not there: likewise', () => {
      start({}, {}, ['a']);
      const [call, first] = open();
      stack.settle(first.begin().data(tokens(0, 4)));
      stack.backend('a').mode = 'refuses';
      stack.settle(first.peer.socket.break());
      stack.advance(20_000);
      assert.deepEqual([...ends(call), call.trailer('outrider-unprocessed')], [14, 'not-resumed', undefined]);
    });
  });
});
