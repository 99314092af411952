/** Methods that no route names have the same counters. Two routes that take such methods keep what they know apart. */
import assert from 'node:assert/strict';
import { resilienceMetrics } from '../../../sidecar/app/metrics/resilience.js';
import type { FallbackConfig, RouteConfig } from '../../../sidecar/config/model.js';
import { FAILURES } from '../../../sidecar/core/retry/primary-breaker.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anUpstream, aRoute, type CallOptions, type UpstreamOptions } from '../../kit/stack/stack.js';

const TO_SMALL: FallbackConfig = { kind: 'upstream', upstream: 'small' };
const LAST_GOOD: FallbackConfig = { kind: 'last-good', maxAgeMs: 60_000, maxBytes: 100_000 };
const says = (text: string) => (stream: PeerStream) => void stream.reply(Buffer.from(text));
const fails = () => (stream: PeerStream) => void stream.fail(14);
const hangs = () => {};
const answerOf = (stream: PeerStream) => [stream.status, stream.body.toString()];

describe('Scenario: two routes that take any method of a service', () => {
  let stack: UpstreamStack;
  const big = (routes: readonly RouteConfig[]): UpstreamOptions => ({
    name: 'big',
    routes,
    ejection: { mode: 'observe' },
  });
  const start = (...routes: readonly RouteConfig[]): void => {
    stack = new UpstreamStack(['a', 'b'], big(routes));
    stack.outbound(anUpstream(['s'], { name: 'small' }));
    bigSays(says('big'));
    stack.answers(says('small'), 's');
  };
  const bigSays = (answer: (stream: PeerStream) => void): void => stack.answers(answer, 'a', 'b');
  const call = (options: CallOptions = {}): PeerStream => stack.call(options);
  const [ours, theirs] = ['/a.S/Run', '/b.S/Run'];
  const startBoth = (route: Partial<RouteConfig>, other: Partial<RouteConfig>): void =>
    start(
      aRoute({ methods: ['/a.S/*'], idempotent: true, ...route }),
      aRoute({ methods: ['/b.S/*'], idempotent: true, ...other }),
    );
  const lastRequest = (path: string): PeerStream =>
    stack.requests.filter((each) => each.header(':path') === path).at(-1)!;

  it('the calls of one keep to its own steps while those of the other come', () => {
    startBoth({ fallback: [TO_SMALL] }, { fallback: [LAST_GOOD] });
    bigSays(hangs);
    const waiting = call({ path: ours });
    call({ path: theirs });
    stack.settle(fails()(lastRequest(ours)));
    assert.deepEqual(answerOf(waiting), [0, 'small']);
  });

  it('an answer is stored and found as its own route tells callers apart', () => {
    startBoth({ fallback: [LAST_GOOD] }, { fallback: [{ ...LAST_GOOD, vary: [] } as FallbackConfig] });
    const of = (user: string): CallOptions => ({ path: ours, metadata: [['authorization', user]] });
    call({ path: theirs });
    bigSays(hangs);
    const annes = call(of('ann'));
    call({ path: theirs });
    stack.settle(says('for ann')(lastRequest(ours)));
    assert.deepEqual(answerOf(annes), [0, 'for ann']);
    const bobs = call(of('bob'));
    call({ path: theirs });
    stack.settle(fails()(lastRequest(ours)));
    assert.equal(bobs.status, 14);
  });

  it('the primary of one fails, and the calls of the other go on to it', () => {
    startBoth({ fallback: [TO_SMALL] }, { fallback: [TO_SMALL] });
    bigSays(fails());
    for (let i = 0; i <= FAILURES; i++) call({ path: ours });
    bigSays(says('big'));
    assert.deepEqual(answerOf(call({ path: theirs })), [0, 'big']);
    assert.deepEqual(answerOf(call({ path: ours })), [0, 'small']);
  });

  it('their metrics are one row, as what a caller calls has no name of its own', () => {
    startBoth({ fallback: [TO_SMALL] }, { fallback: [TO_SMALL] });
    bigSays(fails());
    for (const path of [ours, theirs, theirs]) assert.equal(call({ path }).status, 0);
    const metrics = resilienceMetrics([stack.out.outbound.state]);
    const degraded = metrics.find(({ name }) => name === 'outrider_degraded_answers_total')!;
    assert.deepEqual(degraded.samples, [
      {
        labels: { upstream: 'big', method: 'other', from: 'small', why: 'unavailable' },
        value: 3,
      },
    ]);
  });

  it('a route that a reload gives one method more goes on with what it knew', () => {
    const route = aRoute({ methods: [ours], idempotent: true, fallback: [TO_SMALL] });
    start(route);
    bigSays(fails());
    for (let i = 0; i <= FAILURES; i++) call({ path: ours });
    const before = stack.requestsAt('a').length + stack.requestsAt('b').length;
    stack.update(big([{ ...route, methods: [ours, theirs] }]));
    const total = (name: string): number => {
      const metrics = resilienceMetrics([stack.out.outbound.state]);
      const samples = metrics.find((each) => each.name === name)!.samples as readonly {
        readonly value: number;
      }[];
      return samples.reduce((sum, { value }) => sum + value, 0);
    };
    assert.equal(total('outrider_degraded_answers_total'), FAILURES + 1, 'before a call came');
    assert.deepEqual(answerOf(call({ path: ours })), [0, 'small']);
    assert.equal(stack.requestsAt('a').length + stack.requestsAt('b').length, before, 'the primary rests');
    assert.equal(total('outrider_degraded_answers_total'), FAILURES + 2);
    assert.equal(total('outrider_fallback_active'), 1);
    stack.update(big([]));
    assert.equal(total('outrider_fallback_active'), 0);
  });

  it('routes that come and go leave no more behind, however often', () => {
    const routes = ['/a.S/*', '/b.S/*'].map((pattern) =>
      aRoute({ methods: [pattern], idempotent: true, fallback: [TO_SMALL] }),
    );
    start(...routes);
    for (let i = 0; i < 10; i++) {
      for (const path of [ours, theirs]) assert.deepEqual(answerOf(call({ path })), [0, 'big']);
      stack.update(big([]));
      assert.equal(stack.out.outbound.state.methodStates.all.length, 2);
      stack.update(big(routes));
    }
  });

  it('a reload that takes steps away leaves the call that is away to its own', () => {
    const before = aRoute({ idempotent: true, fallback: [TO_SMALL, LAST_GOOD] });
    start(before);
    call();
    bigSays(fails());
    stack.answers(hangs, 's');
    const away = call();
    stack.update(big([{ ...before, fallback: [LAST_GOOD] }]));
    stack.settle(fails()(stack.requestsAt('s').at(-1)!));
    assert.deepEqual(answerOf(away), [0, 'big']);
  });
});
