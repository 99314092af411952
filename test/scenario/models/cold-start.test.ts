/** Calls while every replica is away or loading: they wait within their deadline, bounded in number and time; others never do. */
import assert from 'node:assert/strict';
import type { ColdStartConfig } from '../../../sidecar/outbound/cold-start.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { resultOf } from '../../kit/scenario/counts.js';
import { DiscoveredUpstream } from '../../kit/scenario/discovered-upstream.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import { aRoute, aSafeRoute, aStreamRoute } from '../../kit/stack/stack.js';

const COLD: ColdStartConfig = { waitMs: 10_000, maxWaiting: 100 };
const WAKE: ColdStartConfig = { ...COLD, wake: { url: 'http://127.0.0.1:9/wake', intervalMs: 30_000 } };

/** As the sidecar of a replica answers whose model is loading. */
const isLoading = (stream: PeerStream) =>
  void stream.fail(14, [
    ['outrider-reason', 'model-unavailable'],
    ['outrider-unprocessed', '1'],
  ]);
/** The same of one model of several. */
const hasNoModel = (stream: PeerStream) =>
  void stream.fail(14, [
    ['outrider-reason', 'model-not-ready'],
    ['outrider-unprocessed', '1'],
    ['outrider-model', 'words'],
  ]);

describe('Scenario: a cold start', () => {
  it('keeps calls while there is no replica, until one is there', () => {
    const mesh = new DiscoveredUpstream({ coldStart: COLD });
    mesh.discover([]);
    const calls = [mesh.call({ timeout: '9S' }), mesh.call()];
    mesh.stack.advance(4_000);
    assert.deepEqual(
      calls.map(({ isOver }) => isOver),
      [false, false],
    );
    mesh.discover(['a']);
    mesh.stack.advance(200);
    assert.deepEqual(calls.map(resultOf), ['a', 'a']);
    assert.match(mesh.stack.backend('a').requests[0]!.header('grpc-timeout') ?? '', /^[45]\d{3}m$/);
    assert.deepEqual(mesh.out.outbound.state.coldStart!.counts, { waited: 2, expired: 0, refused: 0 });
    assert.equal(mesh.stack.context.memory.held, 0);
  });

  it('leaves the caller ready while there is no replica: the first call is what starts one', () => {
    const mesh = new DiscoveredUpstream({ coldStart: WAKE });
    const notReady = () => mesh.out.outbound.state.upstream.notReady();
    assert.equal(notReady(), 'its endpoints are not known yet');
    mesh.discover([]);
    assert.equal(notReady(), undefined);
    const call = mesh.call();
    assert.equal(mesh.stack.wakes.length, 1);
    mesh.stack.backend('a').mode = 'refuses';
    mesh.discover(['a']);
    assert.equal(notReady(), undefined, 'it starts');
    mesh.stack.backend('a').mode = 'accepts';
    mesh.stack.advance(6_000);
    assert.equal(resultOf(call), 'a');
    const other = new DiscoveredUpstream();
    other.discover([]);
    assert.equal(other.out.outbound.state.upstream.notReady(), 'it has no endpoint', 'without a cold start');
  });

  it('keeps the place of a call that asks again, so that no more wait than may', () => {
    const stack = new UpstreamStack(['a'], { routes: [aSafeRoute()], coldStart: { ...COLD, maxWaiting: 2 } });
    stack.answers(isLoading, 'a');
    const held = [stack.caller.call(), stack.caller.call()];
    stack.advance(500);
    const asked: PeerStream[] = [];
    stack.answers((stream) => void asked.push(stream), 'a');
    stack.advance(1_000);
    assert.ok(asked.length >= 1 && held.every(({ isOver }) => !isOver), `${asked.length} ask again`);
    stack.answers(isLoading, 'a');
    const third = stack.caller.call();
    stack.advance(100);
    assert.deepEqual([third.isOver, third.status], [true, 14]);
    assert.equal(stack.out.outbound.state.coldStart!.counts.refused, 1);
    stack.answers((stream) => void stream.reply(), 'a');
    for (const stream of asked) stack.settle(stream.reply());
    stack.advance(3_000);
    assert.deepEqual(
      held.map(({ status }) => status),
      [0, 0],
    );
    // Their places are free again.
    stack.answers(isLoading, 'a');
    const fourth = stack.caller.call();
    stack.advance(500);
    assert.ok(!fourth.isOver);
    stack.answers((stream) => void stream.reply(), 'a');
    stack.advance(3_000);
    assert.equal(fourth.status, 0);
  });

  it('ends at `wait`, or at the deadline of the call, which says what it waited for', () => {
    const mesh = new DiscoveredUpstream({ coldStart: { ...COLD, waitMs: 2_000 } });
    mesh.discover([]);
    const [patient, hasty, open] = [mesh.call(), mesh.call({ timeout: '500m' }), mesh.call({ body: null })];
    mesh.stack.advance(600);
    assert.equal(resultOf(hasty!), '4 deadline-exceeded');
    assert.match(hasty!.trailer('grpc-message') ?? '', /while waiting for an endpoint of digits that is up/);
    mesh.stack.settle(open!.reset());
    mesh.stack.advance(1_500);
    assert.equal(resultOf(patient!), '14 no-endpoint');
    assert.deepEqual(mesh.out.outbound.state.coldStart!.counts, { waited: 3, expired: 1, refused: 0 });
    assert.equal(mesh.out.outbound.state.breaker.waitingCalls, 0);
    assert.equal(mesh.stack.context.memory.held, 0);
  });

  it('is bounded in number', () => {
    const mesh = new DiscoveredUpstream({ coldStart: { ...COLD, maxWaiting: 3 } });
    mesh.discover([]);
    const calls = Array.from({ length: 5 }, () => mesh.call());
    assert.deepEqual(
      calls.map(({ isOver }) => isOver),
      [false, false, false, true, true],
    );
    assert.equal(resultOf(calls[4]!), '14 no-endpoint');
    assert.equal(mesh.out.outbound.state.coldStart!.counts.refused, 2);
    const families = metricsIn(mesh.stack, { outbounds: [mesh.out.outbound.state] });
    const of = (name: string) =>
      families
        .find((each) => each.name === name)!
        .samples.map((each) => [each.labels['result'], 'value' in each && each.value]);
    assert.deepEqual(of('outrider_cold_start_waiting'), [[undefined, 3]]);
    assert.deepEqual(of('outrider_calls_waiting_for_discovery'), [[undefined, 0]]);
    assert.deepEqual(of('outrider_cold_start_calls_total'), [
      ['waited', 3],
      ['expired', 0],
      ['refused', 2],
    ]);
  });

  for (const [what, route] of [
    ['unary calls', aRoute()],
    ['streams', aStreamRoute()],
  ] as const)
    it(`keeps ${what} while every replica says that its model is loading`, () => {
      const stack = new UpstreamStack(['a', 'b'], { routes: [route], coldStart: COLD });
      stack.answers(isLoading);
      const calls = [stack.call(), stack.call()];
      stack.advance(3_000);
      assert.deepEqual(
        calls.map(({ isOver }) => isOver),
        [false, false],
      );
      stack.works('b');
      stack.advance(3_000);
      assert.deepEqual(calls.map(resultOf), ['b', 'b']);
      stack.assertIdle();
    });

  it('fails none of the first calls, which find the replicas loading one after another', () => {
    const stack = new UpstreamStack(['a', 'b', 'c', 'd'], { coldStart: COLD });
    stack.answers(isLoading);
    const calls: PeerStream[] = [];
    for (let i = 0; i < 100; i++) {
      calls.push(stack.call());
      stack.advance(20);
    }
    assert.deepEqual(calls.filter(({ isOver }) => isOver).map(resultOf), []);
    // Each asks the last one that was found down, and again after a second.
    const { length } = stack.requests;
    assert.ok(length <= 2 * calls.length, `${length} attempts`);
    stack.works();
    stack.advance(3_000);
    for (const call of calls) assert.equal(call.status, 0);
    stack.assertIdle();
  });

  it('keeps calls while no replica accepts a connection', () => {
    const stack = new UpstreamStack(['a'], { coldStart: COLD }, { mode: 'refuses' });
    stack.works();
    const call = stack.call();
    stack.advance(5_000);
    assert.equal(call.isOver, false);
    stack.revive('a');
    stack.advance(3_000);
    assert.equal(resultOf(call), 'a');
    stack.assertIdle();
  });

  it('keeps calls for a model that no replica has loaded, though they serve others', () => {
    const stack = new UpstreamStack(['a', 'b'], { routes: [aSafeRoute()], coldStart: COLD });
    stack.answers(hasNoModel);
    const call = stack.call();
    stack.advance(3_000);
    assert.equal(call.isOver, false);
    assert.ok(stack.requests.length < 20, `${stack.requests.length} attempts`);
    stack.works('a');
    stack.advance(3_000);
    assert.equal(resultOf(call), 'a');
    stack.assertIdle();
  });

  it('asks once for a start, and again after the interval while a call waits', async () => {
    const mesh = new DiscoveredUpstream({
      coldStart: { ...WAKE, waitMs: 60_000 },
      routes: [aRoute({ timeoutMs: 0 })],
    });
    mesh.discover([]);
    for (let i = 0; i < 5; i++) mesh.call();
    assert.deepEqual(mesh.stack.wakes, [{ upstream: 'digits', waiting: 1 }]);
    await Promise.resolve();
    mesh.stack.advance(29_000);
    assert.equal(mesh.stack.wakes.length, 1);
    mesh.stack.advance(1_200);
    assert.deepEqual(mesh.stack.wakes[1], { upstream: 'digits', waiting: 5 });
    await Promise.resolve();
    mesh.discover(['a']);
    mesh.stack.advance(60_000);
    mesh.discover([]);
    mesh.stack.advance(60_000);
    assert.equal(mesh.stack.wakes.length, 2, 'no call waits');
    assert.deepEqual(mesh.out.outbound.state.coldStart!.wakes, { sent: 2, failed: 0 });
  });

  it('sends a call on to a replica that it has not tried, and asks for no start while one takes calls', () => {
    const stack = new UpstreamStack(['a', 'b', 'c', 'd'], { coldStart: WAKE });
    stack.answers(isLoading);
    stack.works('d');
    const calls = Array.from({ length: 20 }, () => {
      const call = stack.call();
      stack.advance(5);
      return call;
    });
    for (const call of calls) assert.equal(resultOf(call), 'd');
    assert.ok(stack.requests.length <= 23, `${stack.requests.length} attempts`);
    assert.equal(stack.wakes.length, 0);
    stack.assertIdle();
  });

  it('does nothing where a replica takes calls, however it fares, nor without the option', () => {
    const stack = new UpstreamStack(['a', 'b'], { coldStart: WAKE });
    stack.works('b');
    stack.answers(isLoading, 'a');
    for (let i = 0; i < 10; i++) {
      assert.equal(stack.call().status, 0);
      stack.advance(300);
    }
    stack.answers((stream) => void stream.fail(14), 'b');
    const failed = Array.from({ length: 10 }, () => stack.call());
    for (const each of failed) assert.equal(each.status, 14);
    assert.deepEqual([stack.out.outbound.state.coldStart!.counts.waited, stack.wakes.length], [0, 0]);
    const off = new UpstreamStack(['a']);
    off.answers(isLoading);
    assert.equal(resultOf(off.call()), '14 model-unavailable');
  });

  it('does nothing to calls that fail for another reason, that crashed their model, or that have a fallback', () => {
    const stack = new UpstreamStack(['a'], { coldStart: WAKE });
    const reasons = [['outrider-reason', 'model-crashed']] as const;
    stack.answers((stream) => void stream.fail(14, reasons));
    assert.equal(resultOf(stack.call()), '14 model-crashed');
    for (const status of [3, 4, 8, 13]) {
      const other = new UpstreamStack(['a'], { coldStart: WAKE });
      other.answers((stream) => void stream.fail(status));
      assert.equal(other.call().status, status);
    }
    const fallback = [{ kind: 'last-good', maxAgeMs: 1_000, maxBytes: 1_000 }] as never;
    const mesh = new DiscoveredUpstream({ coldStart: WAKE, routes: [aSafeRoute({ fallback })] });
    mesh.discover([]);
    assert.equal(resultOf(mesh.call()), '14 no-endpoint');
    assert.equal(stack.wakes.length + mesh.stack.wakes.length, 0);
  });
});
