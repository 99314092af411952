/**
 * A call is late, and a second copy of it goes to another endpoint. The first good answer is the caller's only one; the
 * other copy is reset, and its endpoint is not blamed.
 */

import assert from 'node:assert/strict';
import { refreshEligible } from '../../../sidecar/cluster/eligibility.js';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { fail } from '../../kit/core/ejections.js';
import { ErrorCode, Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aRoute, aSafeRoute, type CallOptions, type UpstreamOptions } from '../../kit/stack/stack.js';

const RETRY = aSafeRoute().retry!;
const THREE = ['a', 'b', 'c'];
const HEDGE = { percentile: 0.95, minDelayMs: 1, maxRatio: 0.5 };
/** Usual latency, and when a copy is due: within a bucket of the percentile and a slot of the wheel. */
const USUAL_MS = 40;
const DUE_FROM_MS = 40;
const DUE_TO_MS = 40 * 1.125 + 5;

describe('Scenario: a late call is sent a second time', () => {
  let stack: UpstreamStack;

  /** Endpoints whose usual latency is known, and which answer no more. */
  const start = (
    route: Partial<RouteConfig> = {},
    names: readonly string[] = ['a', 'b'],
    over: UpstreamOptions = {},
  ): void => {
    const routes = [aRoute({ idempotent: true, hedge: HEDGE, ...route })];
    stack = new UpstreamStack(names, { routes, budget: { ratio: 1, perSecond: 100 }, ...over });
    stack.works(names, USUAL_MS);
    stack.load(30, USUAL_MS + 10);
    stack.answers(() => {});
    forget();
  };
  const forget = (): void => {
    for (const name of stack.names) stack.backend(name).requests.length = 0;
  };
  /** A call whose copy is out: the caller’s end, the first copy and the second. */
  const hedged = (): readonly [PeerStream, PeerStream, PeerStream] => {
    const stream = stack.call();
    const first = stack.requests[0]!;
    stack.advance(DUE_TO_MS);
    const second = stack.requests.find((each) => each !== first);
    assert.ok(second, 'no copy was sent');
    return [stream, first, second];
  };
  const startHedged = (...how: Parameters<typeof start>): ReturnType<typeof hedged> => {
    start(...how);
    return hedged();
  };
  /** The copy answers, and the caller gets that. */
  const wins = (copy: PeerStream, stream: PeerStream, text = 'the answer'): void => {
    stack.settle(copy.reply(Buffer.from(text)));
    assert.deepEqual([stream.status, stream.body.toString()], [0, text]);
  };
  const resets = (...copies: readonly PeerStream[]) => copies.map(({ resetCode }) => resetCode);
  const answerOpen = (): void => {
    for (const each of stack.requests) if (each.resetCode === undefined) each.reply();
    stack.run();
  };
  const endpointOf = ({ peer }: PeerStream) =>
    stack.out.cluster.endpoints.find(({ id }) => stack.backend(id).peers.includes(peer))!;
  const hedge = () => [...stack.out.outbound.state.methodStates.all][0]!.hedgePolicy;

  it('at exactly the delay, to another endpoint, marked as a further attempt', () => {
    start();
    const stream = stack.call();
    const [first] = stack.requests;
    stack.advance(DUE_FROM_MS - 1);
    assert.equal(stack.requests.length, 1);
    stack.advance(DUE_TO_MS - DUE_FROM_MS + 1);
    const second = stack.requests.find((each) => each !== first)!;
    const marks = [first!, second].map((each) => each.header('grpc-previous-rpc-attempts'));
    assert.deepEqual(marks, [undefined, '1']);
    assert.deepEqual(second.body, first!.body);
    assert.notEqual(endpointOf(second), endpointOf(first!));
    wins(second, stream);
    assert.deepEqual(resets(first!, second), [ErrorCode.cancel, undefined]);
    assert.deepEqual([hedge().sent, hedge().won], [1, 1]);
    stack.assertIdle();
  });

  it('and the first one may still win', () => {
    const [stream, first, second] = startHedged();
    wins(first, stream);
    assert.deepEqual(resets(first, second), [undefined, ErrorCode.cancel]);
    assert.deepEqual([hedge().sent, hedge().won], [1, 0]);
    stack.assertIdle();
  });

  it('and both answer in the same turn: the caller gets one', () => {
    const [stream, first, second] = startHedged();
    first.reply(Buffer.from('first'));
    stack.settle(second.reply(Buffer.from('second')));
    assert.equal(stream.lists.length, 2, 'headers once, trailers once');
    assert.ok(['first', 'second'].includes(stream.body.toString()));
    stack.assertIdle();
  });

  for (const [what, fields] of [
    ['its replica drains', [['outrider-reason', 'drain-timeout']]],
    [
      'its replica has lost one model of several',
      [
        ['outrider-reason', 'connection-lost'],
        ['outrider-model', 'digits'],
      ],
    ],
  ] as const)
    it(`and one of them fails as ${what}: the other goes on`, () => {
      for (const failing of [0, 1]) {
        const [stream, ...copies] = startHedged();
        stack.settle(copies[failing]!.fail(14, fields));
        assert.equal(stream.isOver, false);
        wins(copies[1 - failing]!, stream);
        stack.assertIdle();
      }
    });

  it('only once, and no more after it', () => {
    const [stream] = startHedged({}, THREE);
    stack.advance(2000);
    assert.equal(stack.requests.length, 2);
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
      forget();
    }
  });

  it('a late answer that begins to flow commits, and the other copy is reset', () => {
    const [stream, first, second] = startHedged();
    stack.settle(second.begin().data(Buffer.alloc(70_000, 1)));
    assert.equal(first.resetCode, ErrorCode.cancel);
    assert.ok(stream.bytes >= 64 * 1024);
    stack.settle(second.trailers(0));
    assert.deepEqual([stream.status, stream.bytes], [0, 70_000]);
  });

  it('a first copy that fails waits for the second, without a third', () => {
    const [stream, first, second] = startHedged({ retry: RETRY }, THREE);
    first.fail(14);
    stack.advance(1000);
    assert.deepEqual([stream.isOver, stack.requests.length], [false, 2]);
    wins(second, stream);
  });

  it('a second copy that fails leaves the first alone', () => {
    const [stream, first, second] = startHedged();
    stack.settle(second.fail(14));
    assert.equal(first.resetCode, undefined);
    wins(first, stream);
  });

  it('both fail: the last failure is the answer, and both count as attempts', () => {
    const [stream, first, second] = startHedged({ retry: RETRY }, THREE);
    stack.settle(first.fail(14, [['grpc-message', 'one']]));
    stack.settle(second.fail(14, [['grpc-message', 'two']]));
    assert.deepEqual([stream.status, stream.trailer('grpc-message'), stack.requests.length], [14, 'two', 2]);
  });

  it('both fail and a third attempt is allowed: it goes to the third endpoint', () => {
    const [stream, first, second] = startHedged({ retry: { ...RETRY, attempts: 3 } }, THREE);
    stack.settle(second.fail(14));
    stack.settle(first.fail(14));
    const third = stack.requests.find((each) => each !== first && each !== second)!;
    assert.equal(third.header('grpc-previous-rpc-attempts'), '2');
    stack.settle(third.reply());
    assert.equal(stream.status, 0);
  });

  it('a copy that says never again is obeyed when the other one fails', () => {
    const [stream, first, second] = startHedged({ retry: { ...RETRY, attempts: 4 } }, THREE);
    stack.settle(second.fail(14, [['grpc-retry-pushback-ms', '-1']]));
    stack.settle(first.fail(14));
    assert.deepEqual([stream.status, stack.requests.length], [14, 2]);
  });

  it('a copy’s word about the request itself is the answer', () => {
    const [stream, first, second] = startHedged();
    stack.settle(second.fail(3, [['grpc-message', 'bad shape']]));
    assert.deepEqual([stream.status, stream.trailer('grpc-message')], [3, 'bad shape']);
    assert.equal(first.resetCode, ErrorCode.cancel);
  });

  it('a word about the request that is not gRPC’s is the answer too, and both copies are accounted for', () => {
    const [stream, first, second] = startHedged();
    stack.settle(first.headers(Object.entries({ ':status': '403', 'content-type': 'text/html' })));
    assert.deepEqual([stream.status, second.resetCode], [7, ErrorCode.cancel]);
    assert.deepEqual([endpointOf(first).outcomes[2], endpointOf(second).outcomes[4]], [1, 1]);
    stack.assertIdle();
  });

  describe('that probes an ejected endpoint', () => {
    const BASE_MS = 2_000;
    const startWithout = (name: string): void => {
      start({}, THREE, { ejection: { baseMs: BASE_MS } });
      const { ejection, ejections } = stack.endpoint(name);
      fail(ejections, ejection, stack.clock.now());
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

    it('and overtaken by another copy, is repeated later and later', () => {
      startWithout('a');
      stack.works(['b', 'c'], USUAL_MS);
      stack.load(500, 20);
      const trials = stack.requestsAt('a').length;
      assert.ok(trials >= 5 && trials <= 6, `${trials} probes in 10 s`);
      stack.advance(500);
    });
  });

  it('a copy’s word that the route would ask again for is a failure like others: the first one goes on', () => {
    const retry = { ...RETRY, attempts: 4, on: [14, 10] };
    const [stream, first, second] = startHedged({ retry }, THREE);
    second.fail(10);
    stack.advance(1000);
    assert.deepEqual([first.resetCode, stack.requests.length], [undefined, 2]);
    wins(first, stream);
    stack.assertIdle();
  });

  it('the caller leaves: both copies are reset at once', () => {
    const [stream, first, second] = startHedged();
    stack.settle(stream.reset());
    assert.deepEqual(resets(first, second), [ErrorCode.cancel, ErrorCode.cancel]);
    stack.assertIdle();
  });

  it('the deadline passes: both copies are reset, and the caller gets one answer', () => {
    const [stream, first, second] = startHedged({ timeoutMs: 200 });
    stack.advance(200);
    assert.deepEqual([stream.status, stream.reason], [4, 'deadline-exceeded']);
    assert.deepEqual(resets(first, second), [ErrorCode.cancel, ErrorCode.cancel]);
    stack.assertIdle();
  });

  it('each copy has its own time', () => {
    const [stream, first, second] = startHedged({ attemptTimeoutMs: 100 });
    stack.advance(100 - DUE_TO_MS + 8);
    assert.deepEqual([...resets(first, second), stream.isOver], [ErrorCode.cancel, undefined, false]);
    stack.advance(60);
    assert.equal(second.resetCode, ErrorCode.cancel);
    assert.deepEqual([stream.status, stream.reason], [4, 'attempt-timeout']);
    stack.assertIdle();
  });

  it('a connection breaks under the first copy: the second goes on', () => {
    const [stream, first, second] = startHedged();
    stack.settle(first.peer.socket.break());
    wins(second, stream);
  });

  describe('or not', () => {
    const stays = (why?: string): void => {
      const before = stack.requests.length;
      stack.advance(DUE_TO_MS + 100);
      assert.equal(stack.requests.length, before, 'a copy was sent');
      if (why !== undefined) assert.equal(hedge().refused[why as 'ratio'], 1, why);
      answerOpen();
    };

    for (const [what, why, how, options] of [
      ['there is no other endpoint', 'endpoint', [{}, ['a']], {}],
      ['the request is not held in full', 'request', [], { body: Buffer.alloc(5_000_000) }],
      ['the share of the calls is used up', 'ratio', [{ hedge: { ...HEDGE, maxRatio: 0.001 } }], {}],
      ['the retry budget is used up', 'budget', [{}, ['a', 'b'], { budget: { ratio: 0, perSecond: 0 } }], {}],
    ] as [string, string, Parameters<typeof start>, CallOptions][]) {
      it(`when ${what}`, () => {
        start(...how);
        stack.call(options);
        stays(why);
      });
    }

    it('while the usual latency is not known', () => {
      start();
      stack.advance(60_000);
      stack.call();
      stays();
    });

    it('while the request is not all here', () => {
      start();
      const stream = stack.call({ body: null });
      stays();
      stack.settle(stream.end());
      assert.equal(hedge().refused.request, 0, 'it is only put off');
    });

    it('when the answer has begun to flow', () => {
      start();
      stack.call();
      stack.settle(stack.requests[0]!.begin().data(Buffer.alloc(70_000)));
      stack.advance(DUE_TO_MS + 100);
      assert.equal(stack.requests.length, 1);
      stack.settle(stack.requests[0]!.trailers(0));
    });

    it('when the breaker is open for attempts', () => {
      const breaker = { maxConnections: 0, maxPending: 0, maxInFlight: 0, maxRetries: 1 };
      const [stream] = startHedged({}, ['a', 'b'], { breaker });
      const before = stack.requests.length;
      stack.call();
      stack.advance(DUE_TO_MS);
      assert.equal(stack.requests.length, before + 1);
      assert.equal(hedge().refused.breaker, 1);
      stream.reset();
      answerOpen();
    });

    it('on a route that does not ask for it', () => {
      start();
      stack.update({ routes: [aSafeRoute()] });
      stack.call();
      stays();
    });
  });

  const answerAfter = (names: readonly string[], ms: number): void => {
    const reply = (stream: PeerStream): void => void (stream.resetCode ?? stream.reply());
    stack.answers((stream) => void stack.clock.after(ms, () => reply(stream)), ...names);
  };

  it('while all endpoints are slow, copies stay within their share and the budget', () => {
    const over = { budget: { ratio: 0.2, perSecond: 3 }, ejection: { mode: 'observe' } } as const;
    start({ hedge: { ...HEDGE, maxRatio: 0.05 }, timeoutMs: 1000 }, THREE, over);
    answerAfter(THREE, 400);
    const calls: PeerStream[] = [];
    for (let i = 0; i < 1000; i++) {
      calls.push(stack.caller.call());
      stack.advance(5);
    }
    stack.advance(1000);
    for (const each of calls) assert.equal(each.status, 0);
    const extra = stack.requests.length - 1000;
    assert.ok(extra > 0 && extra <= 60, `${extra} copies`);
    stack.assertIdle();
  });

  it('with one slow endpoint of three, the tail is cut', () => {
    start({}, THREE);
    answerAfter(['a'], 2000);
    answerAfter(['b', 'c'], 40);
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
