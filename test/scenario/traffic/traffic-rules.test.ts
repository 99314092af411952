/** Rules of the registry on real calls: by path, by metadata, by weight, sticky, limited; and changed while calls run. */
import assert from 'node:assert/strict';
import type { TrafficRoute } from '../../../sidecar/core/routing/route-match.js';
import type { ClusterSnapshot } from '../../../sidecar/discovery/snapshot.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { DiscoveredUpstream, endpoint } from '../../kit/scenario/discovered-upstream.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import { aRoute, aStreamRoute } from '../../kit/stack/stack.js';

const INFER = '/inference.GRPCInferenceService/ModelInfer';

function cluster(...specs: string[]): ClusterSnapshot {
  return { endpoints: specs.map(endpoint) };
}

function to(name: string, over: Partial<TrafficRoute> = {}): TrafficRoute {
  return { split: [{ weight: 100, cluster: name }], ...over };
}

describe('Scenario: traffic rules', () => {
  let mesh: DiscoveredUpstream;
  beforeEach(() => {
    mesh = new DiscoveredUpstream({ routes: [aRoute()] });
  });
  afterEach(() => mesh.close());

  it('send calls by their path', () => {
    mesh.apply({ '': cluster('a'), health: cluster('h') }, [
      to('health', { match: { prefix: '/grpc.health.v1.Health/', headers: [] } }),
      to(''),
    ]);
    assert.deepEqual(mesh.calls(3, { path: '/grpc.health.v1.Health/Check' }), { h: 3 });
    assert.deepEqual(mesh.calls(3, { path: INFER }), { a: 3 });
  });

  it('send calls by their metadata', () => {
    mesh.apply({ '': cluster('a'), canary: cluster('c') }, [
      to('canary', { match: { headers: [{ name: 'x-canary', exact: 'yes', invert: false }] } }),
      to(''),
    ]);
    assert.deepEqual(mesh.calls(3, { metadata: [['x-canary', 'yes']] }), { c: 3 });
    assert.deepEqual(mesh.calls(3, { metadata: [['x-canary', 'no']] }), { a: 3 });
    assert.deepEqual(mesh.calls(3), { a: 3 });
  });

  it('split 90 to 10', () => {
    mesh.apply({ v1: cluster('a'), v2: cluster('b') }, [
      {
        split: [
          { weight: 90, cluster: 'v1' },
          { weight: 10, cluster: 'v2' },
        ],
      },
    ]);
    const shares = mesh.calls(2000, {}, 0);
    assert.equal((shares['a'] ?? 0) + (shares['b'] ?? 0), 2000);
    // Four standard deviations of 2,000 draws at 0.1.
    assert.ok(Math.abs((shares['b'] ?? 0) - 200) < 54, JSON.stringify(shares));
  });

  it('rewrite the path on its way out', () => {
    mesh.apply({ '': cluster('a') }, [
      to('', { match: { prefix: '/old.S/', headers: [] }, rewrite: '/new.S/' }),
      to('', { match: { exact: '/bad.S/M', headers: [] }, rewrite: 'nonsense' }),
      to(''),
    ]);
    const paths = () => mesh.stack.backend('a').last.header(':path');
    for (let i = 0; i < 3; i++) {
      mesh.call({ path: '/old.S/M', metadata: [['x-n', String(i)]] });
      assert.equal(paths(), '/new.S/M');
      assert.equal(mesh.stack.backend('a').last.header('x-n'), String(i));
    }
    mesh.call({ path: '/other.S/M' });
    assert.equal(paths(), '/other.S/M');
    const refused = mesh.call({ path: '/bad.S/M' });
    assert.equal(refused.status, 12);
    assert.equal(refused.reason, 'unknown-route');
  });

  it('answer calls that no rule takes, and those whose cluster is not there', () => {
    mesh.apply({ '': cluster('a') }, [
      to('', { match: { prefix: '/a.B/', headers: [] } }),
      to('gone', { match: { prefix: '/c.D/', headers: [] } }),
    ]);
    assert.deepEqual(mesh.calls(1, { path: '/x.Y/Z' }), { '12 unknown-route': 1 });
    assert.deepEqual(mesh.calls(1, { path: '/c.D/E' }), { '14 no-endpoint': 1 });
  });

  it('limit and repeat calls where the file says nothing of it', () => {
    const retry = { attempts: 2, on: [14] };
    mesh.apply({ '': cluster('a', 'b') }, [to('', { timeoutMs: 200, retry })]);
    mesh.stack.backend('a').answer = (stream) => stream.fail(14);
    for (let i = 0; i < 4; i++) {
      const call = mesh.call();
      mesh.stack.advance(100);
      assert.equal(call.body.toString(), 'b');
    }
    for (const name of ['a', 'b']) mesh.stack.backend(name).answer = () => {};
    const call = mesh.call();
    mesh.stack.advance(199);
    assert.ok(!call.isOver);
    mesh.stack.advance(10);
    assert.equal(call.status, 4);
  });

  it('give way to the file where it speaks', () => {
    mesh.close();
    mesh = new DiscoveredUpstream({ routes: [aRoute({ timeoutMs: 500 })] });
    mesh.apply({ '': cluster('a') }, [to('', { timeoutMs: 200 })]);
    mesh.stack.backend('a').answer = () => {};
    const call = mesh.call();
    mesh.stack.advance(400);
    assert.ok(!call.isOver);
    mesh.stack.advance(150);
    assert.equal(call.status, 4);
  });

  it('refuse calls beyond what a cluster may have in flight', () => {
    mesh.apply({ '': { ...cluster('a'), maxInFlight: 2 } });
    const held: { reply(): unknown }[] = [];
    mesh.stack.backend('a').answer = (stream) => void held.push(stream);
    const calls = [mesh.call(), mesh.call(), mesh.call()];
    assert.deepEqual(
      calls.map(({ status, reason }) => `${status} ${reason ?? ''}`),
      ['-1 ', '-1 ', '8 breaker-open'],
    );
    for (const stream of held) stream.reply();
    mesh.stack.run();
    mesh.backend('a');
    assert.deepEqual(mesh.calls(1), { a: 1 });
  });

  it('keep calls of one key at one endpoint, loads permitting, and spread the others', () => {
    mesh.apply({ '': { ...cluster('a', 'b', 'c', 'd'), hashKey: 'x-session' } });
    const homes = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const shares = mesh.calls(5, { metadata: [['x-session', `s${i}`]] });
      assert.equal(Object.values(shares)[0], 5, JSON.stringify(shares));
      homes.add(Object.keys(shares)[0]!);
    }
    assert.equal(homes.size, 4);
    assert.equal(Object.keys(mesh.calls(50)).length, 4);
    const [home] = Object.keys(mesh.calls(1, { metadata: [['x-session', 'kept']] }));
    const other = ['a', 'b', 'c', 'd'].find((name) => name !== home)!;
    mesh.stack.settle(mesh.stack.kill(other));
    assert.deepEqual(mesh.calls(5, { metadata: [['x-session', 'kept']] }), { [home!]: 5 });
    mesh.stack.settle(mesh.stack.kill(home!));
    const moved = mesh.calls(5, { metadata: [['x-session', 'kept']] });
    assert.equal(Object.values(moved)[0], 5, JSON.stringify(moved));
  });

  it('stick by the file’s own key too', () => {
    mesh.close();
    mesh = new DiscoveredUpstream({ balance: { kind: 'ring-hash', key: 'x-session' } });
    mesh.discover(['a', 'b', 'c']);
    for (let i = 0; i < 10; i++)
      assert.equal(Object.values(mesh.calls(4, { metadata: [['x-session', `s${i}`]] }))[0], 4);
  });

  it('stick by it from the first call on where the file names the endpoints', () => {
    const pool = new DetectorPool(['a', 'b', 'c'], { balance: { kind: 'ring-hash', key: 'x-session' } });
    const homes = new Set<string>();
    for (let i = 0; i < 10; i++) {
      const shares = pool.load(4, 10, { metadata: [['x-session', `s${i}`]] });
      assert.equal(Object.values(shares)[0], 4, JSON.stringify(shares));
      homes.add(Object.keys(shares)[0]!);
    }
    assert.equal(homes.size, 3);
    pool.close();
  });

  it('change while calls run: what is under way ends in peace, and the connections that stay needed stay', () => {
    mesh.discover(['a']);
    mesh.stack.backend('a').answer = () => {};
    const call = mesh.call();
    mesh.apply({ '': cluster('a'), v2: cluster('b') }, [to('v2')]);
    mesh.backend('a');
    assert.deepEqual(mesh.calls(3), { b: 3 });
    mesh.stack.backend('a').last.reply(Buffer.from('late'));
    mesh.stack.run();
    assert.equal(call.body.toString(), 'late');
    mesh.discover(['a']);
    assert.deepEqual(mesh.calls(3), { a: 3 });
    assert.equal(mesh.stack.backend('a').peers.length, 1);
    mesh.stack.advance(100);
    assert.equal(mesh.stack.backend('b').open.length, 0, 'a connection without use is closed');
  });

  it('send a call elsewhere whose cluster went between two attempts', () => {
    mesh.close();
    mesh = new DiscoveredUpstream({
      routes: [
        aRoute({ idempotent: true, retry: { attempts: 2, on: [14], backoff: { baseMs: 100, maxMs: 100 } } }),
      ],
    });
    mesh.apply({ v1: cluster('a') }, [to('v1')]);
    mesh.stack.backend('a').answer = (stream) => stream.fail(14);
    const call = mesh.call();
    mesh.apply({ v2: cluster('b') }, [to('v2')]);
    mesh.stack.advance(200);
    assert.equal(call.body.toString(), 'b');
  });

  it('rewrite nothing any more once they are gone, whatever the call had become', () => {
    mesh.close();
    const retry = { attempts: 2, on: [14], backoff: { baseMs: 100, maxMs: 100 } };
    mesh = new DiscoveredUpstream({ routes: [aRoute({ idempotent: true, retry })] });
    mesh.apply({ v1: cluster('a') }, [
      to('v1', { match: { prefix: '/old.S/', headers: [] }, rewrite: '/new.S/' }),
    ]);
    mesh.stack.backend('a').answer = (stream) => stream.fail(14);
    mesh.call({ path: '/old.S/M' });
    assert.equal(mesh.stack.backend('a').last.header(':path'), '/new.S/M');
    mesh.discover(['b']);
    mesh.stack.advance(200);
    assert.equal(mesh.stack.backend('b').last.header(':path'), '/old.S/M');
  });

  it('leave streams of a cluster that went alone', () => {
    mesh.close();
    mesh = new DiscoveredUpstream({ routes: [aStreamRoute()] });
    mesh.apply({ v1: cluster('a') }, [to('v1')]);
    mesh.stack.backend('a').answer = () => {};
    const stream = mesh.call({ body: null });
    const far = mesh.stack.backend('a').last;
    far.begin().data(Buffer.from('one'));
    mesh.apply({ v2: cluster('b') }, [to('v2')]);
    mesh.stack.settle(far.data(Buffer.from('two')).trailers(0));
    assert.equal(stream.body.toString(), 'onetwo');
    assert.equal(stream.status, 0);
    mesh.stack.settle(stream.reset(8));
  });

  it('show each cluster in the metrics, no label twice', () => {
    mesh.apply({ '': cluster('a'), v2: cluster('a', 'b') }, [
      to('', { match: { prefix: '/x.', headers: [] } }),
      to('v2'),
    ]);
    const families = metricsIn(mesh.stack, { outbounds: [mesh.out.outbound] });
    for (const { name, samples } of families) {
      const labels = samples.map((sample) => JSON.stringify(sample.labels));
      assert.equal(new Set(labels).size, labels.length, name);
    }
    const attempts = families.find(({ name }) => name === 'outrider_attempts_total')!;
    assert.deepEqual(
      attempts.samples.map(({ labels }) => [labels['cluster'], labels['endpoint']]),
      [
        [undefined, 'a:1'],
        ['v2', 'a:1'],
        ['v2', 'b:1'],
      ],
    );
  });

  it('keep to a subset of very many endpoints', () => {
    mesh.close();
    mesh = new DiscoveredUpstream({ pool: { maxEndpoints: 10 } });
    mesh.discover(Array.from({ length: 200 }, (_, i) => `e${i}`));
    assert.equal(mesh.out.cluster.endpoints.length, 10);
    const before = new Set(mesh.out.cluster.endpoints.map(({ id }) => id));
    mesh.discover(Array.from({ length: 201 }, (_, i) => `e${i}`));
    const fresh = mesh.out.cluster.endpoints.filter(({ id }) => !before.has(id));
    assert.ok(fresh.length <= 1);
    assert.equal(Object.keys(mesh.calls(20)).length, 10);
  });
});
