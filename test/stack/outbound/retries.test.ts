/** Outbound calls of several attempts: which failures are tried again, at which endpoint, and which never are. */
import assert from 'node:assert/strict';
import { parseGrpcTimeout } from '../../../sidecar/core/deadline/grpc-timeout.js';
import { FIRST_WINDOW, WIDE_WINDOW } from '../../../sidecar/transport/memory-budget.js';
import { ErrorCode, Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type Application,
  anUpstream,
  aRoute,
  aSafeRoute,
  aStreamRoute,
  MESSAGE,
  type OutboundStack,
  Stack,
} from '../../kit/stack/stack.js';

describe('Outbound: another attempt', () => {
  let stack: Stack;
  let out: OutboundStack;
  let app: Application;

  const start = (routes = [aSafeRoute()], over = {}, memoryBytes?: number): void => {
    stack = new Stack(memoryBytes === undefined ? {} : { memoryBytes });
    out = stack.outbound(anUpstream(['a', 'b'], { routes, ...over }));
    app = stack.app(out.listener);
  };
  /** The endpoint that got the first attempt, and the other one. */
  const first = (): PeerStream => stack.backend('a').last;
  const second = (): PeerStream => stack.backend('b').last;
  const timeTold = (stream: PeerStream): number => parseGrpcTimeout(stream.header('grpc-timeout')!);
  const wasRetried = (): boolean => stack.backend('b').requests.length > 0;
  afterEach(() => stack.close());

  for (const [said, sent] of [
    ['2', '3'],
    ['9', '9'],
    ['12', '1'],
  ] as const) {
    it(`a call with grpc-previous-rpc-attempts ${said} sends ${sent}`, () => {
      start();
      const call = stack.settle(app.call({ metadata: [['grpc-previous-rpc-attempts', said]] }));
      stack.settle(first().fail(14));
      assert.equal(second().header('grpc-previous-rpc-attempts'), sent);
      stack.settle(second().reply());
      assert.equal(call.status, 0);
    });
  }

  it('a retry follows UNAVAILABLE after headers and data, and nothing of the first response leaks', () => {
    start();
    const call = stack.settle(app.call());
    first()
      .begin([['x-from', 'first']])
      .data(Buffer.from('half an ans'))
      .trailers(14, [['x-late', 'first']]);
    stack.run();
    assert.equal(call.lists.length, 0);
    assert.deepEqual(second().body, MESSAGE);
    assert.equal(second().header('grpc-previous-rpc-attempts'), '1');
    stack.settle(second().reply(Buffer.from('whole'), 0, [['x-from', 'second']]));
    assert.deepEqual([call.status, call.body.toString(), call.trailer('x-from')], [0, 'whole', 'second']);
    assert.ok(!JSON.stringify(call.lists).includes('first'));
    stack.assertIdle();
  });

  it('a retry follows a trailers-only UNAVAILABLE', () => {
    start();
    const call = stack.settle(app.call());
    stack.settle(first().fail(14));
    stack.settle(second().reply());
    assert.equal(call.status, 0);
    assert.equal(out.outbound.retries, 1);
  });

  it('the last failure is passed on as it came', () => {
    start();
    const call = stack.settle(app.call());
    stack.settle(first().fail(14, [['grpc-message', 'one']]));
    second()
      .begin([['x-two', '2']])
      .trailers(14, [['grpc-message', 'two']]);
    stack.run();
    assert.deepEqual([call.status, call.trailer('grpc-message'), call.header('x-two')], [14, 'two', '2']);
  });

  for (const status of [2, 3, 4, 5, 8, 13]) {
    it(`no retry follows status ${status}, which the route does not name`, () => {
      start();
      const call = stack.settle(app.call());
      stack.settle(first().fail(status));
      assert.equal(call.status, status);
      assert.equal(wasRetried(), false);
    });
  }

  it('a retry follows a status that the route names', () => {
    start([aSafeRoute({ retry: { attempts: 2, on: [13], backoff: { baseMs: 0, maxMs: 0 } } })]);
    stack.settle(app.call());
    stack.settle(first().fail(13));
    assert.equal(wasRetried(), true);
  });

  it('no retry follows UNAVAILABLE on a route that is not idempotent', () => {
    start([aRoute()]);
    const call = stack.settle(app.call());
    stack.settle(first().fail(14));
    assert.equal(call.status, 14);
    assert.equal(wasRetried(), false);
  });

  it('a retry follows a reset and a lost connection on an idempotent route only', () => {
    for (const how of ['reset', 'lost'] as const) {
      for (const isSafe of [true, false]) {
        start([isSafe ? aSafeRoute() : aRoute()]);
        const call = stack.settle(app.call());
        if (how === 'reset') first().reset(ErrorCode.internalError);
        else stack.backend('a').peer.socket.break();
        stack.run();
        assert.equal(wasRetried(), isSafe, `${how}, ${isSafe}`);
        if (isSafe) second().reply();
        stack.run();
        assert.equal(call.status, isSafe ? 0 : how === 'reset' ? 13 : 14);
        stack.close();
      }
    }
    start();
  });

  describe('of a call that was never processed, whatever the route', () => {
    for (const isSafe of [true, false]) {
      it(`an attempt follows REFUSED_STREAM (idempotent: ${isSafe})`, () => {
        start([isSafe ? aSafeRoute() : aRoute()]);
        const call = stack.settle(app.call());
        stack.settle(first().reset(ErrorCode.refusedStream));
        stack.settle(second().reply());
        assert.equal(call.status, 0);
        assert.equal(out.cluster.budget.granted, 0, 'it costs no budget');
      });

      it(`an attempt follows a GOAWAY that leaves its stream out (idempotent: ${isSafe})`, () => {
        start([isSafe ? aSafeRoute() : aRoute()]);
        const call = stack.settle(app.call());
        stack.backend('a').peer.goaway(0);
        stack.run();
        stack.settle(second().reply());
        assert.equal(call.status, 0);
      });

      it(`an attempt follows a connect that fails (idempotent: ${isSafe})`, () => {
        start([isSafe ? aSafeRoute() : aRoute()]);
        for (const name of ['a', 'b']) stack.backend(name).mode = 'refuses';
        for (const name of ['a', 'b']) stack.backend(name).peer.socket.break();
        const call = app.call();
        stack.backend('b').mode = 'accepts';
        stack.advance(200);
        stack.settle(second().reply());
        assert.equal(call.status, 0);
      });
    }

    it('a call that is never processed goes to every endpoint once, then once more to one', () => {
      start([aRoute()]);
      for (const name of ['a', 'b'])
        stack.backend(name).answer = (stream) => stream.reset(ErrorCode.refusedStream);
      const call = app.call();
      stack.advance(300);
      assert.deepEqual([call.status, call.reason], [14, 'upstream-reset']);
      const attempts = stack.backend('a').requests.length + stack.backend('b').requests.length;
      assert.equal(attempts, 3);
      stack.assertIdle();
    });

    it('an attempt that was never processed is no fault of its endpoint', () => {
      start([aRoute()]);
      stack.backend('a').answer = (stream) => stream.reset(ErrorCode.refusedStream);
      stack.backend('b').answer = (stream) => stream.reply();
      for (let i = 0; i < 20; i++) app.call();
      stack.run();
      const { endpoints } = out.cluster;
      assert.deepEqual(
        endpoints.map(({ ejection }) => [ejection.state, ejection.consecutiveFaults]),
        [
          [0, 0],
          [0, 0],
        ],
      );
    });

    it('one attempt within the budget follows a refusal marked outrider-unprocessed', () => {
      start([aRoute()], { budget: { ratio: 0, perSecond: 0.1 } });
      const shed = (stream: PeerStream): void => {
        stream.fail(8, [
          ['outrider-reason', 'overloaded'],
          ['outrider-unprocessed', 'true'],
          ['grpc-retry-pushback-ms', '5000'],
        ]);
      };
      stack.backend('a').answer = shed;
      stack.backend('b').answer = shed;
      const call = stack.settle(app.call());
      assert.deepEqual([call.status, call.reason], [8, 'overloaded']);
      assert.equal(stack.backend('a').requests.length + stack.backend('b').requests.length, 2);
      stack.settle(app.call());
      assert.equal(
        stack.backend('a').requests.length + stack.backend('b').requests.length,
        3,
        'no budget left',
      );
    });

    for (const [pushback, attempts] of [
      ['999999999', 1],
      ['9'.repeat(200), 1],
      ['1e9', 1],
      ['Infinity', 1],
      ['-9007199254740993', 1],
      ['', 1],
      ['0x10', 1],
      ['0', 2],
    ] as const) {
      it(`a call ends at an absurd pushback: "${pushback.slice(0, 20)}"`, () => {
        start([aSafeRoute({ timeoutMs: 1_000 })], { endpoints: anUpstream(['a']).endpoints });
        const a = stack.backend('a');
        a.answer = (stream) => stream.fail(14, [['grpc-retry-pushback-ms', pushback]]);
        const call = app.call();
        stack.advance(5);
        assert.equal(call.status, 14, 'answered at once');
        assert.equal(a.requests.length, attempts);
        stack.assertIdle();
      });
    }

    it('outrider-unprocessed from outside the mesh is ignored', () => {
      start([aRoute()], { tls: 'plaintext' });
      stack.backend('a').answer = (stream) => stream.fail(14, [['outrider-unprocessed', 'true']]);
      stack.settle(app.call());
      assert.equal(wasRetried(), false);
    });
  });

  describe('after an attempt timeout', () => {
    it('a retry after an attempt timeout has the time that is left, and the first attempt is reset', () => {
      start([aSafeRoute({ attemptTimeoutMs: 300, timeoutMs: 500 })]);
      const call = app.call();
      stack.advance(310);
      assert.equal(first().resetCode, 8);
      const left = timeTold(second());
      assert.ok(left <= 200 && left > 180, `${left}`);
      first().reply(Buffer.from('late'));
      stack.settle(second().reply(Buffer.from('in time')));
      assert.deepEqual([call.status, call.body.toString()], [0, 'in time']);
      stack.assertIdle();
    });

    for (const [what, answer] of [
      ['DEADLINE_EXCEEDED', (stream: PeerStream) => void stream.fail(4)],
      ['CANCELLED', (stream: PeerStream) => void stream.fail(1)],
      ['a reset', (stream: PeerStream) => void stream.reset(8)],
    ] as const) {
      it(`${what} of the endpoint just before the attempt timeout counts as the timeout`, () => {
        start([aSafeRoute({ attemptTimeoutMs: 300 })]);
        const call = app.call();
        stack.advance(288);
        stack.settle(answer(first()));
        assert.equal(wasRetried(), true, 'whatever `on` says');
        assert.equal(out.cluster.endpoints[0]!.ejection.consecutiveFaults, 1);
        stack.advance(320);
        assert.deepEqual([call.status, call.reason], [4, 'attempt-timeout']);
        stack.assertIdle();
      });

      it(`${what} of the endpoint long before the attempt timeout counts as the endpoint's own`, () => {
        start([aSafeRoute({ attemptTimeoutMs: 300 })]);
        app.call();
        stack.advance(270);
        stack.settle(answer(first()));
        assert.equal(wasRetried(), what === 'a reset');
      });
    }

    it('an attempt timeout spent in the queue of a replica is no fault, and is retried on any route', () => {
      start([aRoute({ attemptTimeoutMs: 300 })]);
      const call = app.call();
      stack.advance(299);
      first().fail(4, [
        ['outrider-unprocessed', 'true'],
        ['outrider-reason', 'queue-expired'],
      ]);
      stack.run();
      stack.settle(second().reply());
      assert.equal(call.status, 0);
      assert.equal(out.cluster.endpoints[0]!.ejection.consecutiveFaults, 0);
    });

    it('the attempt timeout is the answer when no attempt is left', () => {
      start([aSafeRoute({ attemptTimeoutMs: 300 })]);
      const call = app.call();
      stack.advance(650);
      assert.deepEqual([call.status, call.reason], [4, 'attempt-timeout']);
      assert.match(call.trailer('grpc-message')!, /b:1 exceeded 300 ms/);
      assert.equal(second().resetCode, 8);
      stack.assertIdle();
    });

    it('an attempt timeout runs from its attempt and never beyond the deadline', () => {
      start([aSafeRoute({ attemptTimeoutMs: 300, timeoutMs: 500 })]);
      const call = app.call();
      stack.advance(510);
      assert.deepEqual([call.status, call.reason], [4, 'deadline-exceeded']);
      stack.assertIdle();
    });

    it('an attempt timeout does not end a response that has begun to flow', () => {
      start([aStreamRoute({ attemptTimeoutMs: 300, idempotent: true })]);
      const call = stack.settle(app.call());
      first().begin().data(Buffer.from('one'));
      stack.advance(1000);
      stack.settle(first().data(Buffer.from('two')).trailers(0));
      assert.deepEqual([call.status, call.body.toString()], [0, 'onetwo']);
    });
  });

  describe('and the timeout that its endpoint is told', () => {
    it('the endpoint is told the attempt timeout of a request that comes in one read with its headers', () => {
      start([aSafeRoute({ attemptTimeoutMs: 300 })]);
      app.call({ timeout: '5S' });
      stack.settle(app.call());
      assert.deepEqual([timeTold(first()), timeTold(second())], [300, 300]);
    });

    it('the endpoint is told the attempt timeout of a request that waited for its connection', () => {
      start([aSafeRoute({ attemptTimeoutMs: 300 })]);
      for (const name of ['a', 'b']) for (const peer of stack.backend(name).peers) peer.socket.break();
      stack.settle(app.call({ timeout: '5S' }));
      stack.advance(50);
      const { requests } = stack.backend('a');
      const told = timeTold(requests.at(-1) ?? stack.backend('b').last);
      assert.ok(told <= 300 && told >= 250, `${told}`);
    });

    it("the endpoint is told the call's deadline where that is earlier than the attempt timeout", () => {
      start([aSafeRoute({ attemptTimeoutMs: 300 })]);
      stack.settle(app.call({ timeout: '200m' }));
      assert.equal(timeTold(first()), 200);
    });

    it('the endpoint of a hedge is told its attempt timeout, from when the hedge is sent', () => {
      const hedge = { percentile: 0.9, minDelayMs: 1, maxRatio: 0.5 };
      start([aSafeRoute({ attemptTimeoutMs: 300, hedge })]);
      for (const name of ['a', 'b']) stack.backend(name).answer = (stream) => void stream.reply();
      for (let i = 0; i < 60; i++) {
        app.call();
        stack.advance(5);
      }
      for (const name of ['a', 'b']) stack.backend(name).answer = () => {};
      const before = stack.backend('a').requests.length + stack.backend('b').requests.length;
      app.call({ timeout: '5S' });
      stack.advance(20);
      assert.equal(stack.backend('a').requests.length + stack.backend('b').requests.length, before + 2);
      assert.deepEqual([timeTold(first()), timeTold(second())], [300, 300]);
    });

    it('the endpoint is not told an attempt timeout while the request is being sent', () => {
      start([aSafeRoute({ attemptTimeoutMs: 300 })]);
      const call = stack.settle(app.call({ timeout: '5S', body: null }));
      stack.settle(call.data(MESSAGE).end());
      assert.equal(timeTold(first()), 5000);
      assert.equal(parseGrpcTimeout(first().header('outrider-attempt-timeout')!), 300, 'from its end');
      stack.advance(310);
      assert.equal(first().resetCode, 8, 'it hears of it when it is over');
    });

    it('only a sidecar is told the length of the attempt timeout, and only where it is of use', () => {
      start([aSafeRoute({ attemptTimeoutMs: 300 })], { tls: 'plaintext' });
      app.call({ timeout: '5S', body: null });
      stack.settle(app.call({ timeout: '5S' }));
      for (const stream of [first(), second()])
        assert.equal(stream.header('outrider-attempt-timeout'), undefined);
      assert.deepEqual([timeTold(first()), timeTold(second())], [5000, 300]);
    });

    it('an attempt timeout that the application sends is ignored', () => {
      start([aSafeRoute()]);
      stack.settle(app.call({ body: null, metadata: [['outrider-attempt-timeout', '1m']] }));
      assert.equal(first().header('outrider-attempt-timeout'), undefined);
    });

    it('the endpoint of a stream is not told the attempt timeout, which ends with the begin of the response', () => {
      start([aStreamRoute({ attemptTimeoutMs: 300, idempotent: true })]);
      stack.settle(app.call({ timeout: '5S' }));
      assert.equal(timeTold(first()), 5000);
    });
  });

  describe('and octets that have been passed on', () => {
    it('a stream whose response headers have been passed on is not tried again', () => {
      start([aStreamRoute({ idempotent: true, retry: aSafeRoute().retry! })]);
      const call = stack.settle(app.call());
      stack.settle(first().begin());
      assert.equal(call.lists.length, 1);
      stack.settle(first().trailers(14));
      assert.equal(call.status, 14);
      assert.equal(wasRetried(), false);
    });

    it('a unary response of 64 KiB is passed on and not tried again', () => {
      start();
      const call = stack.settle(app.call());
      first()
        .begin()
        .data(Buffer.alloc(64 * 1024 - 1));
      stack.run();
      assert.equal(call.bytes, 0, 'held so far');
      stack.settle(first().data(Buffer.alloc(1)));
      assert.equal(call.bytes, 64 * 1024);
      stack.settle(first().trailers(14));
      assert.equal(call.status, 14);
      assert.equal(wasRetried(), false);
    });

    it('a reset after a committed response ends it in its trailers', () => {
      start();
      const call = stack.settle(app.call());
      first()
        .begin()
        .data(Buffer.alloc(65 * 1024));
      stack.run();
      stack.settle(first().reset(ErrorCode.internalError));
      assert.deepEqual([call.status, call.reason, call.bytes], [13, 'upstream-reset', 65 * 1024]);
      assert.equal(wasRetried(), false);
    });
  });

  describe('of a request', () => {
    const MIB = 1024 * 1024;

    it('a request of up to 1 MiB is sent again whole', () => {
      start();
      const body = Buffer.alloc(MIB, 'x');
      const call = stack.settle(app.call({ body }));
      assert.equal(first().bytes, MIB);
      assert.ok(stack.context.memory.held >= MIB);
      stack.settle(first().fail(14));
      assert.deepEqual(second().body, body);
      stack.settle(second().reply());
      assert.equal(call.status, 0);
      stack.assertIdle();
    });

    it('a request of more than 1 MiB is not sent again, and nothing of it is kept', () => {
      start();
      const call = stack.settle(app.call({ body: Buffer.alloc(MIB + 1) }));
      assert.equal(first().bytes, MIB + 1);
      assert.equal(
        stack.context.memory.held,
        WIDE_WINDOW - FIRST_WINDOW,
        'the promise of a wide window only',
      );
      stack.settle(first().fail(14));
      assert.equal(call.status, 14);
      assert.equal(wasRetried(), false);
    });

    it('a request that the memory budget has no room for is not sent again', () => {
      start([aSafeRoute()], {}, 100_000);
      const call = stack.settle(app.call({ body: Buffer.alloc(200_000) }));
      assert.equal(first().bytes, 200_000);
      stack.settle(first().fail(14));
      assert.equal(call.status, 14);
      assert.equal(wasRetried(), false);
      stack.assertIdle();
    });

    it('a retry of a request that is still being sent gets what was sent, then the rest', () => {
      start();
      const call = app.call({ body: null });
      stack.settle(call.data(Buffer.from('begin ')));
      stack.settle(first().reset(ErrorCode.internalError));
      assert.deepEqual([second().body.toString(), second().isEnded], ['begin ', false]);
      stack.settle(call.data(Buffer.from('end'), Flag.endStream));
      assert.deepEqual([second().body.toString(), second().isEnded], ['begin end', true]);
      stack.settle(second().reply());
      assert.equal(call.status, 0);
    });

    it('a request that grows beyond 1 MiB between two attempts is sent whole', () => {
      start([aSafeRoute({ retry: { attempts: 2, on: [14], backoff: { baseMs: 200, maxMs: 200 } } })]);
      const call = app.call({ body: null });
      const size = MIB - 100_000;
      stack.settle(call.data(Buffer.alloc(size, 'x')));
      stack.settle(first().fail(14));
      call.data(Buffer.alloc(200_000, 'y'), Flag.endStream);
      stack.advance(300);
      assert.equal(second().bytes, size + 200_000);
      assert.equal(
        second()
          .body.subarray(0, size)
          .every((octet) => octet === 0x78),
        true,
      );
      stack.settle(second().reply());
      assert.equal(call.status, 0);
      stack.assertIdle();
    });
  });

  it('a retry waits for its backoff, and the deadline ends the wait', () => {
    start([
      aSafeRoute({
        timeoutMs: 1000,
        retry: { attempts: 2, on: [14], backoff: { baseMs: 400, maxMs: 400 } },
      }),
    ]);
    const call = stack.settle(app.call());
    stack.settle(first().fail(14));
    assert.equal(wasRetried(), false);
    stack.advance(410);
    assert.equal(wasRetried(), true);
    stack.advance(600);
    assert.equal(call.status, 4);
    stack.assertIdle();
  });

  it('a retry is called off when the caller leaves during the backoff', () => {
    start([aSafeRoute({ retry: { attempts: 2, on: [14], backoff: { baseMs: 400, maxMs: 400 } } })]);
    const call = stack.settle(app.call());
    stack.settle(first().fail(14));
    call.reset();
    stack.advance(1000);
    assert.equal(wasRetried(), false);
    stack.assertIdle();
  });

  it('no retry is made when the retry budget is spent', () => {
    start([aSafeRoute()], { budget: { ratio: 0, perSecond: 0 } });
    const call = stack.settle(app.call());
    stack.settle(first().fail(14));
    assert.equal(call.status, 14);
    assert.equal(wasRetried(), false);
    assert.equal(out.cluster.budget.refused, 1);
  });

  it('a retry after a lost connection is told the time that is left', () => {
    start([aSafeRoute({ timeoutMs: 10_000 })]);
    app.call();
    stack.advance(4000);
    stack.backend('a').peer.socket.break();
    stack.run();
    const left = parseGrpcTimeout(second().header('grpc-timeout')!);
    assert.ok(left <= 6000, `${left} ms were promised`);
  });
});
