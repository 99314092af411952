/** The effect of active checks on balancing and ejection. */

import assert from 'node:assert/strict';
import { reportOf } from '../../../sidecar/app/endpoint-report.js';
import { setHealthy } from '../../../sidecar/cluster/endpoint-health.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anUpstream, type UpstreamOptions } from '../../kit/stack/stack.js';

describe('Endpoints and their health checks', () => {
  let stack: UpstreamStack;

  const open = (names: readonly string[], over: UpstreamOptions = {}): void => {
    stack = new UpstreamStack(names, over);
    for (const name of names) stack.answers((stream) => stream.reply(Buffer.from(name)), name);
  };
  /** Three endpoints, of which the first fails its calls and is ejected. */
  const openEjected = (): void => {
    open(['a', 'b', 'c']);
    stack.answers((stream) => stream.fail(14), 'a');
    calls(15);
  };
  const say = (name: string, healthy: boolean, why = 'the check says no'): void =>
    setHealthy(stack.out.cluster, stack.endpoint(name), healthy, why);
  const calls = (count: number): Record<string, number> => {
    const found: Record<string, number> = {};
    for (let i = 0; i < count; i++) {
      const { status, body } = stack.call();
      const key = status === 0 ? body.toString() : `${status}`;
      found[key] = (found[key] ?? 0) + 1;
    }
    return found;
  };
  const report = (name: string) => reportOf(stack.out.cluster, stack.endpoint(name), stack.clock.now());

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
    assert.match(report('a').why, /gets calls anyway/);
    say('b', true);
    assert.deepEqual(calls(6), { b: 6 });
  });

  it('ejected endpoints get calls in a panic before unhealthy ones do', () => {
    openEjected();
    assert.equal(report('a').state, 'ejected');
    say('b', false);
    say('c', false);
    assert.deepEqual(calls(5), { '14': 5 });
    assert.ok(stack.out.cluster.ejections.members.isPanicking);
  });

  it('endpoints of another priority get calls before unhealthy ones do', () => {
    open(['a', 'b']);
    const endpoints = anUpstream(['a', 'b']).endpoints.map((each, priority) => ({ ...each, priority }));
    stack.settle(stack.out.outbound.state.update(anUpstream(['a', 'b'], { endpoints })));
    assert.deepEqual(calls(3), { a: 3 });
    say('a', false);
    assert.deepEqual(calls(3), { b: 3 });
    say('b', false);
    assert.deepEqual(calls(3), { a: 3 });
  });

  it('an ejected endpoint that becomes healthy again is probed at once, and one that was healthy all along is not', () => {
    openEjected();
    say('a', true);
    assert.deepEqual(calls(4), { b: 2, c: 2 });
    say('a', false);
    stack.advance(60_000);
    assert.equal(calls(4)['14'], undefined, 'and not while it is unhealthy, though its time is over');
    stack.answers((stream) => stream.reply(Buffer.from('a')), 'a');
    say('a', true);
    assert.deepEqual(calls(6), { a: 2, b: 2, c: 2 });
  });

  it('an endpoint that becomes healthy again is balanced without its former latency', () => {
    open(['a', 'b'], { balance: { kind: 'least-loaded' } });
    stack.answers(() => {});
    const [a, b] = [stack.endpoint('a'), stack.endpoint('b')];
    a.latency.record(60_000, stack.clock.now());
    b.latency.record(20, stack.clock.now());
    for (let i = 0; i < 10; i++) stack.caller.call();
    stack.run();
    assert.deepEqual([a.inFlight, b.inFlight], [0, 10]);
    say('a', false);
    say('a', true);
    for (let i = 0; i < 10; i++) stack.caller.call();
    stack.run();
    assert.ok(a.inFlight >= 5 && a.inFlight + b.inFlight === 20, `${a.inFlight}, ${b.inFlight}`);
  });

  it('an endpoint that fails its probe is ejected again, and each flap of its check brings it one call at most', () => {
    openEjected();
    for (let i = 0; i < 3; i++) {
      say('a', false);
      say('a', true);
      assert.equal(calls(10)['14'], 1);
    }
    assert.equal(stack.endpoint('a').ejection.ejections, 4);
  });

  it('the result of a check outlives its connection, and ends with the health option', () => {
    open(['a', 'b']);
    say('a', false);
    stack.settle(stack.kill('a'));
    assert.equal(report('a').state, 'disconnected');
    stack.revive('a');
    stack.advance(1_000);
    assert.equal(report('a').state, 'unhealthy');
    stack.out.outbound.state.update(anUpstream(['a', 'b']));
    assert.deepEqual(calls(4), { a: 2, b: 2 });
  });
});
