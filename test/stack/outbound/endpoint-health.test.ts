/** The effect of active checks on balancing and ejection. */

import assert from 'node:assert/strict';
import { reportOf } from '../../../sidecar/app/endpoint-report.js';
import { setHealthy } from '../../../sidecar/cluster/endpoint-health.js';
import {
  type Application,
  anUpstream,
  type OutboundStack,
  Stack,
  type UpstreamOptions,
} from '../../kit/stack/stack.js';

describe('Endpoints and their health checks', () => {
  let stack: Stack;
  let out: OutboundStack;
  let app: Application;
  beforeEach(() => {
    stack = new Stack();
  });
  afterEach(() => stack.close());

  const open = (names: readonly string[], over: UpstreamOptions = {}): void => {
    out = stack.outbound(anUpstream(names, over));
    app = stack.app(out.listener);
    for (const name of names) stack.backend(name).answer = (stream) => stream.reply(Buffer.from(name));
  };
  const endpoint = (name: string) => out.cluster.endpoints.find(({ id }) => id === name)!;
  const say = (name: string, healthy: boolean, why = 'the check says no'): void =>
    setHealthy(out.cluster, endpoint(name), healthy, why);
  const calls = (count: number): Record<string, number> => {
    const found: Record<string, number> = {};
    for (let i = 0; i < count; i++) {
      const call = stack.settle(app.call());
      const key = call.status === 0 ? call.body.toString() : `${call.status}`;
      found[key] = (found[key] ?? 0) + 1;
    }
    return found;
  };
  const report = (name: string) => reportOf(out.cluster, endpoint(name), stack.clock.now());

  it('an unhealthy endpoint gets no calls while another answers, and its report says why', () => {
    open(['a', 'b']);
    say('a', false);
    assert.deepEqual(calls(4), { b: 4 });
    assert.deepEqual([report('a').state, report('a').why], ['unhealthy', 'the check says no']);
    say('a', true);
    assert.deepEqual(calls(4), { a: 2, b: 2 });
    assert.deepEqual([report('a').state, report('a').why], ['eligible', '']);
  });

  it('unhealthy endpoints get calls only while no endpoint is healthy', () => {
    open(['a', 'b', 'c']);
    for (const name of ['a', 'b', 'c']) say(name, false);
    assert.deepEqual(calls(6), { a: 2, b: 2, c: 2 });
    assert.match(report('a').why, /calls go there all the same/);
    say('b', true);
    assert.deepEqual(calls(6), { b: 6 });
  });

  it('ejected endpoints get calls in a panic before unhealthy ones do', () => {
    open(['a', 'b', 'c']);
    stack.backend('a').answer = (stream) => stream.fail(14);
    calls(15);
    assert.equal(report('a').state, 'ejected');
    say('b', false);
    say('c', false);
    assert.deepEqual(calls(5), { '14': 5 });
    assert.ok(out.cluster.ejections.isPanicking);
  });

  it('endpoints of another priority get calls before unhealthy ones do', () => {
    open(['a', 'b']);
    const config = anUpstream(['a', 'b']);
    const endpoints = config.endpoints.map((each, i) => ({ ...each, priority: i }));
    stack.settle(out.outbound.update({ ...config, endpoints }));
    assert.deepEqual(calls(3), { a: 3 });
    say('a', false);
    assert.deepEqual(calls(3), { b: 3 });
    say('b', false);
    assert.deepEqual(calls(3), { a: 3 });
  });

  it('an ejected endpoint that becomes healthy again is probed at once, and one that was healthy all along is not', () => {
    open(['a', 'b', 'c']);
    stack.backend('a').answer = (stream) => stream.fail(14);
    calls(15);
    say('a', true);
    assert.deepEqual(calls(4), { b: 2, c: 2 });
    say('a', false);
    stack.advance(60_000);
    assert.equal(calls(4)['14'], undefined, 'and not while it is unhealthy, though its time is over');
    stack.backend('a').answer = (stream) => stream.reply(Buffer.from('a'));
    say('a', true);
    assert.deepEqual(calls(6), { a: 2, b: 2, c: 2 });
  });

  it('an endpoint that becomes healthy again is balanced without its former latency', () => {
    open(['a', 'b'], { balance: { kind: 'least-loaded' } });
    for (const name of ['a', 'b']) stack.backend(name).answer = () => {};
    endpoint('a').latency.record(60_000, stack.clock.now());
    endpoint('b').latency.record(20, stack.clock.now());
    const inFlight = (): readonly number[] => ['a', 'b'].map((name) => endpoint(name).inFlight);
    const send = (count: number): void => {
      for (let i = 0; i < count; i++) app.call();
      stack.run();
    };
    send(10);
    assert.deepEqual(inFlight(), [0, 10]);
    say('a', false);
    say('a', true);
    send(10);
    const [a = 0, b = 0] = inFlight();
    assert.ok(a >= 5 && a + b === 20, `${a} of ${a + b} calls`);
  });

  it('an endpoint that fails its probe is ejected again, and each flap of its check brings it one call at most', () => {
    open(['a', 'b', 'c']);
    stack.backend('a').answer = (stream) => stream.fail(14);
    calls(15);
    for (let i = 0; i < 3; i++) {
      say('a', false);
      say('a', true);
      assert.equal(calls(10)['14'], 1);
    }
    assert.equal(endpoint('a').ejection.ejections, 4);
  });

  it('the result of a check outlives its connection, and ends with the health option', () => {
    open(['a', 'b']);
    say('a', false);
    stack.backend('a').mode = 'refuses';
    stack.backend('a').peer.socket.break();
    stack.run();
    assert.equal(report('a').state, 'disconnected');
    stack.backend('a').mode = 'accepts';
    stack.advance(1_000);
    assert.equal(report('a').state, 'unhealthy');
    out.outbound.update(anUpstream(['a', 'b']));
    assert.deepEqual(calls(4), { a: 2, b: 2 });
  });
});
