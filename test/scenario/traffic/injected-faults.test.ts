/** Faults put in for a drill: which calls are hit, how often, for how long, and that calls stay calls meanwhile. */
import assert from 'node:assert/strict';
import { FaultController } from '../../../sidecar/app/fault-controller.js';
import { faultMetrics } from '../../../sidecar/app/metrics/traffic-shift.js';
import type { FaultRule } from '../../../sidecar/core/routing/fault-rule.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { countBy } from '../../kit/scenario/counts.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { NO_PROCESS_FAULTS } from '../../kit/stack/admin-view.js';
import {
  type Application,
  anInbound,
  aRoute,
  type CallOptions,
  type InboundStack,
  MESSAGE,
} from '../../kit/stack/stack.js';

const HEALTH = '/grpc.health.v1.Health/Check';

function aRule(over: Partial<FaultRule> = {}): FaultRule {
  return { side: 'outbound', method: '*', ratio: 1, delayMs: 0, ...over };
}

describe('Scenario: injected faults', () => {
  let stack: UpstreamStack;
  let into: InboundStack;
  let faults: FaultController;

  beforeEach(() => {
    stack = new UpstreamStack(['a']);
    into = stack.inbound(anInbound({ defaultIntention: 'allow' }));
    faults = new FaultController({
      ...{ isAllowed: true, processes: NO_PROCESS_FAULTS },
      dataPlane: stack.context,
      upstreamNames: () => ['digits'],
      onChange: (on) => {
        stack.out.outbound.state.setFaults(on);
        into.inbound.state.faults = on;
      },
    });
    stack.works();
    into.model.answer = (stream) => stream.reply();
  });

  afterEach(() => faults.stop());

  const switchOn = (over: Partial<FaultRule>) => faults.switchOn(aRule(over), 60_000);

  const peer = (service?: string): Application => stack.app(into.listener, service);
  const call = (options: CallOptions = {}, by = stack.caller): PeerStream => stack.settle(by.call(options));
  const statuses = (n: number, options: CallOptions = {}, by = stack.caller): Record<number, number> =>
    countBy(
      Array.from({ length: n }, () => call(options, by)),
      ({ status }) => status,
    );

  it('abort calls to an upstream with the status asked for, and say that it was a drill', () => {
    switchOn({ peer: 'digits', abort: 5 });
    const struck = call();
    const said = [struck.status, struck.reason, struck.trailer('outrider-unprocessed')];
    assert.deepEqual(said, [5, 'fault-injected', undefined]);
    assert.deepEqual([stack.requests.length, stack.endpoint('a').outcomes[0]], [0, 0]);
  });

  it('hit a share of the calls, of the method that is named', () => {
    switchOn({ ratio: 0.25, abort: 14, method: '/inference.GRPCInferenceService/*' });
    const found = statuses(1000);
    // Four standard deviations.
    assert.ok(Math.abs(found[14]! - 250) < 55, JSON.stringify(found));
    assert.deepEqual(statuses(50, { path: HEALTH }), { 0: 50 });
    assert.equal(faults.list()[0]!.injected, found[14]);
    const labels = { direction: 'outbound', kind: 'abort' };
    const [active, injected] = faultMetrics(faults);
    assert.deepEqual(injected!.samples, [{ labels, value: found[14] }]);
    assert.deepEqual(
      active!.samples.filter((sample) => 'value' in sample && sample.value > 0),
      [{ labels, value: 1 }],
    );
  });

  it('spare upstreams and callers that are not meant', () => {
    switchOn({ peer: 'other', abort: 14 });
    switchOn({ side: 'inbound', peer: 'batch', abort: 14 });
    assert.deepEqual(statuses(5), { 0: 5 });
    assert.deepEqual(statuses(5, {}, peer('web')), { 0: 5 });
    assert.deepEqual(statuses(5, {}, peer('batch')), { 14: 5 });
    assert.deepEqual(statuses(1, {}, peer()), { 16: 1 });
  });

  it('end by themselves, and then cost nothing', () => {
    const timers = stack.context.wheel.size;
    faults.switchOn(aRule({ abort: 14 }), 5000);
    assert.equal(stack.context.wheel.size, timers + 1);
    stack.advance(4900);
    assert.deepEqual(statuses(1), { 14: 1 });
    assert.equal(faults.list().length, 1);
    stack.advance(110);
    assert.deepEqual(statuses(1), { 0: 1 });
    assert.deepEqual(faults.list(), []);
    assert.equal(stack.out.outbound.state.trafficShift.isNeeded, false);
    assert.equal(stack.context.wheel.size, timers);
  });

  it('are cleared one by one or at once', () => {
    const first = switchOn({ peer: 'other', abort: 14 });
    switchOn({ abort: 14 });
    assert.equal(first.kind, 'on');
    assert.equal(faults.switchOff(99), 0);
    assert.equal(faults.switchOff(first.kind === 'on' ? first.fault.id : 0), 1);
    assert.deepEqual(statuses(1), { 14: 1 });
    assert.equal(faults.switchOff(), 1);
    assert.deepEqual(statuses(1), { 0: 1 });
  });

  it('delay calls, and abort them after that where both are asked for', () => {
    switchOn({ peer: 'digits', delayMs: 200, method: HEALTH, abort: 14 });
    switchOn({ delayMs: 200 });
    const [plain, both] = [call(), call({ path: HEALTH })];
    stack.advance(190);
    assert.ok(!plain.isOver && !both.isOver);
    stack.advance(20);
    assert.deepEqual([plain.status, both.status, both.reason], [0, 14, 'fault-injected']);
    assert.equal(stack.backend('a').last.body.toString(), MESSAGE.toString());
  });

  it('hold no call beyond its deadline, nor beyond its caller’s patience', () => {
    switchOn({ delayMs: 10_000 });
    switchOn({ side: 'inbound', delayMs: 10_000 });
    const late = [call({ timeout: '300m' }), call({ timeout: '300m' }, peer('web'))];
    const left = call();
    stack.advance(310);
    for (const each of late) assert.deepEqual([each.status, each.reason], [4, 'deadline-exceeded']);
    stack.settle(left.reset());
    stack.assertIdle();
    assert.equal(stack.backend('a').requests.length, 0);
  });

  it('delay peers before they hold a place, while their request is still coming', () => {
    switchOn({ side: 'inbound', peer: 'web', delayMs: 100 });
    const web = peer('web');
    const whole = call({}, web);
    const open = call({ body: null }, web);
    open.data(Buffer.alloc(40_000));
    stack.advance(50);
    assert.equal(into.backend.queue.running, 0);
    assert.deepEqual(statuses(1, {}, peer('other')), { 0: 1 });
    stack.advance(60);
    assert.equal(whole.status, 0);
    // It may send on: what came meanwhile has been credited.
    stack.settle(open.data(Buffer.alloc(100_000)).end());
    assert.equal(open.status, 0);
    assert.equal(into.model.last.bytes, 140_000);
  });

  it('stream calls wait and go on', () => {
    stack.update({ routes: [aRoute({ kind: 'streaming', timeoutMs: 0 })] });
    switchOn({ delayMs: 100 });
    const open = call({ body: null });
    open.data(MESSAGE);
    stack.advance(110);
    stack.settle(open.data(MESSAGE).end());
    assert.equal(open.status, 0);
    assert.equal(stack.backend('a').last.bytes, 2 * MESSAGE.length);
  });

  it('are refused where the file does not allow them, and beyond a number', () => {
    const closed = new FaultController({
      ...{ isAllowed: false, processes: NO_PROCESS_FAULTS },
      dataPlane: stack.context,
      upstreamNames: () => [],
      onChange: () => assert.fail('it was switched on'),
    });
    assert.equal(closed.switchOn(aRule({ abort: 14 }), 1000).kind, 'refused');
    for (let i = 0; i < 32; i++) assert.equal(faults.switchOn(aRule({ abort: 14 }), 1000).kind, 'on');
    const refused = { kind: 'refused', why: '32 faults are on already' };
    assert.deepEqual(faults.switchOn(aRule({ abort: 14 }), 1000), refused);
  });
});
