/**
 * Endpoints of several priorities: the first one with an endpoint takes all calls, the next stands ready, and comes in
 * without a failed call.
 */
import assert from 'node:assert/strict';
import { reportOf } from '../../../sidecar/app/endpoint-report.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { countBy, resultOf } from '../../kit/scenario/counts.js';
import { DiscoveredUpstream } from '../../kit/scenario/discovered-upstream.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import { aRoute, aSafeRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const SAFE = [aSafeRoute({ retry: { attempts: 3, on: [14], backoff: { baseMs: 0, maxMs: 0 } } })];

let mesh: DiscoveredUpstream;

/** Discovery names these endpoints; `bad` ones behave so from the beginning. Closed after the test. */
function open(
  specs: readonly string[],
  over: UpstreamOptions = {},
  bad: Readonly<Record<string, object>> = {},
): void {
  mesh = new DiscoveredUpstream(over);
  afterTest(() => mesh.close());
  for (const [name, how] of Object.entries(bad)) Object.assign(mesh.stack.backend(name), how);
  mesh.discover(specs);
}

/** How each endpoint stands, as the admin port reports it. */
const reports = () => {
  const { cluster } = mesh.out;
  return cluster.endpoints.map((each) => reportOf(cluster, each, mesh.stack.clock.now()));
};

describe('Scenario: failover', () => {
  const connected = (name: string): boolean => mesh.stack.backend(name).open.length > 0;
  const report = () => {
    const rows = reports().map(({ endpoint, state, why }) => [
      endpoint,
      why === '' ? state : `${state}: ${why}`,
    ]);
    return Object.fromEntries(rows) as Record<string, string>;
  };

  it('keeps connections to the next priority, and not beyond', () => {
    open(['a', 'b', 'c@1', 'd@2']);
    mesh.stack.advance(100);
    assert.ok(connected('a') && connected('b') && connected('c'));
    assert.ok(!connected('d'));
    assert.deepEqual(mesh.calls(20), { a: 10, b: 10 });
  });

  it('serves from the next priority when all of the first die, and from the first when one returns', () => {
    open(['a', 'b', 'c@1', 'd@2'], { routes: SAFE });
    assert.deepEqual(mesh.calls(10), { a: 5, b: 5 });
    mesh.stack.kill('a');
    mesh.stack.kill('b');
    // Calls before the failure was noticed are among them.
    assert.deepEqual(mesh.calls(50, {}, 10), { c: 50 });
    assert.ok(connected('d'), 'the one after it stands ready now');
    mesh.stack.revive('b');
    mesh.stack.advance(6000);
    assert.deepEqual(mesh.calls(10), { b: 10 });
    mesh.stack.kill('b');
    mesh.stack.kill('c');
    assert.deepEqual(mesh.calls(10), { d: 10 });
  });

  it('fails no call that was under way when the whole first priority died', () => {
    open(['a', 'b', 'c@1'], { routes: SAFE, balance: { kind: 'least-loaded' } });
    mesh.calls(4);
    for (const name of ['a', 'b']) mesh.stack.backend(name).answer = () => {};
    const under = mesh.stack.settle(Array.from({ length: 20 }, () => mesh.app.call()));
    mesh.stack.kill('a');
    mesh.stack.kill('b');
    mesh.stack.advance(1000);
    assert.deepEqual(countBy(under, resultOf), { c: 20 });
  });

  it('does not start at the second because the first needs a moment longer to connect', () => {
    open(['a', 'b@1'], {}, { a: { peerOptions: { settings: null } } });
    const call = mesh.call();
    mesh.stack.advance(500);
    assert.ok(!call.isOver, 'waits for the first');
    mesh.stack.advance(600);
    assert.equal(call.status, 0, 'whose connect timeout has passed');
    assert.equal(call.body.toString(), 'b');
  });

  it('does not wait for a newcomer of the first when the second serves already', () => {
    open(['a', 'b@1']);
    mesh.stack.kill('a');
    mesh.calls(3);
    mesh.stack.backend('x').mode = 'silent';
    mesh.discover(['a', 'x', 'b@1']);
    assert.deepEqual(mesh.calls(5), { b: 5 });
  });

  it('tries the second for a call that has failed at all of the first', () => {
    open(['a', 'b@1'], { routes: SAFE });
    mesh.stack.backend('a').answer = (stream) => stream.fail(14);
    assert.equal(mesh.call().body.toString(), 'b');
  });

  it('takes an only endpoint out that fails all calls, for there are others, and tries it again later', () => {
    open(['a', 'b@1'], { routes: [aRoute()] });
    mesh.stack.backend('a').answer = (stream) => stream.fail(14);
    assert.deepEqual(mesh.calls(20), { '14': 5, b: 15 });
    assert.match(report()['a'] ?? '', /^ejected: 5 faults in a row, last: status 14/);
    mesh.backend('a');
    mesh.stack.advance(31_000);
    mesh.calls(1);
    assert.deepEqual(mesh.calls(10), { a: 10 });
    assert.deepEqual(report(), {
      a: 'eligible',
      b: 'standby: endpoints with a lower priority number get the calls',
    });
  });

  it('ejects within each priority by its own numbers', () => {
    open(['a@1', 'b@1', 'c@1', 'd@1'], { routes: [aRoute()] });
    for (const name of ['a', 'b', 'c']) mesh.stack.backend(name).answer = (stream) => stream.fail(14);
    mesh.calls(60);
    const ejected = reports().filter(({ state }) => state === 'ejected');
    assert.equal(ejected.length, 2, 'half of four, and no other priority');
  });

  it('shows the priority of each endpoint in the metrics', () => {
    open(['a', 'b@1']);
    const families = metricsIn(mesh.stack, { outbounds: [mesh.out.outbound.state] });
    const samples = (name: string) => families.find((each) => each.name === name)?.samples;
    assert.deepEqual(samples('outrider_endpoint_priority'), [
      { labels: { upstream: 'digits', endpoint: 'a:1', name: 'a' }, value: 0 },
      { labels: { upstream: 'digits', endpoint: 'b:1', name: 'b' }, value: 1 },
    ]);
    const none = { labels: { upstream: 'digits' }, value: 0 };
    assert.deepEqual(samples('outrider_calls_waiting_for_discovery'), [none]);
  });

  it('an endpoint that changes its priority keeps its connection', () => {
    open(['a', 'b@1']);
    mesh.calls(2);
    mesh.discover(['a@1', 'b']);
    assert.deepEqual(mesh.calls(5), { b: 5 });
    assert.equal(mesh.stack.backend('a').peers.length, 1);
    assert.equal(mesh.stack.backend('b').peers.length, 1);
  });
});

describe('Scenario: the registry calls an instance critical', () => {
  it('gets no calls while another exists', () => {
    open(['a!', 'b']);
    assert.deepEqual(mesh.calls(20), { b: 20 });
    mesh.stack.backend('b').answer = (stream) => stream.fail(14);
    mesh.calls(20);
    assert.equal(mesh.stack.backend('a').requests.length, 0, 'not even where the other one fails');
  });

  it('gets them when it is alone, and when no other instance can be reached', () => {
    open(['a!'], { routes: SAFE });
    assert.deepEqual(mesh.calls(5), { a: 5 });
    mesh.discover(['a!', 'b']);
    assert.deepEqual(mesh.calls(5), { b: 5 });
    mesh.stack.kill('b');
    assert.deepEqual(mesh.calls(5, {}, 100), { a: 5 });
  });

  it('comes after the failover of the others', () => {
    open(['a!', 'b@1', 'c@1!'], { routes: SAFE });
    assert.deepEqual(mesh.calls(5), { b: 5 });
    const connections = mesh.stack.backend('a').open.length;
    assert.equal(connections, 0, 'none is kept to an instance that the registry calls critical');
    mesh.stack.kill('b');
    assert.deepEqual(mesh.calls(5, {}, 100), { a: 5 });
  });

  it('loses its calls when it becomes critical, and gets them back', () => {
    open(['a', 'b']);
    mesh.calls(2);
    mesh.discover(['a!', 'b']);
    assert.deepEqual(mesh.calls(6), { b: 6 });
    const { state, why, priority } = reports().find(({ endpoint }) => endpoint === 'a')!;
    assert.deepEqual([state, priority], ['standby', 1000]);
    assert.equal(why, 'critical in the registry: check "model answers" says no');
    mesh.discover(['a', 'b']);
    assert.deepEqual(mesh.calls(6), { a: 3, b: 3 });
    assert.equal(mesh.stack.backend('a').peers.length, 1, 'on the connection it had');
  });
});

describe('Scenario: connections contradict the registry', () => {
  it('is reported at once when no endpoint can be reached, then ever less often', () => {
    open(['a', 'b'], {}, { a: { mode: 'refuses' }, b: { mode: 'refuses' } });
    mesh.stack.advance(1000);
    assert.equal(mesh.doubts.length, 1);
    assert.match(mesh.doubts[0]!, /^main: [ab]:1: /);
    mesh.stack.advance(600_000);
    assert.ok(mesh.doubts.length > 4 && mesh.doubts.length < 12, `${mesh.doubts.length}`);
  });

  it('is said of one that refuses again and again while others answer', () => {
    open(['a', 'b'], {}, { b: { mode: 'refuses' } });
    mesh.stack.advance(2000);
    assert.equal(mesh.doubts.length, 1);
    assert.match(mesh.doubts[0]!, /b:1/);
  });

  it('is not said of instances that the registry does not vouch for', () => {
    open(['a', 'b!'], {}, { b: { mode: 'refuses' } });
    mesh.stack.advance(60_000);
    assert.deepEqual(mesh.doubts, []);
  });
});
