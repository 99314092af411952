/** What `/metrics` says after calls: every number from where it is kept, every label from configuration. */
import assert from 'node:assert/strict';
import { queueReport, reportOf } from '../../../../sidecar/app/endpoint-report.js';
import type { Metric } from '../../../../sidecar/telemetry/metric.js';
import { metricsIn } from '../../../kit/stack/metrics.js';
import { anInbound, anUpstream, aRoute, aSafeRoute, Stack } from '../../../kit/stack/stack.js';

describe('The numbers of the mesh', () => {
  let stack: Stack;
  beforeEach(() => {
    stack = new Stack();
  });

  const read = (families: readonly Metric[], name: string, labels: Record<string, string> = {}): number => {
    const family = families.find((each) => each.name === name);
    assert.ok(family && family.kind !== 'histogram', name);
    const wanted = Object.entries(labels);
    return family.samples
      .filter((sample) => wanted.every(([key, value]) => sample.labels[key] === value))
      .reduce((sum, { value }) => sum + value, 0);
  };
  it('count calls, attempts, retries, outcomes and ejections', () => {
    const routes = [aSafeRoute({ methods: ['/p.S/Named'] }), aRoute()];
    const out = stack.outbound(anUpstream(['a', 'b'], { routes }));
    const app = stack.app(out.listener);
    stack.backend('a').answer = (stream) => stream.fail(14);
    stack.backend('b').answer = (stream) => stream.reply();
    for (let i = 0; i < 10; i++) app.call({ path: '/p.S/Named' });
    stack.settle(app.call({ path: '/invented/by.it?' }));
    const families = metricsIn(stack, { outbounds: [out.outbound.state] });
    assert.equal(read(families, 'outrider_calls_total', { method: '/p.S/Named', grpc_status: 'OK' }), 10);
    assert.equal(read(families, 'outrider_calls_total', { method: 'other' }), 1);
    assert.equal(read(families, 'outrider_local_replies_total', { reason: 'unknown-route' }), 1);
    assert.equal(read(families, 'outrider_retries_total'), 5);
    assert.equal(read(families, 'outrider_attempts_total', { endpoint: 'a:1' }), 5);
    assert.equal(read(families, 'outrider_attempt_outcomes_total', { endpoint: 'a:1', outcome: 'fault' }), 5);
    assert.equal(read(families, 'outrider_ejections_total', { endpoint: 'a:1' }), 1);
    const detector = 'consecutive-faults';
    assert.equal(read(families, 'outrider_ejections_total', { endpoint: 'a:1', detector }), 1);
    assert.equal(read(families, 'outrider_ejections_detected_total', { detector }), 1);
    assert.equal(read(families, 'outrider_ejections_detected_total', { detector: 'latency' }), 0);
    assert.equal(read(families, 'outrider_ejections_not_enforced_total', { reason: 'observed' }), 0);
    assert.equal(read(families, 'outrider_endpoint_healthy', { endpoint: 'a:1' }), 1);
    assert.equal(read(families, 'outrider_endpoint_share', { endpoint: 'a:1' }), 1);
    assert.equal(read(families, 'outrider_endpoint_ejected', { endpoint: 'a:1' }), 1);
    assert.equal(read(families, 'outrider_endpoint_eligible', { endpoint: 'b:1' }), 1);
    assert.equal(read(families, 'outrider_calls_in_flight'), 0);
    const names = families.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length, 'each family once');
  });

  it('hold no label that a caller made up', () => {
    const out = stack.outbound(anUpstream(['a']));
    const app = stack.app(out.listener);
    stack.backend('a').answer = (stream) => stream.reply();
    for (let i = 0; i < 50; i++) app.call({ path: `/made.Up/Method${i}` });
    stack.run();
    assert.ok(!JSON.stringify(metricsIn(stack, { outbounds: [out.outbound.state] })).includes('made.Up'));
  });

  it('say what waits before the model', () => {
    const side = stack.inbound(anInbound({ queue: { concurrency: 1 } }));
    const peer = stack.app(side.listener, 'app');
    for (let i = 0; i < 3; i++) peer.call({ body: Buffer.alloc(100) });
    stack.run();
    const families = metricsIn(stack, { inbound: side.inbound.state });
    assert.equal(read(families, 'outrider_queue_running'), 1);
    assert.equal(read(families, 'outrider_queue_waiting'), 2);
    assert.equal(read(families, 'outrider_queue_waiting_bytes'), 200);
    assert.equal(read(families, 'outrider_queue_admitted_total'), 1);
  });

  it('say what the limits before the model do, as far as there are any', () => {
    const readMemory = () => ({ usedBytes: 93, limitBytes: 100 });
    const plain = stack.inbound(anInbound());
    const names = metricsIn(stack, { inbound: plain.inbound.state }).map(({ name }) => name);
    const absent =
      /^outrider_(queue_unloaded_seconds|queue_class_waiting|rate_limited_total|memory_used_ratio)$/;
    assert.deepEqual(
      names.filter((name) => absent.test(name)),
      [],
    );
    const idle = { running: 0, waiting: 0, waitingBytes: 0, concurrency: 2, expired: 0, evicted: 0 };
    assert.deepEqual(queueReport(plain.backend.limits, stack.clock.now()), idle);

    const queue = {
      adaptive: { min: 1, max: 10 },
      priority: { key: 'x-class', classes: ['now', 'later'], defaultClass: 'later' },
    };
    const rateLimits = [{ callers: ['app'], methods: ['*'], perSecond: 1, burst: 1 }];
    const local = { kind: 'tcp', host: 'other-model', port: 1 } as const;
    const side = stack.inbound(anInbound({ local, queue, rateLimits }), { readMemory });
    const app = stack.app(side.listener, 'app');
    const refused = stack.settle(app.call());
    assert.equal(refused.reason, 'memory-pressure');
    const families = metricsIn(stack, { inbound: side.inbound.state });
    assert.equal(read(families, 'outrider_queue_concurrency'), 2);
    assert.equal(read(families, 'outrider_memory_used_ratio'), 0.93);
    assert.equal(read(families, 'outrider_memory_pressure_total', { level: 'critical' }), 1);
    assert.equal(read(families, 'outrider_rate_limited_total'), 0);
    assert.equal(read(families, 'outrider_queue_class_waiting', { class: 'now' }), 0);
    assert.deepEqual(queueReport(side.backend.limits, stack.clock.now()), {
      ...idle,
      ...{ unloadedMs: 0, rateLimited: 0, pressure: 'critical' },
      classes: [
        { name: 'now', waiting: 0 },
        { name: 'later', waiting: 0 },
      ],
    });
  });

  it('and the report agree on the state of an endpoint, with its reason', () => {
    const out = stack.outbound(anUpstream(['a', 'b', 'c', 'd']));
    const app = stack.app(out.listener);
    stack.backend('a').answer = (stream) => stream.fail(13);
    for (const name of ['b', 'c', 'd']) stack.backend(name).answer = (stream) => stream.reply();
    for (let i = 0; i < 20; i++) app.call();
    stack.run();
    stack.backend('c').mode = 'refuses';
    stack.backend('c').peer.socket.break();
    stack.backend('d').mode = 'silent';
    stack.backend('d').peer.socket.break();
    stack.run();
    stack.advance(70);
    const states = out.cluster.endpoints.map((each) => reportOf(out.cluster, each, stack.clock.now()));
    assert.deepEqual(
      states.map(({ state }) => state),
      ['ejected', 'eligible', 'disconnected', 'connecting'],
    );
    assert.match(states[0]!.why, /status 13/);
    assert.ok(states[0]!.untilMs! > 29_000);
    assert.match(states[2]!.why, /ECONNREFUSED/);
    stack.advance(30_000);
    stack.backend('a').answer = () => {};
    stack.settle(app.call());
    assert.equal(reportOf(out.cluster, out.cluster.endpoints[0]!, stack.clock.now()).state, 'probing');
  });
});
