/**
 * A call is late, and a second copy of it goes to another endpoint. The first good answer is the caller's only one; the
 * other copy is reset, and its endpoint is not blamed.
 */

import assert from 'node:assert/strict';
import { refreshEligible } from '../../../sidecar/cluster/eligibility.js';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { Outcome } from '../../../sidecar/core/outcome/outcome.js';
import { EjectionState, Evidence, NO_PROBE } from '../../../sidecar/core/outlier/ejection.js';
import { ErrorCode, Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import {
  anUpstream,
  aRoute,
  aSafeRoute,
  type CallOptions,
  type UpstreamOptions,
} from '../../kit/stack/stack.js';

const HEDGE = { percentile: 0.95, minDelayMs: 1, maxRatio: 0.5 };
/** Usual latency, and when a copy is due: within a bucket of the percentile and a slot of the wheel. */
const USUAL_MS = 40;
const DUE_FROM_MS = 40;
const DUE_TO_MS = 40 * 1.125 + 5;

describe('Scenario: a late call is sent a second time', () => {
  let stack: UpstreamStack;

  const start = (
    route: Partial<RouteConfig> = {},
    over: UpstreamOptions = {},
    names: readonly string[] = ['a', 'b'],
  ): void => {
    const routes = [aRoute({ idempotent: true, hedge: HEDGE, ...route })];
    stack = new UpstreamStack(names, { routes, budget: { ratio: 1, perSecond: 100 }, ...over });
    for (const name of names) {
      const backend = stack.backend(name);
      backend.answer = (stream) => void stack.clock.after(USUAL_MS, () => stream.reply(Buffer.from(name)));
    }
    for (let i = 0; i < 30; i++) {
      stack.caller.call();
      stack.advance(USUAL_MS + 10);
    }
    for (const name of names) {
      stack.backend(name).answer = () => {};
      stack.backend(name).requests.length = 0;
    }
  };
  const requests = (): PeerStream[] =>
    ['a', 'b', 'c'].flatMap((name) =>
      stack.out.cluster.find(`${name}:1`) ? stack.backend(name).requests : [],
    );
  /** A call whose copy is out: the caller’s end, the first copy and the second. */
  const hedged = (options: CallOptions = {}): readonly [PeerStream, PeerStream, PeerStream] => {
    const stream = stack.call(options);
    const first = requests()[0]!;
    stack.advance(DUE_TO_MS);
    const second = requests().find((each) => each !== first);
    assert.ok(second, 'no copy was sent');
    return [stream, first, second];
  };
  const endpointOf = ({ peer }: PeerStream) =>
    stack.out.cluster.endpoints.find(({ label }) =>
      stack.backend(label.split(':')[0]!).peers.includes(peer),
    )!;
  const hedge = () => [...stack.out.outbound.methodStates.all][0]!.hedge;
  afterEach(() => stack.close());

  it('at exactly the delay, to another endpoint, marked as a further attempt', () => {
    start();
    const stream = stack.call();
    const [first] = requests();
    stack.advance(DUE_FROM_MS - 1);
    assert.equal(requests().length, 1);
    stack.advance(DUE_TO_MS - DUE_FROM_MS + 1);
    const second = requests().find((each) => each !== first)!;
    assert.equal(first!.header('grpc-previous-rpc-attempts'), undefined);
    assert.equal(second.header('grpc-previous-rpc-attempts'), '1');
    assert.deepEqual(second.body, first!.body);
    assert.notEqual(endpointOf(second), endpointOf(first!));
    stack.settle(second.reply(Buffer.from('second')));
    assert.deepEqual([stream.status, stream.body.toString()], [0, 'second']);
    assert.deepEqual([first!.resetCode, second.resetCode], [ErrorCode.cancel, undefined]);
    assert.deepEqual([hedge().sent, hedge().won], [1, 1]);
    stack.assertIdle();
  });

  it('and the first one may still win', () => {
    start();
    const [stream, first, second] = hedged();
    stack.settle(first.reply(Buffer.from('first')));
    assert.equal(stream.body.toString(), 'first');
    assert.deepEqual([first.resetCode, second.resetCode], [undefined, ErrorCode.cancel]);
    assert.deepEqual([hedge().sent, hedge().won], [1, 0]);
    stack.assertIdle();
  });

  it('and both answer in the same turn: the caller gets one', () => {
    start();
    const [stream, first, second] = hedged();
    first.reply(Buffer.from('first'));
    stack.settle(second.reply(Buffer.from('second')));
    assert.equal(stream.lists.length, 2, 'headers once, trailers once');
    assert.ok(['first', 'second'].includes(stream.body.toString()));
    stack.assertIdle();
  });

  it('only once, and no more after it', () => {
    start({}, {}, ['a', 'b', 'c']);
    const [stream] = hedged();
    stack.advance(2000);
    assert.equal(requests().length, 2);
    stack.settle(stream.reset());
  });

  it('the one that lost is not blamed, and is known to be slow', () => {
    start();
    for (let i = 0; i < 8; i++) {
      const [, first, second] = hedged();
      stack.advance(300);
      stack.settle(second.reply());
      const loser = endpointOf(first);
      assert.deepEqual([loser.ejection.consecutiveFaults, loser.outcomes[1]], [0, 0]);
      assert.ok(loser.latency.peakMs > 300, `${loser.latency.peakMs}`);
      for (const name of ['a', 'b']) stack.backend(name).requests.length = 0;
    }
  });

  it('a late answer that begins to flow commits, and the other copy is reset', () => {
    start();
    const [stream, first, second] = hedged();
    stack.settle(second.begin().data(Buffer.alloc(70_000, 1)));
    assert.equal(first.resetCode, ErrorCode.cancel);
    assert.ok(stream.bytes >= 64 * 1024);
    stack.settle(second.trailers(0));
    assert.equal(stream.status, 0);
    assert.equal(stream.bytes, 70_000);
  });

  it('a first copy that fails waits for the second, without a third', () => {
    start({ retry: aSafeRoute().retry! }, {}, ['a', 'b', 'c']);
    const [stream, first, second] = hedged();
    first.fail(14);
    stack.advance(1000);
    assert.equal(stream.isOver, false);
    assert.equal(requests().length, 2);
    stack.settle(second.reply(Buffer.from('second')));
    assert.equal(stream.body.toString(), 'second');
  });

  it('a second copy that fails leaves the first alone', () => {
    start();
    const [stream, first, second] = hedged();
    stack.settle(second.fail(14));
    assert.equal(first.resetCode, undefined);
    stack.settle(first.reply(Buffer.from('first')));
    assert.equal(stream.body.toString(), 'first');
  });

  it('both fail: the last failure is the answer, and both count as attempts', () => {
    start({ retry: aSafeRoute().retry! }, {}, ['a', 'b', 'c']);
    const [stream, first, second] = hedged();
    stack.settle(first.fail(14, [['grpc-message', 'one']]));
    stack.settle(second.fail(14, [['grpc-message', 'two']]));
    assert.deepEqual([stream.status, stream.trailer('grpc-message')], [14, 'two']);
    assert.equal(requests().length, 2);
  });

  it('both fail and a third attempt is allowed: it goes to the third endpoint', () => {
    start({ retry: { ...aSafeRoute().retry!, attempts: 3 } }, {}, ['a', 'b', 'c']);
    const [stream, first, second] = hedged();
    stack.settle(second.fail(14));
    stack.settle(first.fail(14));
    const third = requests().find((each) => each !== first && each !== second)!;
    assert.equal(third.header('grpc-previous-rpc-attempts'), '2');
    stack.settle(third.reply());
    assert.equal(stream.status, 0);
  });

  it('a copy that says never again is obeyed when the other one fails', () => {
    start({ retry: { ...aSafeRoute().retry!, attempts: 4 } }, {}, ['a', 'b', 'c']);
    const [stream, first, second] = hedged();
    stack.settle(second.fail(14, [['grpc-retry-pushback-ms', '-1']]));
    stack.settle(first.fail(14));
    assert.equal(stream.status, 14);
    assert.equal(requests().length, 2);
  });

  it('a copy’s word about the request itself is the answer', () => {
    start();
    const [stream, first, second] = hedged();
    stack.settle(second.fail(3, [['grpc-message', 'bad shape']]));
    assert.deepEqual([stream.status, stream.trailer('grpc-message')], [3, 'bad shape']);
    assert.equal(first.resetCode, ErrorCode.cancel);
  });

  it('a word about the request that is not gRPC’s is the answer too, and both copies are accounted for', () => {
    start();
    const [stream, first, second] = hedged();
    first.headers([
      [':status', '403'],
      ['content-type', 'text/html'],
    ]);
    stack.run();
    assert.equal(stream.status, 7);
    assert.equal(second.resetCode, ErrorCode.cancel);
    assert.deepEqual([endpointOf(first).outcomes[2], endpointOf(second).outcomes[4]], [1, 1]);
    stack.assertIdle();
  });

  describe('that probes an ejected endpoint', () => {
    const BASE_MS = 2_000;
    const startWithout = (name: string): void => {
      start({}, { ejection: { baseMs: BASE_MS } }, ['a', 'b', 'c']);
      const { ejection, ejections } = stack.out.cluster.find(`${name}:1`)!;
      const now = stack.clock.now();
      for (let i = 0; i < 5; i++)
        ejections.record(ejection, Outcome.fault, now, now, NO_PROBE, Evidence.sound);
      refreshEligible(stack.out.cluster);
      stack.advance(BASE_MS);
    };

    it('and cut short by such a word, may be repeated', () => {
      startWithout('a');
      const [stream, first, second] = hedged();
      const { ejection } = endpointOf(first);
      assert.equal(ejection.state, EjectionState.probing);
      stack.settle(second.headers([[':status', '403']], Flag.endStream));
      assert.equal(stream.status, 7);
      assert.equal(ejection.state, EjectionState.ejected);
      stack.assertIdle();
    });

    it('and overtaken by another copy, is not repeated by the very next call', () => {
      startWithout('a');
      for (const name of ['b', 'c'])
        stack.backend(name).answer = (stream) => void stack.clock.after(USUAL_MS, () => stream.reply());
      for (let i = 0; i < 500; i++) {
        stack.caller.call();
        stack.advance(20);
      }
      const trials = stack.backend('a').requests.length;
      assert.ok(trials >= 8 && trials <= 10, `${trials} probes in 10 s`);
      stack.advance(500);
    });
  });

  it('a copy’s word that the route would ask again for is a failure like others: the first one goes on', () => {
    const retry = { ...aSafeRoute().retry!, attempts: 4, on: [14, 10] };
    start({ retry }, {}, ['a', 'b', 'c']);
    const [stream, first, second] = hedged();
    second.fail(10);
    stack.advance(1000);
    assert.deepEqual([first.resetCode, requests().length], [undefined, 2]);
    stack.settle(first.reply(Buffer.from('first')));
    assert.equal(stream.body.toString(), 'first');
    stack.assertIdle();
  });

  it('the caller leaves: both copies are reset at once', () => {
    start();
    const [stream, first, second] = hedged();
    stack.settle(stream.reset());
    assert.deepEqual([first.resetCode, second.resetCode], [ErrorCode.cancel, ErrorCode.cancel]);
    stack.assertIdle();
  });

  it('the deadline passes: both copies are reset, and the caller gets one answer', () => {
    start({ timeoutMs: 200 });
    const [stream, first, second] = hedged();
    stack.advance(200);
    assert.deepEqual([stream.status, stream.reason], [4, 'deadline-exceeded']);
    assert.deepEqual([first.resetCode, second.resetCode], [ErrorCode.cancel, ErrorCode.cancel]);
    stack.assertIdle();
  });

  it('each copy has its own time', () => {
    start({ attemptTimeoutMs: 100 });
    const [stream, first, second] = hedged();
    stack.advance(100 - DUE_TO_MS + 8);
    assert.equal(first.resetCode, ErrorCode.cancel);
    assert.equal(second.resetCode, undefined);
    assert.equal(stream.isOver, false);
    stack.advance(60);
    assert.equal(second.resetCode, ErrorCode.cancel);
    assert.deepEqual([stream.status, stream.reason], [4, 'attempt-timeout']);
    stack.assertIdle();
  });

  it('a connection breaks under the first copy: the second goes on', () => {
    start();
    const [stream, first, second] = hedged();
    stack.settle(first.peer.socket.break());
    stack.settle(second.reply(Buffer.from('second')));
    assert.equal(stream.body.toString(), 'second');
  });

  describe('or not', () => {
    const stays = (why?: string): void => {
      const before = requests().length;
      stack.advance(DUE_TO_MS + 100);
      assert.equal(requests().length, before, 'a copy was sent');
      if (why !== undefined) assert.equal(hedge().refused[why as 'ratio'], 1, why);
      for (const each of requests()) if (each.resetCode === undefined) each.reply();
      stack.run();
    };

    it('while the usual latency is not known', () => {
      start();
      stack.advance(60_000);
      stack.call();
      stays();
    });

    it('when there is no other endpoint', () => {
      start({}, {}, ['a']);
      stack.call();
      stays('endpoint');
    });

    it('while the request is not all here', () => {
      start();
      const stream = stack.call({ body: null });
      stays();
      stack.settle(stream.end());
      assert.equal(hedge().refused.request, 0, 'it is only put off');
    });

    it('when the request is not held in full', () => {
      start();
      stack.call({ body: Buffer.alloc(1_200_000) });
      stays('request');
    });

    it('when the answer has begun to flow', () => {
      start();
      stack.call();
      stack.settle(requests()[0]!.begin().data(Buffer.alloc(70_000)));
      stack.advance(DUE_TO_MS + 100);
      assert.equal(requests().length, 1);
      stack.settle(requests()[0]!.trailers(0));
    });

    it('when the share of the calls is used up', () => {
      start({ hedge: { ...HEDGE, maxRatio: 0.001 } });
      stack.call();
      stays('ratio');
    });

    it('when the retry budget is used up', () => {
      start({}, { budget: { ratio: 0, perSecond: 0 } });
      stack.call();
      stays('budget');
    });

    it('when the breaker is open for attempts', () => {
      start({}, { breaker: { maxConnections: 0, maxPending: 0, maxInFlight: 0, maxRetries: 1 } });
      const [stream] = hedged();
      const before = requests().length;
      stack.call();
      stack.advance(DUE_TO_MS);
      assert.equal(requests().length, before + 1);
      assert.equal(hedge().refused.breaker, 1);
      stream.reset();
      for (const each of requests()) if (each.resetCode === undefined) each.reply();
      stack.run();
    });

    it('on a route that does not ask for it', () => {
      start();
      stack.out.outbound.update(anUpstream(['a', 'b'], { routes: [aSafeRoute()] }));
      stack.call();
      stays();
    });
  });

  it('while all endpoints are slow, copies stay within their share and the budget', () => {
    start(
      { hedge: { ...HEDGE, maxRatio: 0.05 }, timeoutMs: 1000 },
      { budget: { ratio: 0.2, perSecond: 3 }, ejection: { mode: 'observe' } },
      ['a', 'b', 'c'],
    );
    for (const name of ['a', 'b', 'c'])
      stack.backend(name).answer = (stream) =>
        void stack.clock.after(400, () => {
          if (stream.resetCode === undefined) stream.reply();
        });
    const calls: PeerStream[] = [];
    for (let i = 0; i < 1000; i++) {
      calls.push(stack.caller.call());
      stack.advance(5);
    }
    stack.advance(1000);
    for (const each of calls) assert.equal(each.status, 0);
    const extra = requests().length - 1000;
    assert.ok(extra > 0 && extra <= 60, `${extra} copies`);
    stack.assertIdle();
  });

  it('with one slow endpoint of three, the tail is cut', () => {
    start({ hedge: { ...HEDGE, maxRatio: 0.5 } }, {}, ['a', 'b', 'c']);
    const answerAfter = (name: string, ms: number): void => {
      stack.backend(name).answer = (stream) =>
        void stack.clock.after(ms, () => {
          if (stream.resetCode === undefined) stream.reply();
        });
    };
    answerAfter('a', 2000);
    answerAfter('b', 40);
    answerAfter('c', 40);
    const late: number[] = [];
    for (let i = 0; i < 60; i++) {
      const stream = stack.caller.call();
      const startMs = stack.clock.now();
      while (!stream.isOver) stack.advance(5);
      late.push(stack.clock.now() - startMs);
    }
    assert.ok(Math.max(...late) < 200, `${Math.max(...late)} ms`);
  });
});
