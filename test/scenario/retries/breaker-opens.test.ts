/** More is asked of an upstream than may be under way at once: what is over is refused at once, with a reason of its own. */

import assert from 'node:assert/strict';
import { resilienceMetrics } from '../../../sidecar/app/metrics/resilience.js';
import { refreshConnections } from '../../../sidecar/cluster/connections.js';
import type { BreakerConfig } from '../../../sidecar/config/model.js';
import { Setting } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { endpoint } from '../../kit/scenario/discovered-upstream.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anUpstream, aRoute, aSafeRoute, aStreamRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const CONSUL = { service: 'digits', tags: [], meta: {}, failover: [] };
const OPEN: BreakerConfig = { maxConnections: 0, maxPending: 0, maxInFlight: 0, maxRetries: 0 };

describe('Scenario: a breaker opens', () => {
  let stack: UpstreamStack;
  const start = (breaker: Partial<BreakerConfig>, over: UpstreamOptions = {}, names = ['a', 'b']): void => {
    stack = new UpstreamStack(names, { breaker: { ...OPEN, ...breaker }, ...over });
  };
  const isRefused = (stream: PeerStream, message: string): void => {
    const said = [stream.status, stream.reason, stream.trailer('grpc-message')];
    assert.deepEqual(said, [8, 'breaker-open', message]);
  };
  const isServed = (calls: readonly PeerStream[]): void => {
    for (const { status } of calls) assert.equal(status, 0);
  };
  const limits = () => stack.out.outbound.state.breaker.limits!;
  const open = (): string[] => stack.names.filter((name) => stack.backend(name).open.length > 0);
  const hits = (limit: string): number => {
    const family = resilienceMetrics([stack.out.outbound.state]).find(
      ({ name }) => name === 'outrider_breaker_open_total',
    );
    assert.ok(family?.kind === 'counter');
    return family.samples.find(({ labels }) => labels['limit'] === limit)!.value;
  };

  it('for calls in flight: the next one is refused at once', () => {
    start({ maxInFlight: 3 });
    const running = [stack.call(), stack.call(), stack.call()];
    const refused = stack.call();
    isRefused(refused, 'digits has 3 calls in flight already');
    assert.equal(refused.trailer('outrider-unprocessed'), 'true');
    assert.equal(hits('in-flight'), 1);
    stack.settle(stack.requests[0]!.reply());
    assert.equal(stack.call().isOver, false);
    for (const each of stack.requests.filter((_, i) => i > 0)) each.reply();
    stack.run();
    isServed(running);
    stack.assertIdle();
  });

  it('and counts a call once, however it ends', () => {
    start({ maxInFlight: 2 }, { routes: [aSafeRoute({ timeoutMs: 500, attemptTimeoutMs: 100 })] });
    for (let i = 0; i < 20; i++) {
      const [one, two] = [stack.call(), stack.call()];
      assert.equal(stack.call().status, 8);
      if (i % 4 === 0) one!.reset();
      else if (i % 4 === 1) stack.requests.at(-1)!.fail(14);
      else if (i % 4 === 2) stack.requests.at(-1)!.reply();
      stack.advance(600);
      assert.equal(limits().inFlight, 0);
      assert.ok(one!.isOver || one!.resetCode === undefined);
      assert.ok(two!.isOver);
    }
  });

  it('for calls that wait for a connection', () => {
    start({ maxPending: 2 });
    for (const name of stack.names) {
      stack.kill(name);
      stack.backend(name).mode = 'silent';
    }
    stack.run();
    const waiting = [stack.call(), stack.call()];
    isRefused(stack.call(), 'digits has 2 calls waiting already');
    for (const each of waiting) each.reset();
    stack.run();
    const next = stack.call();
    assert.equal(next.isOver, false);
    assert.equal(hits('pending'), 1);
    next.reset();
    for (const name of stack.names) stack.revive(name);
    stack.advance(5000);
  });

  it('for calls that wait for a free stream', () => {
    const peer = { settings: [[Setting.maxConcurrentStreams, 0]] } as const;
    stack = new UpstreamStack(['a', 'b'], { breaker: { ...OPEN, maxPending: 1 } }, { peer });
    const waiting = stack.call();
    assert.equal(stack.call().reason, 'breaker-open');
    stack.settle(waiting.reset());
  });

  it('for calls that wait for discovery', () => {
    start({ maxPending: 2 }, { consul: CONSUL, endpoints: [] });
    stack.works('x');
    const waiting = [stack.call(), stack.call()];
    assert.equal(stack.call().reason, 'breaker-open');
    const clusters = new Map([['', { endpoints: [endpoint('x')] }]]);
    stack.settle(
      stack.out.outbound.state.apply({ routes: [{ split: [{ weight: 1, cluster: '' }] }], clusters }),
    );
    isServed(waiting);
  });

  it('and a call that has waited for it does not count against itself', () => {
    start({ maxPending: 2 }, { consul: CONSUL, endpoints: [], routes: [aStreamRoute()] });
    const waiting = [stack.call(), stack.call()];
    stack.advance(15_100);
    for (const each of waiting) assert.equal(each.reason, 'discovery-pending');
    assert.equal(stack.out.outbound.state.breaker.waitingCalls, 0);
    assert.equal(hits('pending'), 0);
    stack.assertIdle();
  });

  it('for attempts after failures: the failure is the answer', () => {
    const retry = { ...aSafeRoute().retry!, backoff: { baseMs: 50, maxMs: 50 } };
    start({ maxRetries: 1 }, { routes: [aSafeRoute({ retry })], ejection: { mode: 'observe' } });
    const [first, second] = [stack.call(), stack.call()];
    for (const each of stack.requests) each.fail(14, [['grpc-message', 'broken']]);
    stack.run();
    assert.deepEqual([first!.isOver, second!.isOver].sort(), [false, true], 'one of them is tried again');
    assert.equal(hits('retries'), 1);
    stack.advance(60);
    assert.equal(stack.requests.length, 3);
    stack.settle(stack.requests.find((each) => each.header('grpc-previous-rpc-attempts') === '1')!.reply());
    assert.deepEqual([first!.status, second!.status].sort(), [0, 14]);
    assert.equal(limits().retries, 0);
  });

  it('an attempt that is still to come counts, and not when its caller has left', () => {
    const retry = { ...aSafeRoute().retry!, backoff: { baseMs: 5000, maxMs: 5000 } };
    start({ maxRetries: 1 }, { routes: [aSafeRoute({ retry })], ejection: { mode: 'observe' } });
    const stream = stack.call();
    stack.settle(stack.requests[0]!.fail(14));
    assert.equal(limits().retries, 1);
    stack.settle(stream.reset());
    stack.assertIdle();
  });

  it('for connections: no more are made, and calls go where there are some', () => {
    start({ maxConnections: 2 }, { pool: { connections: 1 } }, ['a', 'b', 'c', 'd']);
    const connections = (): number => stack.names.flatMap((name) => stack.backend(name).open).length;
    assert.equal(connections(), 2);
    stack.works();
    for (let i = 0; i < 10; i++) assert.equal(stack.call().status, 0);
    assert.ok(hits('connections') >= 2);
    // One goes: another endpoint, or the same, takes its place.
    stack.kill(open()[0]!);
    stack.advance(10_000);
    assert.equal(connections(), 2);
    for (let i = 0; i < 10; i++) assert.equal(stack.call().status, 0);
  });

  it('for connections: one that could once not be reached has its turn again', () => {
    start({ maxConnections: 1 }, { pool: { connections: 1 } });
    const fail = (name: string): void => {
      stack.kill(name);
      stack.advance(10_000);
    };
    const [first] = open();
    const second = first === 'a' ? 'b' : 'a';
    fail(first!);
    assert.deepEqual(open(), [second]);
    stack.revive(first!);
    fail(second);
    assert.deepEqual(open(), [first]);
  });

  it('connections are replaced all the same, make before break', () => {
    start({ maxConnections: 2 });
    stack.settle(refreshConnections(stack.out.cluster));
    for (const name of stack.names) {
      const backend = stack.backend(name);
      assert.deepEqual([backend.peers.length, backend.open.length], [2, 1]);
    }
  });

  it('and there is something to fall back to', () => {
    const routes = [aRoute({ fallback: [{ kind: 'upstream', upstream: 'small' }] })];
    start({ maxInFlight: 1 }, { routes }, ['a']);
    const small = stack.outbound(anUpstream(['s'], { name: 'small' }));
    stack.backend('s').answer = (each) => void each.reply();
    const running = stack.call();
    for (let i = 0; i < 20; i++) {
      const stream = stack.call();
      assert.deepEqual([stream.status, stream.header('outrider-degraded')], [0, 'breaker-open; from=small']);
    }
    assert.equal(small.cluster.inFlight, 0);
    stack.backend('a').last.reply();
    stack.run();
    assert.equal(running.status, 0);
    stack.backend('a').answer = (each) => void each.reply();
    assert.equal(
      stack.call().header('outrider-degraded'),
      undefined,
      'its own bound is no failure of the upstream',
    );
  });

  it('a call counts where it is: it leaves one upstream for another', () => {
    const breaker = { ...OPEN, maxInFlight: 1 };
    const routes = [aRoute({ idempotent: true, fallback: [{ kind: 'upstream', upstream: 'small' }] })];
    start(breaker, { routes, ejection: { mode: 'observe' } }, ['a']);
    const small = stack.outbound(anUpstream(['s'], { name: 'small', breaker }));
    stack.backend('a').answer = (each) => void each.fail(14);
    const one = stack.call();
    assert.deepEqual([limits().inFlight, small.outbound.state.breaker.limits!.inFlight], [0, 1]);
    const two = stack.call();
    assert.equal(two.status, 14, 'the other one is full: the first failure is the answer');
    stack.backend('s').last.reply();
    stack.run();
    assert.equal(one.status, 0);
    stack.assertIdle();
  });

  it('new bounds hold from now on, and none when they are taken away', () => {
    start({ maxInFlight: 1 });
    const running = [stack.call()];
    assert.equal(stack.call().status, 8);
    stack.out.outbound.state.update(anUpstream(['a', 'b'], { breaker: { ...OPEN, maxInFlight: 2 } }));
    running.push(stack.call());
    assert.equal(stack.call().status, 8);
    stack.out.outbound.state.update(anUpstream(['a', 'b']));
    running.push(stack.call(), stack.call());
    for (const each of stack.requests) each.reply();
    stack.run();
    isServed(running);
    stack.assertIdle();
  });
});
