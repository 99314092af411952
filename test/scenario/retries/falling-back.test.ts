/**
 * The model a caller wants fails, and something else can answer: another upstream, or what was answered before. The
 * answer says so, a caller that accepts no other answer gets the failure, and the first answer of the primary ends it.
 */
import assert from 'node:assert/strict';
import type { FallbackConfig, RouteConfig } from '../../../sidecar/config/model.js';
import { FAILURES } from '../../../sidecar/core/retry/primary-breaker.js';
import { MAIN_CLUSTER } from '../../../sidecar/discovery/snapshot.js';
import { aGenerateRequest, framedRequest, GENERATE } from '../../kit/engines/scripted-engine.js';
import { ErrorCode } from '../../kit/http2/h2-frames.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { endpoint } from '../../kit/scenario/discovered-upstream.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import {
  anUpstream,
  aRoute,
  aSafeRoute,
  aStreamRoute,
  type CallOptions,
  type OutboundStack,
  type UpstreamOptions,
} from '../../kit/stack/stack.js';

const TO_SMALL: FallbackConfig = { kind: 'upstream', upstream: 'small' };
const LAST_GOOD: FallbackConfig = { kind: 'last-good', maxAgeMs: 60_000, maxBytes: 100_000 };
const PRIMARY_ONLY = { metadata: [['outrider-accept-degraded', 'no']] } as const;

const says = (text: string) => (stream: PeerStream) => void stream.reply(Buffer.from(text));
const fails =
  (status = 14) =>
  (stream: PeerStream) =>
    void stream.fail(status, [['grpc-message', 'broken']]);
/** A sidecar between says why there is no answer of the service. */
const sidecarFails =
  (reason: string, status = 14, model?: string) =>
  (stream: PeerStream) =>
    void stream.fail(status, [
      ['outrider-reason', reason],
      ['grpc-message', 'broken'],
      ...(model === undefined ? [] : [['outrider-model', model] as const]),
    ]);
const hangs = () => {};

describe('Scenario: a call falls back', () => {
  let stack: UpstreamStack;
  let small: OutboundStack;

  const big = (fallback: readonly FallbackConfig[], route: Partial<RouteConfig> = {}): UpstreamOptions => ({
    name: 'big',
    routes: [aRoute({ idempotent: true, fallback, ...route })],
    ejection: { mode: 'observe' },
  });
  const start = (
    fallback: readonly FallbackConfig[] = [TO_SMALL],
    route: Partial<RouteConfig> = {},
    smallOver: UpstreamOptions = {},
  ): void => {
    stack = new UpstreamStack(['a', 'b'], big(fallback, route));
    small = stack.outbound(anUpstream(['s'], { name: 'small', ...smallOver }));
    bigSays(says('big'));
    smallSays(says('small'));
  };
  /** `start` with a primary that fails. */
  const startBroken = (...how: Parameters<typeof start>): void => {
    start(...how);
    stack.answers(fails());
  };
  /** And then so many calls that the next ones begin with the fallback. */
  const startResting = (): void => {
    startBroken();
    stack.load(FAILURES, 0);
  };
  const withoutEndpoints = (fallback: FallbackConfig): void => stack.update(big([fallback]), []);
  const bigSays = (answer: (stream: PeerStream) => void): void => stack.answers(answer);
  const smallSays = (answer: (stream: PeerStream) => void): void => stack.answers(answer, 's');
  const call = (options: CallOptions = {}): PeerStream => stack.call(options);
  const asked = (): number => stack.requests.length;
  const smallAsked = (): number => stack.requestsAt('s').length;
  const why = (stream: PeerStream): string | undefined => stream.header('outrider-degraded');
  const seen = (stream: PeerStream) => [stream.status, stream.body.toString(), why(stream)];
  const isBroken = (stream: PeerStream): void =>
    assert.deepEqual([stream.status, stream.trailer('grpc-message')], [14, 'broken']);
  const isFromBig = (stream: PeerStream): void => assert.deepEqual(seen(stream), [0, 'big', undefined]);
  const isFromSmall = (stream: PeerStream, reason = 'unavailable'): void =>
    assert.deepEqual(seen(stream), [0, 'small', `${reason}; from=small`]);
  const isLastGood = (stream: PeerStream, reason = 'unavailable'): void =>
    assert.deepEqual(seen(stream), [0, 'big', `${reason}; from=last-good`]);
  const care = () => [...stack.out.outbound.state.methodStates.all][0]!;

  describe('to another upstream', () => {
    it('when the primary failed, with its authority, and marked', () => {
      startBroken();
      isFromSmall(call({ metadata: [['x-id', '7']], timeout: '2S' }));
      const request = stack.backend('s').last;
      const fields = [':authority', 'x-id', 'grpc-previous-rpc-attempts'].map((name) => request.header(name));
      assert.deepEqual(fields, ['small', '7', undefined]);
      assert.deepEqual(request.body, stack.backend('a').last.body);
      assert.deepEqual([...care().degraded], [['small unavailable', 1]]);
      stack.assertIdle();
    });

    it('and fails there: that the primary did nothing is not said of the call any more', () => {
      start();
      withoutEndpoints(TO_SMALL);
      smallSays(fails());
      const stream = call();
      const isMarked = stream.trailer('outrider-unprocessed') !== undefined;
      assert.deepEqual([stream.status, stream.reason, smallAsked(), isMarked], [14, 'no-endpoint', 1, false]);
    });

    it('only after the retries of the primary', () => {
      startBroken([TO_SMALL], { retry: aSafeRoute().retry! });
      const stream = call();
      assert.equal(asked(), 2);
      assert.equal(seen(stream)[1], 'small');
      stack.answers(says('big'), 'b');
      isFromBig(call());
    });

    it('with what is left of the time, and no more', () => {
      start([TO_SMALL], { attemptTimeoutMs: 300, timeoutMs: 1000 });
      bigSays(hangs);
      smallSays(hangs);
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
      ['no process listens', () => stack.names.map((name) => stack.kill(name)), 'connect-failed'],
      ['it resets the stream', () => bigSays((s) => void s.reset(2)), 'upstream-reset'],
      ['it refuses the stream', () => bigSays((s) => void s.reset(7)), 'upstream-reset'],
      ['it breaks the protocol', () => bigSays((s) => void s.begin().end()), 'protocol-error'],
      ['it is full', () => bigSays(fails(8)), 'resource-exhausted'],
      ['it is broken', () => bigSays(fails(13)), 'internal'],
      ['it is at a loss', () => bigSays(fails(2)), 'unknown'],
      ['its replica drains', () => bigSays(sidecarFails('drain-timeout')), 'unavailable'],
      [
        'the process of its model is lost, one of several',
        () => bigSays(sidecarFails('connection-lost', 14, 'big')),
        'unavailable',
      ],
    ] as const) {
      it(`when ${what}`, () => {
        start();
        trouble();
        const stream = call();
        stack.advance(1000);
        isFromSmall(stream, expected);
      });
    }

    it('when there is no endpoint', () => {
      start();
      withoutEndpoints(TO_SMALL);
      isFromSmall(call(), 'no-endpoint');
    });

    it('when there is none, and the request comes in pieces', () => {
      start();
      withoutEndpoints(TO_SMALL);
      const stream = call({ body: null });
      stack.settle(stream.data(Buffer.alloc(200_000, 1)));
      stack.settle(stream.data(Buffer.alloc(200_000, 2)).end());
      assert.deepEqual([stack.backend('s').last.bytes, stream.status], [400_000, 0]);
    });

    const large = Buffer.alloc(5_000_000);
    for (const [what, answer, options, status] of [
      ['the answer had begun to flow', (s) => void s.begin().data(Buffer.alloc(70_000)).trailers(14), {}, 14],
      ['the request is too large to be kept', fails(), { body: large }, 14],
      ['its metadata is too long', sidecarFails('metadata-too-large', 8), {}, 8],
      ['it crashed its model, one of several', sidecarFails('model-crashed', 14, 'big'), {}, 14],
      ...[3, 5, 6, 7, 9, 10, 11, 12, 16].map(
        (status) => [`the status ${status} is about the request`, fails(status), {}, status] as const,
      ),
    ] as [string, (stream: PeerStream) => void, CallOptions, number][]) {
      it(`not when ${what}`, () => {
        start();
        bigSays(answer);
        assert.deepEqual([call(options).status, smallAsked()], [status, 0]);
      });
    }

    it('at once, when replica after replica drains', () => {
      start();
      bigSays(sidecarFails('drain-timeout'));
      for (let i = 0; i < FAILURES; i++) isFromSmall(call());
      const before = asked();
      isFromSmall(call());
      assert.equal(asked(), before, 'the primary has failed often enough');
    });

    it('and nothing of an engine goes there with the call', () => {
      stack = new UpstreamStack(['a'], {
        ...{ name: 'big', engine: 'vllm', routes: [aStreamRoute({ fallback: [TO_SMALL] })] },
      });
      small = stack.outbound(anUpstream(['s', 't'], { name: 'small', routes: [aStreamRoute()] }));
      const stream = stack.call({ path: GENERATE, body: framedRequest(aGenerateRequest()) });
      const { engineCalls } = stack.out.outbound.state;
      assert.equal(engineCalls.size, 1);
      stack.kill('a');
      stack.advance(3_000);
      assert.deepEqual([smallAsked() + stack.requestsAt('t').length, engineCalls.size], [1, 0]);
      assert.ok(small.cluster.endpoints.every(({ engineSilence }) => engineSilence === null));
      const [asked] = stack.requestsAt('s', 't');
      stack.advance(60_000);
      assert.equal(asked!.resetCode, undefined, 'no other service is an engine that hangs');
      stack.settle(asked!.reply(Buffer.from('small')));
      isFromSmall(stream, 'connect-failed');
    });

    it('not when the caller has left', () => {
      start();
      bigSays(hangs);
      const stream = call();
      stack.settle(stream.reset());
      assert.equal(smallAsked(), 0);
    });

    it('not when the caller wants no other answer', () => {
      startBroken();
      isBroken(call(PRIMARY_ONLY));
      assert.deepEqual([smallAsked(), care().declined], [0, 1]);
      assert.equal(stack.backend('a').last.header('outrider-accept-degraded'), undefined);
    });

    it('the caller leaves meanwhile: the attempt there is reset', () => {
      startBroken();
      smallSays(hangs);
      const stream = call();
      stack.settle(stream.reset());
      assert.equal(stack.backend('s').last.resetCode, ErrorCode.cancel);
      stack.assertIdle();
    });

    it('its retries and endpoints are its own', () => {
      startBroken();
      stack.answers(says('t'), 't');
      stack.settle(
        small.outbound.state.update(anUpstream(['s', 't'], { name: 'small', routes: [aSafeRoute()] })),
      );
      smallSays(fails());
      for (let i = 0; i < 4; i++) assert.equal(seen(call())[1], 't');
      assert.equal(small.outbound.state.retries >= 1, true);
    });

    it('also when that one takes the method for a stream', () => {
      startBroken([TO_SMALL], {}, { routes: [aStreamRoute()] });
      isFromSmall(call());
      smallSays(fails(13));
      assert.equal(call().status, 14);
    });

    it('also when that one did not know its endpoints yet', () => {
      const consul = { service: 'small', tags: [], meta: {}, failover: [] };
      startBroken([TO_SMALL], {}, { consul, endpoints: [], routes: [aStreamRoute()] });
      smallSays((each) => void each.begin().trailers(13));
      const stream = call();
      assert.equal(stream.isOver, false, 'it waits');
      const clusters = new Map([[MAIN_CLUSTER, { endpoints: [endpoint('s')] }]]);
      const routes = [{ split: [{ weight: 1, cluster: MAIN_CLUSTER }] }];
      stack.settle(small.outbound.state.apply({ routes, clusters }));
      assert.equal(smallAsked(), 1);
      // The failure of the first is the answer, not that of the other.
      isBroken(stream);
    });

    for (const [what, trouble] of [
      ['fails too', () => smallSays((each) => void each.fail(13))],
      ['knows no such thing', () => smallSays((each) => void each.fail(5))],
      ['has no endpoint', () => small.outbound.state.update(anUpstream([], { name: 'small' }))],
      ['is gone', () => {}],
    ] as const) {
      it(`and the first failure is the answer when that one ${what}`, () => {
        start([what === 'is gone' ? { kind: 'upstream', upstream: 'unknown' } : TO_SMALL]);
        trouble();
        bigSays((each) => void each.begin([['x-big', '1']]).trailers(14, [['grpc-message', 'broken']]));
        const stream = call();
        isBroken(stream);
        assert.deepEqual([stream.header('x-big'), why(stream)], ['1', undefined]);
        stack.assertIdle();
      });
    }

    it('and keeps no place there for a call that has waited for its start in vain', () => {
      startBroken([TO_SMALL], {}, { coldStart: { waitMs: 1_000, maxWaiting: 1 } });
      small.outbound.state.update(
        anUpstream([], { name: 'small', coldStart: { waitMs: 1_000, maxWaiting: 1 } }),
      );
      for (let i = 0; i < 3; i++) {
        const stream = call();
        assert.equal(stream.isOver, false, `call ${i} waits`);
        stack.advance(1_100);
        isBroken(stream);
      }
      assert.deepEqual(small.outbound.state.coldStart!.counts, { waited: 3, expired: 3, refused: 0 });
      stack.assertIdle();
    });

    it('does not go round: what falls back does not fall back further', () => {
      const toBig: FallbackConfig = { kind: 'upstream', upstream: 'big' };
      startBroken([TO_SMALL], {}, { routes: [aRoute({ fallback: [toBig] })] });
      smallSays(fails(13));
      assert.equal(call().status, 14);
      assert.deepEqual([asked(), smallAsked()], [1, 1]);
    });

    it('strips what the other one says of itself, when that is outside the mesh', () => {
      startBroken([TO_SMALL], {}, { tls: 'plaintext' });
      const lie = [['outrider-degraded', 'lies']] as const;
      smallSays((each) => void each.begin(lie).data(Buffer.from('s')).trailers(0));
      const said = call().lists[0]!.filter(([name]) => name === 'outrider-degraded');
      assert.deepEqual(said, [['outrider-degraded', 'unavailable; from=small']]);
    });
  });

  describe('to the last good answer', () => {
    it('to the same request, while it is young enough', () => {
      start([LAST_GOOD]);
      const [first, last] = [[['x-model', '3']], [['x-took', '9']]] as const;
      bigSays((each) => void each.begin(first).data(each.body).trailers(0, last));
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

    it('and what an endpoint outside the mesh says in names of the mesh stays out of it', () => {
      start([LAST_GOOD]);
      stack.update({ ...big([LAST_GOOD]), tls: 'plaintext' });
      const mark = [['outrider-degraded', 'forged']] as const;
      bigSays((each) => void each.begin(mark).data(Buffer.from('big')).trailers(0, mark));
      const first = call();
      bigSays(fails());
      const second = call();
      isLastGood(second);
      assert.deepEqual(
        [first.header('outrider-degraded'), first.trailer('outrider-degraded')],
        [undefined, undefined],
      );
      assert.equal(second.lists[0]!.filter(([name]) => name === 'outrider-degraded').length, 1);
      assert.equal(second.trailer('outrider-degraded'), undefined);
    });

    const key = (value: string): CallOptions => ({ metadata: [['x-api-key', value]] });

    it('of the same caller, by the metadata that identifies it', () => {
      start([LAST_GOOD]);
      for (const user of ['ann', 'bob']) {
        bigSays(says(`for ${user}`));
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
      const trace = ['traceparent', 'tracestate', 'baggage', 'x-b3-traceid', 'b3', 'grpc-trace-bin'];
      const names = [
        ...trace,
        'user-agent',
        'x-request-id',
        'x-cloud-trace-context',
        'x-envoy-attempt-count',
      ];
      const traced = (n: number): CallOptions => ({
        timeout: `${10 + n}S`,
        metadata: names.map((name) => [name, name.endsWith('-bin') ? `AAA${n}` : `a=${n}`]),
      });
      call(traced(1));
      bigSays(fails());
      for (let n = 2; n < 6; n++) assert.equal(seen(call(traced(n)))[1], 'big');
    });

    it('by the metadata that the route names, where it names any', () => {
      start([{ ...LAST_GOOD, vary: ['x-tenant'] } as FallbackConfig]);
      const of = (tenant: string, session: string, ...more: readonly Field[]): CallOptions => ({
        metadata: [['x-tenant', tenant], ['x-session', session], ...more],
      });
      call(of('one', '1'));
      bigSays(fails());
      assert.equal(seen(call(of('one', '2')))[1], 'big');
      assert.equal(call(of('two', '1')).status, 14);
      assert.equal(call(of('one', '1', ['grpc-encoding', 'gzip'])).status, 14);
    });

    it('which is the newest one', () => {
      start([LAST_GOOD]);
      for (const answer of ['old', 'new']) {
        bigSays(says(answer));
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
      const [cache] = stack.out.outbound.state.methodStates.responseCaches;
      assert.ok(cache!.bytes <= 36_000 && cache!.size === 3);
      bigSays(fails());
      const statuses = bodies.map((body) => call({ body }).status);
      assert.deepEqual(statuses, [14, 0, 0, 0]);
    });

    it('keeps nothing that is larger than all of it, or that was passed on as it came', () => {
      start([{ ...LAST_GOOD, maxBytes: 1000 } as FallbackConfig]);
      for (const bytes of [2000, 90_000]) {
        bigSays((each) => void each.reply(Buffer.alloc(bytes)));
        call();
        assert.equal([...stack.out.outbound.state.methodStates.responseCaches][0]!.size, 0);
        stack.update(big([LAST_GOOD]));
      }
    });

    it('waits for the request to be all here', () => {
      start([LAST_GOOD]);
      const body = Buffer.alloc(100_000, 5);
      call({ body });
      withoutEndpoints(LAST_GOOD);
      const stream = call({ body: null });
      stack.settle(stream.data(body.subarray(0, 40_000)));
      assert.equal(stream.isOver, false);
      stack.settle(stream.data(body.subarray(40_000)).end());
      isLastGood(stream, 'no-endpoint');
      const other = call({ body: null, timeout: '300m' });
      stack.advance(310);
      assert.equal(other.status, 4);
      stack.assertIdle();
    });

    it('gives its caller room to send the rest of a request that no endpoint took', () => {
      start([LAST_GOOD]);
      const body = Buffer.alloc(200_000, 5);
      call({ body });
      for (const name of stack.names) {
        stack.kill(name);
        stack.backend(name).mode = 'silent';
      }
      stack.advance(1_500);
      const stream = call({ body });
      stack.advance(3_000);
      isLastGood(stream, 'connect-failed');
      stack.assertIdle();
    });

    it('when the model crashed with the request inside, one of several', () => {
      start([TO_SMALL, LAST_GOOD]);
      call();
      bigSays(sidecarFails('model-crashed', 14, 'big'));
      isLastGood(call());
      assert.equal(smallAsked(), 0);
    });

    it('does not wait for a request that is longer than what is kept of one', () => {
      start([LAST_GOOD], { replayBytes: 50_000 });
      call();
      stack.update(big([LAST_GOOD], { replayBytes: 50_000 }), []);
      const stream = call({ body: null });
      stack.settle(stream.data(Buffer.alloc(40_000)));
      assert.equal(stream.isOver, false);
      stack.settle(stream.data(Buffer.alloc(40_000)));
      assert.deepEqual([stream.status, stream.reason], [14, 'no-endpoint']);
      stack.assertIdle();
    });

    it('comes after, or before, another upstream, as the route says', () => {
      start([TO_SMALL, LAST_GOOD]);
      call();
      bigSays(fails());
      assert.equal(seen(call())[1], 'small');
      smallSays(fails());
      isLastGood(call());
      stack.update(big([LAST_GOOD, TO_SMALL]));
      isLastGood(call());
      smallSays(says('small'));
      assert.equal(seen(call({ body: Buffer.from('new') }))[1], 'small');
    });

    it('survives a reload that leaves it as it is', () => {
      start([LAST_GOOD]);
      call();
      stack.update(big([LAST_GOOD]));
      bigSays(fails());
      assert.equal(seen(call())[1], 'big');
      stack.update(big([]));
      assert.equal(call().status, 14);
    });
  });

  describe('and comes back', () => {
    it('from the first call on, whatever failed before its route had a fallback', () => {
      const hedge = { percentile: 0.9, minDelayMs: 1_000, maxRatio: 0.1 };
      start([LAST_GOOD]);
      stack.update({ ...big([]), routes: [aRoute({ idempotent: true, hedge })] });
      for (let i = 0; i < FAILURES; i++) {
        bigSays(fails());
        isBroken(call());
        bigSays(says('big'));
        isFromBig(call());
      }
      stack.update(big([TO_SMALL], { hedge }));
      assert.equal(care().primaryBreaker.isOpen, false);
      bigSays(hangs);
      const before = asked();
      for (let i = 0; i < 2; i++) call();
      assert.deepEqual([asked() - before, smallAsked()], [2, 0]);
    });

    it('at once while failures are few, with the first answer after they were many', () => {
      startResting();
      assert.equal(asked(), FAILURES);
      for (let i = 0; i < 20; i++) isFromSmall(call());
      assert.equal(asked(), FAILURES, 'no call waits for it');
      stack.advance(1200);
      bigSays(hangs);
      const trial = call();
      assert.equal(asked(), FAILURES + 1);
      for (let i = 0; i < 5; i++) assert.equal(seen(call())[1], 'small');
      bigSays(says('big'));
      for (const { last } of stack.names.map((name) => stack.backend(name)))
        if (last.resetCode === undefined) last.reply(Buffer.from('big'));
      stack.run();
      isFromBig(trial);
      for (let i = 0; i < 5; i++) isFromBig(call());
    });

    it('not before: a failed probe is answered by the fallback, and the next one comes later', () => {
      startResting();
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
      startResting();
      assert.equal(call(PRIMARY_ONLY).status, 14);
      assert.equal(asked(), FAILURES + 1);
      bigSays(says('big'));
      assert.equal(seen(call(PRIMARY_ONLY))[1], 'big');
      assert.equal(seen(call())[1], 'big', 'and its answer brings the others back');
    });

    it('the primary is asked after all when the fallback has nothing', () => {
      startResting();
      smallSays(fails(13));
      const before = asked();
      isBroken(call());
      assert.equal(asked(), before + 1);
      bigSays(says('big'));
      for (let i = 0; i < 2; i++) isFromBig(call());
    });

    it('but not with a request that was too large to be kept for it', () => {
      startResting();
      smallSays((each) => void each.fail(13, [['grpc-message', 'small is broken']]));
      bigSays(says('big'));
      const before = asked();
      const stream = call({ body: Buffer.alloc(5_000_000) });
      assert.deepEqual([stream.status, stream.trailer('grpc-message')], [13, 'small is broken']);
      assert.equal(asked(), before);
      stack.assertIdle();
    });

    it('with the beginning of an answer where the probe is a stream, not with its end', () => {
      startBroken([TO_SMALL], aStreamRoute({ idempotent: true }));
      for (let i = 0; i < FAILURES; i++) assert.equal(seen(call())[1], 'small');
      stack.advance(1200);
      bigSays((each) => void each.begin().data(Buffer.from('one of many')));
      const trial = call();
      assert.equal(trial.isOver, false);
      bigSays(says('big'));
      for (let i = 0; i < 5; i++) isFromBig(call());
      assert.equal(trial.isOver, false);
    });

    it('a probe whose caller cancels decides nothing: the next call is one', () => {
      startResting();
      stack.advance(1200);
      bigSays(hangs);
      stack.settle(call().reset());
      bigSays(says('big'));
      assert.equal(seen(call())[1], 'big');
    });

    it('calls that hang count as failures too', () => {
      start([TO_SMALL], { timeoutMs: 2000 });
      bigSays(hangs);
      for (let i = 0; i < FAILURES; i++) {
        assert.equal(call().isOver, false);
        stack.advance(2010);
      }
      isFromSmall(call(), 'deadline-exceeded');
    });
  });
});
