/**
 * The model a caller wants fails, and something else can answer: another upstream, or what was answered before. The
 * answer says so, a caller that accepts no other answer gets the failure, and the first answer of the primary ends it.
 */
import assert from 'node:assert/strict';
import type { FallbackConfig, RouteConfig, UpstreamConfig } from '../../../sidecar/config/model.js';
import { FAILURES } from '../../../sidecar/core/retry/primary-breaker.js';
import { MAIN_CLUSTER } from '../../../sidecar/discovery/snapshot.js';
import { ErrorCode } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type Application,
  addressOf,
  anUpstream,
  aRoute,
  aSafeRoute,
  aStreamRoute,
  type CallOptions,
  type OutboundStack,
  Stack,
  type UpstreamOptions,
} from '../../kit/stack/stack.js';

const TO_SMALL: FallbackConfig = { kind: 'upstream', upstream: 'small' };
const LAST_GOOD: FallbackConfig = { kind: 'last-good', maxAgeMs: 60_000, maxBytes: 100_000 };

describe('Scenario: a call falls back', () => {
  let stack: Stack;
  let big: OutboundStack;
  let small: OutboundStack;
  let app: Application;

  const bigConfig = (
    fallback: readonly FallbackConfig[],
    route: Partial<RouteConfig> = {},
    over: UpstreamOptions = {},
  ): UpstreamConfig =>
    anUpstream(['a', 'b'], {
      name: 'big',
      routes: [aRoute({ idempotent: true, fallback, ...route })],
      ejection: { mode: 'observe' },
      ...over,
    });
  const start = (
    fallback: readonly FallbackConfig[],
    route: Partial<RouteConfig> = {},
    over: UpstreamOptions = {},
    smallOver: UpstreamOptions = {},
  ): void => {
    stack = new Stack();
    small = stack.outbound(anUpstream(['s'], { name: 'small', ...smallOver }));
    big = stack.outbound(bigConfig(fallback, route, over));
    app = stack.app(big.listener);
    bigSays((stream) => stream.reply(Buffer.from('big')));
    smallSays((stream) => stream.reply(Buffer.from('small')));
  };
  const bigSays = (answer: (stream: PeerStream) => void): void => {
    stack.backend('a').answer = answer;
    stack.backend('b').answer = answer;
  };
  const smallSays = (answer: (stream: PeerStream) => void): void => {
    stack.backend('s').answer = answer;
  };
  const refuseConnections = (): void => {
    for (const name of ['a', 'b']) {
      stack.backend(name).mode = 'refuses';
      for (const peer of stack.backend(name).peers) peer.socket.break();
    }
    stack.run();
  };
  const fails =
    (status = 14) =>
    (stream: PeerStream) =>
      void stream.fail(status, [['grpc-message', 'broken']]);
  const call = (options: CallOptions = {}): PeerStream => stack.settle(app.call(options));
  const asked = (): number => stack.backend('a').requests.length + stack.backend('b').requests.length;
  const smallAsked = (): number => stack.backend('s').requests.length;
  const why = (stream: PeerStream): string | undefined => stream.header('outrider-degraded');
  const seen = (stream: PeerStream) => [stream.status, stream.body.toString(), why(stream)];
  const care = () => [...big.outbound.methodStates.all][0]!;
  afterEach(() => stack.close());

  describe('to another upstream', () => {
    it('when the primary failed, with its authority, and marked', () => {
      start([TO_SMALL]);
      bigSays(fails());
      const stream = call({ metadata: [['x-id', '7']], timeout: '2S' });
      assert.deepEqual(seen(stream), [0, 'small', 'unavailable; from=small']);
      const request = stack.backend('s').last;
      assert.equal(request.header(':authority'), 'small');
      assert.equal(request.header('x-id'), '7');
      assert.equal(request.header('grpc-previous-rpc-attempts'), undefined);
      assert.deepEqual(request.body, stack.backend('a').last.body);
      assert.deepEqual([...care().degraded], [['small unavailable', 1]]);
      stack.assertIdle();
    });

    it('only after the retries of the primary', () => {
      start([TO_SMALL], { retry: aSafeRoute().retry! });
      bigSays(fails());
      const stream = call();
      assert.equal(asked(), 2);
      assert.equal(seen(stream)[1], 'small');
      stack.backend('a').answer = fails();
      stack.backend('b').answer = (each) => void each.reply(Buffer.from('big'));
      assert.deepEqual(seen(call()), [0, 'big', undefined]);
    });

    it('with what is left of the time, and no more', () => {
      start([TO_SMALL], { attemptTimeoutMs: 300, timeoutMs: 1000 });
      bigSays(() => {});
      smallSays(() => {});
      const stream = call();
      stack.advance(310);
      assert.equal(smallAsked(), 1);
      assert.match(stack.backend('s').last.header('grpc-timeout') ?? '', /^69\dm|700m$/);
      stack.advance(700);
      assert.deepEqual([stream.status, stream.reason, why(stream)], [4, 'deadline-exceeded', undefined]);
      assert.equal(stack.backend('s').last.resetCode, ErrorCode.cancel);
      stack.assertIdle();
    });

    for (const [what, trouble, expected] of [
      ['no process listens', () => refuseConnections(), 'connect-failed'],
      ['it resets the stream', () => bigSays((s) => void s.reset(2)), 'upstream-reset'],
      ['it refuses the stream', () => bigSays((s) => void s.reset(7)), 'upstream-reset'],
      ['it breaks the protocol', () => bigSays((s) => void s.begin().end()), 'protocol-error'],
      ['it is full', () => bigSays(fails(8)), 'resource-exhausted'],
      ['it is broken', () => bigSays(fails(13)), 'internal'],
      ['it is at a loss', () => bigSays(fails(2)), 'unknown'],
    ] as const) {
      it(`when ${what}`, () => {
        start([TO_SMALL]);
        trouble();
        const stream = call();
        stack.advance(1000);
        assert.deepEqual(seen(stream), [0, 'small', `${expected}; from=small`]);
      });
    }

    it('when there is no endpoint', () => {
      start([TO_SMALL]);
      big.outbound.update({ ...bigConfig([TO_SMALL]), endpoints: [] });
      assert.deepEqual(seen(call()), [0, 'small', 'no-endpoint; from=small']);
    });

    it('when there is none, and the request comes in pieces', () => {
      start([TO_SMALL]);
      big.outbound.update({ ...bigConfig([TO_SMALL]), endpoints: [] });
      const stream = call({ body: null });
      stack.settle(stream.data(Buffer.alloc(200_000, 1)));
      stack.settle(stream.data(Buffer.alloc(200_000, 2)).end());
      assert.equal(stack.backend('s').last.bytes, 400_000);
      assert.equal(stream.status, 0);
    });

    for (const status of [3, 5, 6, 7, 9, 10, 11, 12, 16])
      it(`not for status ${status}, which is about the request`, () => {
        start([TO_SMALL]);
        bigSays(fails(status));
        const stream = call();
        assert.deepEqual([stream.status, smallAsked()], [status, 0]);
      });

    it('not when the caller has left', () => {
      start([TO_SMALL]);
      bigSays(() => {});
      const stream = call();
      stack.settle(stream.reset());
      assert.equal(smallAsked(), 0);
    });

    it('not when the answer had begun to flow', () => {
      start([TO_SMALL]);
      bigSays((each) => void each.begin().data(Buffer.alloc(70_000)).trailers(14));
      assert.equal(call().status, 14);
      assert.equal(smallAsked(), 0);
    });

    it('not when the request is too large to be kept', () => {
      start([TO_SMALL]);
      bigSays(fails());
      const stream = call({ body: Buffer.alloc(1_200_000) });
      assert.deepEqual([stream.status, smallAsked()], [14, 0]);
    });

    it('not when the caller wants no other answer', () => {
      start([TO_SMALL]);
      bigSays(fails());
      const stream = call({ metadata: [['outrider-accept-degraded', 'no']] });
      assert.deepEqual([stream.status, stream.trailer('grpc-message'), smallAsked()], [14, 'broken', 0]);
      assert.equal(care().declined, 1);
      assert.equal(stack.backend('a').last.header('outrider-accept-degraded'), undefined);
    });

    it('the caller leaves meanwhile: the attempt there is reset', () => {
      start([TO_SMALL]);
      bigSays(fails());
      smallSays(() => {});
      const stream = call();
      stack.settle(stream.reset());
      assert.equal(stack.backend('s').last.resetCode, ErrorCode.cancel);
      stack.assertIdle();
    });

    it('its retries and endpoints are its own', () => {
      start([TO_SMALL], {}, {}, { routes: [aSafeRoute()] });
      stack.backend('t');
      small.outbound.update(anUpstream(['s', 't'], { name: 'small', routes: [aSafeRoute()] }));
      stack.backend('t').answer = (each) => void each.reply(Buffer.from('t'));
      stack.run();
      bigSays(fails());
      smallSays(fails());
      for (let i = 0; i < 4; i++) assert.equal(seen(call())[1], 't');
      assert.equal(small.outbound.retries >= 1, true);
    });

    it('also when that one takes the method for a stream', () => {
      start([TO_SMALL], {}, {}, { routes: [aStreamRoute()] });
      bigSays(fails());
      assert.deepEqual(seen(call()), [0, 'small', 'unavailable; from=small']);
      smallSays(fails(13));
      assert.deepEqual([call().status], [14]);
    });

    it('also when that one did not know its endpoints yet', () => {
      const consul = { service: 'small', tags: [], meta: {}, failover: [] };
      start([TO_SMALL], {}, {}, { consul, endpoints: [], routes: [aStreamRoute()] });
      bigSays((each) => void each.fail(14, [['grpc-message', 'broken']]));
      smallSays((each) => void each.begin().trailers(13));
      const stream = call();
      assert.equal(stream.isOver, false, 'it waits');
      const endpoints = [{ address: addressOf('s'), id: 's', weight: 1, priority: 0 }];
      small.outbound.apply({
        routes: [{ split: [{ weight: 1, cluster: MAIN_CLUSTER }] }],
        clusters: new Map([[MAIN_CLUSTER, { endpoints }]]),
      });
      stack.run();
      assert.deepEqual(
        [smallAsked(), stream.status, stream.trailer('grpc-message')],
        [1, 14, 'broken'],
        'the failure of the first is the answer, not that of the other',
      );
    });

    for (const [what, trouble] of [
      ['fails too', () => smallSays((each) => void each.fail(13))],
      ['knows no such thing', () => smallSays((each) => void each.fail(5))],
      ['has no endpoint', () => small.outbound.update(anUpstream([], { name: 'small' }))],
      ['is gone', () => {}],
    ] as const) {
      it(`and the first failure is the answer when that one ${what}`, () => {
        start([what === 'is gone' ? { kind: 'upstream', upstream: 'nobody' } : TO_SMALL]);
        trouble();
        bigSays((each) => void each.begin([['x-big', '1']]).trailers(14, [['grpc-message', 'broken']]));
        const stream = call();
        assert.deepEqual(
          [stream.status, stream.trailer('grpc-message'), stream.header('x-big'), why(stream)],
          [14, 'broken', '1', undefined],
        );
        stack.assertIdle();
      });
    }

    it('does not go round: what falls back does not fall back further', () => {
      const toBig: FallbackConfig = { kind: 'upstream', upstream: 'big' };
      start([TO_SMALL], {}, {}, { routes: [aRoute({ fallback: [toBig] })] });
      bigSays(fails());
      smallSays(fails(13));
      assert.equal(call().status, 14);
      assert.deepEqual([asked(), smallAsked()], [1, 1]);
    });

    it('strips what the other one says of itself, when that is outside the mesh', () => {
      start([TO_SMALL], {}, {}, { tls: 'plaintext' });
      bigSays(fails());
      smallSays(
        (each) =>
          void each
            .begin([['outrider-degraded', 'lies']])
            .data(Buffer.from('s'))
            .trailers(0),
      );
      const stream = call();
      assert.deepEqual(
        stream.lists[0]!.filter(([name]) => name === 'outrider-degraded').map(([, value]) => value),
        ['unavailable; from=small'],
      );
    });
  });

  describe('to the last good answer', () => {
    it('to the same request, while it is young enough', () => {
      start([LAST_GOOD]);
      bigSays(
        (each) =>
          void each
            .begin([['x-model', '3']])
            .data(each.body)
            .trailers(0, [['x-took', '9']]),
      );
      const body = Buffer.from('\0\0\0\0\x03one');
      call({ body });
      bigSays(fails());
      const stream = call({ body });
      assert.deepEqual(
        [stream.status, stream.body, stream.header('x-model'), stream.trailer('x-took'), why(stream)],
        [0, body, '3', '9', 'unavailable; from=last-good'],
      );
      assert.equal(call({ body: Buffer.from('\0\0\0\0\x03two') }).status, 14);
      assert.equal(call({ body, path: '/inference.GRPCInferenceService/ModelReady' }).status, 14);
      assert.equal(call({ body, metadata: [['authorization', 'another caller']] }).status, 14);
      stack.advance(60_000);
      assert.equal(call({ body }).status, 0, 'as old as may be');
      stack.advance(1);
      assert.equal(call({ body }).status, 14, 'too old');
      stack.assertIdle();
    });

    const key = (value: string): CallOptions => ({ metadata: [['x-api-key', value]] });

    it('of the same caller, by the metadata that identifies it', () => {
      start([LAST_GOOD]);
      for (const user of ['ann', 'bob']) {
        bigSays((each) => void each.reply(Buffer.from(`for ${user}`)));
        call(key(user));
      }
      bigSays(fails());
      for (let i = 0; i < 3; i++)
        for (const user of ['ann', 'bob'])
          assert.deepEqual(seen(call(key(user)))[1], `for ${user}`, `time ${i}`);
      assert.equal(call(key('eve')).status, 14, 'of another caller');
      assert.equal(call().status, 14, 'of a caller without the key');
    });

    it('whatever tracing and timing say, which differ in each call', () => {
      start([LAST_GOOD]);
      const traced = (n: number): CallOptions => ({
        timeout: `${10 + n}S`,
        metadata: [
          ['user-agent', `grpc-node/${n}`],
          ['traceparent', `00-${n}`],
          ['tracestate', `a=${n}`],
          ['baggage', `b=${n}`],
          ['x-request-id', `${n}`],
          ['x-b3-traceid', `${n}`],
          ['b3', `${n}`],
          ['grpc-trace-bin', `${n}`],
          ['x-cloud-trace-context', `${n}`],
          ['x-envoy-attempt-count', `${n}`],
        ],
      });
      call(traced(1));
      bigSays(fails());
      for (let n = 2; n < 6; n++) assert.equal(seen(call(traced(n)))[1], 'big');
    });

    it('by the metadata that the route names, where it names any', () => {
      start([{ ...LAST_GOOD, vary: ['x-tenant'] } as FallbackConfig]);
      const of = (tenant: string, other: string): CallOptions => ({
        metadata: [
          ['x-tenant', tenant],
          ['x-session', other],
        ],
      });
      call(of('one', '1'));
      bigSays(fails());
      assert.equal(seen(call(of('one', '2')))[1], 'big');
      assert.equal(call(of('two', '1')).status, 14);
      assert.equal(call({ metadata: [...of('one', '1').metadata!, ['grpc-encoding', 'gzip']] }).status, 14);
    });

    it('which is the newest one', () => {
      start([LAST_GOOD]);
      for (const answer of ['old', 'new']) {
        bigSays((each) => void each.reply(Buffer.from(answer)));
        call();
      }
      bigSays(fails());
      assert.equal(seen(call())[1], 'new');
    });

    it('within its bytes: the oldest makes room for what is asked for again', () => {
      start([{ ...LAST_GOOD, maxBytes: 36_000 } as FallbackConfig]);
      bigSays((each) => void each.reply(Buffer.alloc(8000, each.body)));
      const bodies = ['1', '2', '3', '4'].map((text) => Buffer.from(text));
      for (const body of bodies.slice(0, 3)) call({ body });
      for (let i = 0; i < 2; i++) call({ body: bodies[3]! });
      const [cache] = big.outbound.methodStates.responseCaches;
      assert.ok(cache!.bytes <= 36_000 && cache!.size === 3);
      bigSays(fails());
      assert.deepEqual(
        bodies.map((body) => call({ body }).status),
        [14, 0, 0, 0],
      );
    });

    it('keeps nothing that is larger than all of it, or that was passed on as it came', () => {
      start([{ ...LAST_GOOD, maxBytes: 1000 } as FallbackConfig]);
      bigSays((each) => void each.reply(Buffer.alloc(2000)));
      call();
      assert.equal([...big.outbound.methodStates.responseCaches][0]!.size, 0);
      big.outbound.update(bigConfig([LAST_GOOD]));
      bigSays((each) => void each.reply(Buffer.alloc(90_000)));
      call();
      assert.equal([...big.outbound.methodStates.responseCaches][0]!.size, 0);
    });

    it('waits for the request to be all here', () => {
      start([LAST_GOOD]);
      const body = Buffer.alloc(100_000, 5);
      call({ body });
      big.outbound.update({ ...bigConfig([LAST_GOOD]), endpoints: [] });
      const stream = call({ body: null });
      stack.settle(stream.data(body.subarray(0, 40_000)));
      assert.equal(stream.isOver, false);
      stack.settle(stream.data(body.subarray(40_000)).end());
      assert.deepEqual(seen(stream), [0, 'big', 'no-endpoint; from=last-good']);
      const other = call({ body: null, timeout: '300m' });
      stack.advance(310);
      assert.equal(other.status, 4);
      stack.assertIdle();
    });

    it('comes after, or before, another upstream, as the route says', () => {
      start([TO_SMALL, LAST_GOOD]);
      call();
      bigSays(fails());
      assert.equal(seen(call())[1], 'small');
      smallSays(fails());
      assert.deepEqual(seen(call()), [0, 'big', 'unavailable; from=last-good']);
      big.outbound.update(bigConfig([LAST_GOOD, TO_SMALL]));
      assert.deepEqual(seen(call()), [0, 'big', 'unavailable; from=last-good']);
      smallSays((each) => void each.reply(Buffer.from('small')));
      assert.equal(seen(call({ body: Buffer.from('new') }))[1], 'small');
    });

    it('survives a reload that leaves it as it is', () => {
      start([LAST_GOOD]);
      call();
      big.outbound.update(bigConfig([LAST_GOOD]));
      bigSays(fails());
      assert.equal(seen(call())[1], 'big');
      big.outbound.update(bigConfig([]));
      assert.equal(call().status, 14);
    });
  });

  describe('and comes back', () => {
    it('at once while failures are few, with the first answer after they were many', () => {
      start([TO_SMALL]);
      bigSays(fails());
      for (let i = 0; i < FAILURES; i++) call();
      assert.equal(asked(), FAILURES);
      for (let i = 0; i < 20; i++) assert.deepEqual(seen(call()), [0, 'small', 'unavailable; from=small']);
      assert.equal(asked(), FAILURES, 'no call waits for it');
      stack.advance(1200);
      bigSays(() => {});
      const trial = call();
      assert.equal(asked(), FAILURES + 1);
      for (let i = 0; i < 5; i++) assert.equal(seen(call())[1], 'small');
      bigSays((each) => void each.reply(Buffer.from('big')));
      for (const name of ['a', 'b']) {
        const { last } = stack.backend(name);
        if (last.resetCode === undefined) last.reply(Buffer.from('big'));
      }
      stack.run();
      assert.deepEqual(seen(trial), [0, 'big', undefined]);
      for (let i = 0; i < 5; i++) assert.deepEqual(seen(call()), [0, 'big', undefined]);
    });

    it('not before: a failed probe is answered by the fallback, and the next one comes later', () => {
      start([TO_SMALL]);
      bigSays(fails());
      for (let i = 0; i < FAILURES; i++) call();
      let trials = 0;
      for (let second = 0; second < 60; second++) {
        const before = asked();
        for (let i = 0; i < 10; i++) {
          assert.equal(seen(call())[1], 'small');
          stack.advance(100);
        }
        trials += asked() - before;
      }
      assert.ok(trials >= 4 && trials <= 7, `${trials} probes in a minute`);
    });

    it('a caller that wants no other answer goes to the primary all the while', () => {
      start([TO_SMALL]);
      bigSays(fails());
      for (let i = 0; i < FAILURES; i++) call();
      const metadata = [['outrider-accept-degraded', 'no']] as const;
      assert.equal(call({ metadata }).status, 14);
      assert.equal(asked(), FAILURES + 1);
      bigSays((each) => void each.reply(Buffer.from('big')));
      assert.equal(seen(call({ metadata }))[1], 'big');
      assert.equal(seen(call())[1], 'big', 'and its answer brings the others back');
    });

    it('the primary is asked after all when the fallback has nothing', () => {
      start([TO_SMALL]);
      bigSays(fails());
      for (let i = 0; i < FAILURES; i++) call();
      smallSays(fails(13));
      const before = asked();
      const stream = call();
      assert.deepEqual([stream.status, stream.trailer('grpc-message')], [14, 'broken']);
      assert.equal(asked(), before + 1);
      bigSays((each) => void each.reply(Buffer.from('big')));
      assert.deepEqual(seen(call()), [0, 'big', undefined]);
      assert.deepEqual(seen(call()), [0, 'big', undefined]);
    });

    it('with the beginning of an answer where the probe is a stream, not with its end', () => {
      start([TO_SMALL], aStreamRoute());
      bigSays(fails());
      for (let i = 0; i < FAILURES; i++) assert.equal(seen(call())[1], 'small');
      stack.advance(1200);
      bigSays((each) => void each.begin().data(Buffer.from('one of many')));
      const trial = call();
      assert.equal(trial.isOver, false);
      bigSays((each) => void each.reply(Buffer.from('big')));
      for (let i = 0; i < 5; i++) assert.deepEqual(seen(call()), [0, 'big', undefined]);
      assert.equal(trial.isOver, false);
    });

    it('a probe whose caller cancels decides nothing: the next call is one', () => {
      start([TO_SMALL]);
      bigSays(fails());
      for (let i = 0; i < FAILURES; i++) call();
      stack.advance(1200);
      bigSays(() => {});
      stack.settle(call().reset());
      bigSays((each) => void each.reply(Buffer.from('big')));
      assert.equal(seen(call())[1], 'big');
    });

    it('calls that hang count as failures too', () => {
      start([TO_SMALL], { timeoutMs: 2000 });
      bigSays(() => {});
      for (let i = 0; i < FAILURES; i++) {
        assert.equal(call().isOver, false);
        stack.advance(2010);
      }
      assert.equal(seen(call())[1], 'small');
    });
  });
});
