/** Outbound calls of several attempts: which failures are tried again, at which endpoint, and which never are. */
import assert from 'node:assert/strict';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { parseGrpcTimeout } from '../../../sidecar/core/deadline/grpc-timeout.js';
import { Outcome } from '../../../sidecar/core/outcome/outcome.js';
import { FIRST_WINDOW } from '../../../sidecar/transport/memory-budget.js';
import { ErrorCode, Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack, type UpstreamStackOptions } from '../../kit/scenario/upstream-stack.js';
import { assertEnd } from '../../kit/stack/call-ends.js';
import { aRoute, aSafeRoute, aStreamRoute, type CallOptions, MESSAGE } from '../../kit/stack/stack.js';

const MIB = 1024 * 1024;
/** A safe route whose retry follows UNAVAILABLE, or what `on` says, after a backoff. */
const retriedAfter = (backoffMs: number, on = [14], over: Partial<RouteConfig> = {}): RouteConfig => {
  const backoff = { baseMs: backoffMs, maxMs: backoffMs };
  return aSafeRoute({ retry: { attempts: 2, on, backoff }, ...over });
};
/** A safe route whose attempts end after 300 ms. */
const timed = (over: Partial<RouteConfig> = {}): RouteConfig =>
  aSafeRoute({ attemptTimeoutMs: 300, ...over });

describe('Outbound: another attempt', () => {
  let stack: UpstreamStack;

  const start = (route = aSafeRoute(), over = {}, options: UpstreamStackOptions = {}): UpstreamStack => {
    stack = new UpstreamStack(['a', 'b'], { routes: [route], ...over }, options);
    return stack;
  };
  /** The endpoint that got the first attempt, and the other one. */
  const first = (): PeerStream => stack.backend('a').last;
  const second = (): PeerStream => stack.backend('b').last;
  const timeTold = (stream: PeerStream): number => parseGrpcTimeout(stream.header('grpc-timeout')!);
  const wasRetried = (): boolean => stack.backend('b').requests.length > 0;
  const attempts = (): number => stack.requests.length;
  const faultsOf = (name: string): number => stack.endpoint(name).ejection.consecutiveFaults;
  /** A call whose first attempt ends so; by default, with UNAVAILABLE. */
  const failing = (end = (stream: PeerStream) => stream.fail(14), options: CallOptions = {}): PeerStream => {
    const call = stack.call(options);
    stack.settle(end(first()));
    return call;
  };
  const assertNotRetried = (call: PeerStream, status = 14): void =>
    assert.deepEqual([call.status, wasRetried()], [status, false]);
  const assertSecondServes = (call: PeerStream): void => {
    stack.settle(second().reply());
    assert.equal(call.status, 0);
  };

  for (const [said, sent] of [
    ['2', '3'],
    ['9', '9'],
    ['12', '1'],
  ] as const) {
    it(`a call with grpc-previous-rpc-attempts ${said} sends ${sent}`, () => {
      start();
      const call = failing(undefined, { metadata: [['grpc-previous-rpc-attempts', said]] });
      assert.equal(second().header('grpc-previous-rpc-attempts'), sent);
      assertSecondServes(call);
    });
  }

  it('a retry follows UNAVAILABLE after headers and data, and nothing of the first response leaks', () => {
    start();
    const call = failing((stream) =>
      stream
        .begin([['x-from', 'first']])
        .data(Buffer.from('half an ans'))
        .trailers(14, [['x-late', 'first']]),
    );
    assert.equal(call.lists.length, 0);
    assert.deepEqual(second().body, MESSAGE);
    assert.equal(second().header('grpc-previous-rpc-attempts'), '1');
    stack.settle(second().reply(Buffer.from('whole'), 0, [['x-from', 'second']]));
    assertEnd(call, [0], { 'x-from': 'second' });
    assert.equal(call.body.toString(), 'whole');
    assert.ok(!JSON.stringify(call.lists).includes('first'));
  });

  it('a retry follows a trailers-only UNAVAILABLE', () => {
    start();
    assertSecondServes(failing());
    assert.equal(stack.out.outbound.state.retries, 1);
  });

  it('the last failure is passed on as it came', () => {
    start();
    const call = failing((stream) => stream.fail(14, [['grpc-message', 'one']]));
    const last = second().begin([['x-two', '2']]);
    stack.settle(last.trailers(14, [['grpc-message', 'two']]));
    assertEnd(call, [14], { 'grpc-message': 'two' });
    assert.equal(call.header('x-two'), '2');
  });

  for (const status of [2, 3, 4, 5, 8, 13]) {
    it(`no retry follows status ${status}, which the route does not name`, () => {
      start();
      const call = failing((stream) => stream.fail(status));
      assertNotRetried(call, status);
    });
  }

  it('a retry follows a status that the route names', () => {
    start(retriedAfter(0, [13]));
    failing((stream) => stream.fail(13));
    assert.equal(wasRetried(), true);
  });

  it('no retry follows UNAVAILABLE on a route that is not idempotent', () => {
    start(aRoute());
    assertNotRetried(failing());
  });

  const losses = { reset: 13, lost: 14 } as const;
  for (const [how, status] of Object.entries(losses)) {
    for (const isSafe of [true, false]) {
      it(`a retry follows a call that is ${how} on an idempotent route only (idempotent: ${isSafe})`, () => {
        const call = start(isSafe ? aSafeRoute() : aRoute()).call();
        if (how === 'reset') first().reset(ErrorCode.internalError);
        else stack.backend('a').peer.socket.break();
        stack.run();
        if (isSafe) assertSecondServes(call);
        else assertNotRetried(call, status);
      });
    }
  }

  describe('of a call that was never processed, whatever the route', () => {
    for (const isSafe of [true, false]) {
      const route = isSafe ? aSafeRoute() : aRoute();

      it(`an attempt follows REFUSED_STREAM (idempotent: ${isSafe})`, () => {
        start(route);
        assertSecondServes(failing((stream) => stream.reset(ErrorCode.refusedStream)));
        assert.equal(stack.out.cluster.budget.granted, 0, 'it costs no budget');
      });

      it(`an attempt follows a GOAWAY that leaves its stream out (idempotent: ${isSafe})`, () => {
        const call = start(route).call();
        stack.settle(stack.backend('a').peer.goaway(0));
        assertSecondServes(call);
      });

      it(`an attempt follows a connect that fails (idempotent: ${isSafe})`, () => {
        start(route);
        for (const name of ['a', 'b']) stack.kill(name);
        const call = stack.caller.call();
        stack.revive('b');
        stack.advance(200);
        assertSecondServes(call);
      });
    }

    const contradictions: readonly [string, (stream: PeerStream) => void][] = [
      ['REFUSED_STREAM', (stream) => stream.reset(ErrorCode.refusedStream)],
      ['a GOAWAY that leaves its stream out', (stream) => stream.peer.goaway(0)],
    ];
    for (const [what, end] of contradictions)
      it(`but none follows ${what} once the answer has begun, where the route does not allow it`, () => {
        start(aRoute());
        assertNotRetried(
          failing((stream) => {
            stack.settle(stream.begin());
            end(stream);
            return stream;
          }),
        );
      });

    it('a call that is never processed goes to every endpoint once, then once more to one', () => {
      start(aRoute());
      stack.answers((stream) => stream.reset(ErrorCode.refusedStream));
      const call = stack.caller.call();
      stack.advance(300);
      assertEnd(call, [14, 'upstream-reset']);
      assert.equal(attempts(), 3);
    });

    it('an attempt that was never processed is no fault of its endpoint', () => {
      start(aRoute());
      stack.answers((stream) => stream.reset(ErrorCode.refusedStream), 'a');
      stack.answers((stream) => stream.reply(), 'b');
      for (let i = 0; i < 20; i++) stack.caller.call();
      stack.run();
      const states = stack.out.cluster.endpoints.map(({ ejection }) => ejection.state);
      assert.deepEqual([...states, faultsOf('a'), faultsOf('b')], [0, 0, 0, 0]);
    });

    it('one attempt within the budget follows a refusal marked outrider-unprocessed', () => {
      start(aRoute(), { budget: { ratio: 0, perSecond: 0.1 } });
      const marks = { 'outrider-reason': 'overloaded', 'outrider-unprocessed': 'true' };
      const fields = Object.entries({ ...marks, 'grpc-retry-pushback-ms': '5000' });
      stack.answers((stream) => stream.fail(8, fields));
      assertEnd(stack.call(), [8, 'overloaded']);
      assert.equal(attempts(), 2);
      stack.call();
      assert.equal(attempts(), 3, 'no budget left');
    });

    const absurd = ['999999999', '9'.repeat(200), '1e9', 'Infinity', '-9007199254740993', '', '0x10'];
    for (const pushback of [...absurd, '0']) {
      const expected = pushback === '0' ? 2 : 1;
      it(`a call ends after ${expected} at a pushback of "${pushback.slice(0, 20)}"`, () => {
        stack = new UpstreamStack(['a'], { routes: [aSafeRoute({ timeoutMs: 1_000 })] });
        stack.answers((stream) => stream.fail(14, [['grpc-retry-pushback-ms', pushback]]));
        const call = stack.caller.call();
        stack.advance(5);
        assert.equal(call.status, 14, 'answered at once');
        assert.equal(attempts(), expected);
      });
    }

    it('outrider-unprocessed from outside the mesh is ignored', () => {
      start(aRoute(), { tls: 'plaintext' });
      assertNotRetried(failing((stream) => stream.fail(14, [['outrider-unprocessed', 'true']])));
    });
  });

  describe('after an attempt timeout', () => {
    it('a retry after an attempt timeout has the time that is left, and the first attempt is reset', () => {
      const call = start(timed({ timeoutMs: 500 })).caller.call();
      stack.advance(310);
      assert.equal(first().resetCode, 8);
      const left = timeTold(second());
      assert.ok(left <= 200 && left > 180, `${left}`);
      first().reply(Buffer.from('late'));
      stack.settle(second().reply(Buffer.from('in time')));
      assert.deepEqual([call.status, call.body.toString()], [0, 'in time']);
    });

    for (const [what, answer] of [
      ['DEADLINE_EXCEEDED', (stream: PeerStream) => stream.fail(4)],
      ['CANCELLED', (stream: PeerStream) => stream.fail(1)],
      ['a reset', (stream: PeerStream) => stream.reset(8)],
    ] as const) {
      it(`${what} of the endpoint just before the attempt timeout counts as the timeout`, () => {
        const call = start(timed()).caller.call();
        stack.advance(288);
        stack.settle(answer(first()));
        assert.equal(wasRetried(), true, 'whatever `on` says');
        assert.equal(faultsOf('a'), 1);
        stack.advance(320);
        assertEnd(call, [4, 'attempt-timeout']);
      });

      it(`${what} of the endpoint long before the attempt timeout counts as the endpoint's own`, () => {
        start(timed()).caller.call();
        stack.advance(270);
        stack.settle(answer(first()));
        assert.equal(wasRetried(), what === 'a reset');
      });
    }

    it('an attempt timeout spent in the queue of a replica is no fault, and is retried on any route', () => {
      const call = start(aRoute({ attemptTimeoutMs: 300 })).caller.call();
      stack.advance(299);
      const fields = { 'outrider-unprocessed': 'true', 'outrider-reason': 'queue-expired' };
      stack.settle(first().fail(4, Object.entries(fields)));
      assertSecondServes(call);
      assert.equal(faultsOf('a'), 0);
    });

    it('the attempt timeout is the answer when no attempt is left', () => {
      const call = start(timed()).caller.call();
      stack.advance(650);
      assertEnd(call, [4, 'attempt-timeout'], { 'grpc-message': /b:1 exceeded 300 ms/ });
      assert.equal(second().resetCode, 8);
    });

    it('an attempt timeout runs from its attempt and never beyond the deadline', () => {
      const call = start(timed({ timeoutMs: 500 })).caller.call();
      stack.advance(510);
      assertEnd(call, [4, 'deadline-exceeded']);
    });

    it('an attempt timeout does not end a response that has begun to flow', () => {
      const call = start(aStreamRoute({ attemptTimeoutMs: 300, idempotent: true })).call();
      first().begin().data(Buffer.from('one'));
      stack.advance(1000);
      stack.settle(first().data(Buffer.from('two')).trailers(0));
      assert.deepEqual([call.status, call.body.toString()], [0, 'onetwo']);
    });
  });

  describe('and the timeout that its endpoint is told', () => {
    it('the endpoint is told the attempt timeout of a request that comes in one read with its headers', () => {
      start(timed()).caller.call({ timeout: '5S' });
      stack.call();
      assert.deepEqual([timeTold(first()), timeTold(second())], [300, 300]);
    });

    it('the endpoint is told the attempt timeout of a request that waited for its connection', () => {
      start(timed());
      for (const name of ['a', 'b']) for (const peer of stack.backend(name).peers) peer.socket.break();
      stack.call({ timeout: '5S' });
      stack.advance(50);
      const told = timeTold(stack.requests.at(-1)!);
      assert.ok(told <= 300 && told >= 250, `${told}`);
    });

    it("the endpoint is told the call's deadline where that is earlier than the attempt timeout", () => {
      start(timed()).call({ timeout: '200m' });
      assert.equal(timeTold(first()), 200);
    });

    it('the endpoint of a hedge is told its attempt timeout, from when the hedge is sent', () => {
      start(timed({ hedge: { percentile: 0.9, minDelayMs: 1, maxRatio: 0.5 } }));
      stack.answers((stream) => stream.reply());
      stack.load(60, 5);
      stack.answers(() => {});
      const before = attempts();
      stack.caller.call({ timeout: '5S' });
      stack.advance(20);
      assert.deepEqual([attempts(), timeTold(first()), timeTold(second())], [before + 2, 300, 300]);
    });

    it('the endpoint is not told an attempt timeout while the request is being sent', () => {
      const call = start(timed()).call({ timeout: '5S', body: null });
      stack.settle(call.data(MESSAGE).end());
      assert.equal(timeTold(first()), 5000);
      assert.equal(parseGrpcTimeout(first().header('outrider-attempt-timeout')!), 300, 'from its end');
      stack.advance(310);
      assert.equal(first().resetCode, 8, 'it hears of it when it is over');
    });

    it('only a sidecar is told the length of the attempt timeout, and only where it is of use', () => {
      start(timed(), { tls: 'plaintext' }).caller.call({ timeout: '5S', body: null });
      stack.call({ timeout: '5S' });
      const lengths = [first(), second()].map((stream) => stream.header('outrider-attempt-timeout'));
      assert.deepEqual(lengths, [undefined, undefined]);
      assert.deepEqual([timeTold(first()), timeTold(second())], [5000, 300]);
    });

    it('a sidecar is told the deadline of the call beside the limit of the attempt, and nobody else is', () => {
      const told = (options: CallOptions, over = {}, route = timed({ timeoutMs: 0 })): string | undefined => {
        start(route, over).call(options);
        return first().header('outrider-deadline');
      };
      assert.deepEqual(
        [told({ timeout: '5S' }), told({}), told({ timeout: '60S' })],
        ['5000m', 'none', '60000m'],
      );
      assert.equal(told({ timeout: '200m' }), undefined, 'the deadline is first');
      assert.equal(told({ timeout: '5S' }, {}, aSafeRoute()), undefined, 'no attempt timeout');
      assert.equal(told({ timeout: '5S' }, { tls: 'plaintext' }), undefined, 'no sidecar');
      assert.equal(timeTold(first()), 300);
      const streams = aStreamRoute({ attemptTimeoutMs: 300, idempotent: true });
      assert.equal(told({ timeout: '5S' }, {}, streams), undefined, 'a stream');
    });

    it('a deadline that the application sends in the words of a sidecar is ignored', () => {
      start().call({ timeout: '5S', metadata: [['outrider-deadline', 'none']] });
      assert.equal(first().header('outrider-deadline'), undefined);
      start(timed()).call({ timeout: '5S', metadata: [['outrider-deadline', 'none']] });
      assert.equal(first().header('outrider-deadline'), '5000m');
    });

    it('an attempt timeout that the application sends is ignored', () => {
      start().call({ body: null, metadata: [['outrider-attempt-timeout', '1m']] });
      assert.equal(first().header('outrider-attempt-timeout'), undefined);
    });

    it('the sidecar at the endpoint of a stream is told how long its begin may take, beside the time of the stream', () => {
      for (const times of [{ attemptTimeoutMs: 300 }, { firstMessageTimeoutMs: 300 }]) {
        start(aStreamRoute({ ...times, idempotent: true })).call({ timeout: '5S' });
        assert.equal(timeTold(first()), 5000);
        assert.equal(parseGrpcTimeout(first().header('outrider-attempt-timeout')!), 300);
      }
      start(aStreamRoute({ idempotent: true })).call({ timeout: '5S' });
      assert.equal(first().header('outrider-attempt-timeout'), undefined);
    });
  });

  describe('and bytes that have been passed on', () => {
    it('a stream whose response headers have been passed on is not tried again', () => {
      start(aStreamRoute({ idempotent: true, retry: aSafeRoute().retry! }));
      const call = failing((stream) => stream.begin(), { body: null });
      assert.equal(call.lists.length, 1);
      stack.settle(first().trailers(14));
      assertNotRetried(call);
    });

    it('a unary response of more than 64 KiB is passed on and not tried again', () => {
      start();
      const call = failing((stream) => stream.begin().data(Buffer.alloc(64 * 1024 + 5)));
      assert.equal(call.bytes, 0, 'held so far');
      stack.settle(first().data(Buffer.alloc(1)));
      assert.equal(call.bytes, 64 * 1024 + 6);
      stack.settle(first().trailers(14));
      assertNotRetried(call);
    });

    describe('and a reset with CANCEL in the middle of a long answer', () => {
      /** A long answer, reset after so many ms. The second endpoint is never asked. */
      const cutAfter = (ms: number, options: CallOptions, over = {}, route = timed()): PeerStream => {
        const call = start(route, over).call(options);
        stack.settle(
          first()
            .begin()
            .data(Buffer.alloc(2 * FIRST_WINDOW)),
        );
        stack.advance(ms);
        stack.settle(first().reset(ErrorCode.cancel));
        assert.equal(wasRetried(), false);
        return call;
      };
      const plaintext = { tls: 'plaintext' };

      it('by a sidecar is UNAVAILABLE, as the caller has not cancelled', () => {
        assertEnd(cutAfter(400, { timeout: '5S' }), [14, 'upstream-reset']);
        assertEnd(cutAfter(400, {}, {}, aSafeRoute()), [14, 'upstream-reset']);
      });

      it('by another server is UNAVAILABLE at the limit that it was told', () => {
        assertEnd(cutAfter(400, { timeout: '5S' }, plaintext), [14, 'upstream-reset']);
        assert.equal(faultsOf('a'), 0, 'it did as it was told');
      });

      it('is DEADLINE_EXCEEDED at the deadline of the call', () => {
        for (const over of [{}, plaintext])
          assertEnd(cutAfter(397, { timeout: '400m' }, over), [4, 'deadline-exceeded']);
      });

      it('by another server at any other time is the status that it stands for', () => {
        assertEnd(cutAfter(100, { timeout: '5S' }, plaintext), [1, 'upstream-reset']);
        assert.equal(faultsOf('a'), 1);
      });
    });

    it('a reset after a committed response ends it in its trailers', () => {
      start();
      const call = failing((stream) => stream.begin().data(Buffer.alloc(65 * 1024)));
      stack.settle(first().reset(ErrorCode.internalError));
      assertEnd(call, [13, 'upstream-reset']);
      assert.deepEqual([call.bytes, wasRetried()], [65 * 1024, false]);
    });
  });

  describe('of a request', () => {
    it('a request of up to 4 MiB is sent again whole', () => {
      start();
      const body = Buffer.alloc(4 * MIB + 5, 'x');
      const call = stack.call({ body });
      assert.equal(first().bytes, body.length);
      assert.ok(stack.context.memory.held >= body.length);
      stack.settle(first().fail(14));
      assert.deepEqual(second().body, body);
      assertSecondServes(call);
    });

    it('a request of more than 4 MiB is not sent again, and nothing of it is kept', () => {
      const call = start().call({ body: Buffer.alloc(4 * MIB + 6) });
      assert.equal(first().bytes, 4 * MIB + 6);
      assert.equal(stack.context.memory.held, 0);
      stack.settle(first().fail(14));
      assertNotRetried(call);
    });

    describe('that is larger than what is kept, and whose connection ends before it is written,', () => {
      const large = Buffer.alloc(50_000, 'x');
      /** A call to "a", which ends the connection in the same instant. */
      const cross = (
        names: readonly string[],
        end: () => void,
        flags: number = Flag.endStream,
      ): PeerStream => {
        stack = new UpstreamStack(names, { routes: [aRoute({ replayBytes: 1_000 })] });
        stack.advance(100);
        const call = stack.caller.call({ body: null });
        call.data(large, flags);
        end();
        stack.run();
        return call;
      };
      const goaway = (): void => stack.backend('a').peer.goaway(2 ** 31 - 1);
      const isAllGivenBack = (): void => {
        assert.equal(stack.context.memory.waiting.bytes, 0);
        assert.equal(stack.context.memory.held, 0);
      };

      it('is sent whole on another connection', () => {
        const call = cross(['a'], goaway);
        stack.advance(500);
        assert.equal(stack.backend('a').peers.length, 2);
        assert.deepEqual(first().body, large);
        stack.settle(first().reply());
        assert.equal(call.status, 0);
        isAllGivenBack();
      });

      it('is followed there by the rest of it', () => {
        const call = cross(['a'], goaway, 0);
        stack.settle(call.data(Buffer.from('rest '), 0));
        stack.advance(500);
        stack.settle(call.data(Buffer.from('end'), Flag.endStream));
        assert.equal(first().bytes, large.length + 8);
        stack.settle(first().reply());
        assert.equal(call.status, 0);
        isAllGivenBack();
      });

      it('goes to another endpoint where its own is gone', () => {
        const refuse = (): void => {
          goaway();
          stack.backend('a').mode = 'refuses';
        };
        const call = cross(['a', 'b'], refuse);
        stack.advance(500);
        assert.equal(attempts(), 1);
        assert.deepEqual(second().body, large);
        stack.settle(second().reply());
        assert.equal(call.status, 0);
        isAllGivenBack();
      });

      it('ends with its caller, and nothing of it is kept', () => {
        const refuse = (): void => {
          goaway();
          stack.backend('a').mode = 'silent';
        };
        const call = cross(['a'], refuse);
        assert.ok(stack.context.memory.waiting.bytes >= large.length);
        stack.settle(call.reset());
        isAllGivenBack();
      });
    });

    it('a request that the memory budget has no room for is not sent again', () => {
      start(aSafeRoute(), {}, { memoryBytes: 100_000 });
      const call = failing(undefined, { body: Buffer.alloc(200_000) });
      assert.equal(first().bytes, 200_000);
      assertNotRetried(call);
    });

    it('a retry of a request that is still being sent gets what was sent, then the rest', () => {
      const call = start().call({ body: null });
      stack.settle(call.data(Buffer.from('begin ')));
      stack.settle(first().reset(ErrorCode.internalError));
      assert.deepEqual([second().body.toString(), second().isEnded], ['begin ', false]);
      stack.settle(call.data(Buffer.from('end'), Flag.endStream));
      assert.deepEqual([second().body.toString(), second().isEnded], ['begin end', true]);
      assertSecondServes(call);
    });

    it('a request that grows beyond 1 MiB between two attempts is sent whole', () => {
      const call = start(retriedAfter(200)).call({ body: null });
      const size = MIB - 100_000;
      stack.settle(call.data(Buffer.alloc(size, 'x')));
      stack.settle(first().fail(14));
      call.data(Buffer.alloc(200_000, 'y'), Flag.endStream);
      stack.advance(300);
      assert.equal(second().bytes, size + 200_000);
      assert.ok(second().body.subarray(0, size).equals(Buffer.alloc(size, 'x')));
      assertSecondServes(call);
    });
  });

  it('a retry waits for its backoff, and the deadline ends the wait', () => {
    start(retriedAfter(400, [14], { timeoutMs: 1000 }));
    const call = failing();
    assert.equal(wasRetried(), false);
    stack.advance(410);
    assert.equal(wasRetried(), true);
    stack.advance(600);
    assert.equal(call.status, 4);
  });

  it('a retry is called off when the caller leaves during the backoff', () => {
    start(retriedAfter(400));
    failing().reset();
    stack.advance(1000);
    assert.equal(wasRetried(), false);
  });

  describe('after a connection that was lost before the request had gone out whole', () => {
    const LARGE = Buffer.alloc(4 * FIRST_WINDOW, 'x');
    /** Peers that give no window back: a part of a large request waits here. */
    const HOLDS_BACK: UpstreamStackOptions = { peer: { replenishes: false } };
    const lost = (route: RouteConfig, body: Buffer, options = HOLDS_BACK): PeerStream => {
      const call = start(route, {}, options).call({ body });
      stack.settle(stack.backend('a').peer.socket.break());
      return call;
    };

    it('a unary call goes to another endpoint on any route', () => {
      const call = lost(aRoute(), LARGE);
      assert.equal(call.isOver, false);
      assertSecondServes(call);
      assert.equal(stack.endpoint('a').outcomes[Outcome.fault], 1, 'the endpoint has lost it all the same');
    });

    it('it does not where the endpoint may have all of the request', () => {
      assertNotRetried(lost(aRoute(), MESSAGE));
      assertNotRetried(lost(aRoute(), LARGE, {}));
    });

    it('nor does a stream, which may have begun', () => {
      const call = lost(aStreamRoute(), LARGE);
      assertNotRetried(call);
    });

    it('nor does one that has begun to be answered', () => {
      const call = start(aRoute(), {}, HOLDS_BACK).call({ body: LARGE });
      stack.settle(first().begin());
      stack.settle(stack.backend('a').peer.socket.break());
      assertNotRetried(call);
    });

    it('nor does any when the retry budget is spent', () => {
      const call = start(aRoute(), { budget: { ratio: 0, perSecond: 0 } }, HOLDS_BACK).call({ body: LARGE });
      stack.settle(stack.backend('a').peer.socket.break());
      assertNotRetried(call);
    });
  });

  it('no retry is made when the retry budget is spent', () => {
    start(aSafeRoute(), { budget: { ratio: 0, perSecond: 0 } });
    assertNotRetried(failing());
    assert.equal(stack.out.cluster.budget.refused, 1);
  });

  it('a retry after a lost connection is told the time that is left', () => {
    start(aSafeRoute({ timeoutMs: 10_000 })).caller.call();
    stack.advance(4000);
    stack.settle(stack.backend('a').peer.socket.break());
    const left = timeTold(second());
    assert.ok(left <= 6000, `${left} ms were promised`);
  });
});
