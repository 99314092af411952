/** Rules of the registry on real calls: by path, by metadata, by weight, sticky, limited; and changed while calls run. */
import assert from 'node:assert/strict';
import type { HeaderEdits } from '../../../sidecar/core/routing/header-edits.js';
import type { TrafficRoute } from '../../../sidecar/core/routing/route-match.js';
import type { ClusterSnapshot } from '../../../sidecar/discovery/snapshot.js';
import { resultOf } from '../../kit/scenario/counts.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { DiscoveredUpstream, endpoint } from '../../kit/scenario/discovered-upstream.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import { aRoute, aStreamRoute, type CallOptions, PATH, type UpstreamOptions } from '../../kit/stack/stack.js';

const SLOW_RETRY = { attempts: 2, on: [14], backoff: { baseMs: 100, maxMs: 100 } };

function cluster(...specs: string[]): ClusterSnapshot {
  return { endpoints: specs.map(endpoint) };
}

const under = (prefix: string): NonNullable<TrafficRoute['match']> => ({ prefix, headers: [] });

const session = (key: string): CallOptions => ({ metadata: [['x-session', key]] });

function to(name: string, over: Partial<TrafficRoute> = {}): TrafficRoute {
  return { split: [{ weight: 100, cluster: name }], ...over };
}

describe('Scenario: traffic rules', () => {
  let mesh: DiscoveredUpstream;
  const start = (over: UpstreamOptions): void => {
    mesh = new DiscoveredUpstream(over);
  };
  beforeEach(() => start({ routes: [aRoute()] }));
  /** A call without an answer ends between these times. */
  const endsBetween = (fromMs: number, toMs: number): void => {
    const call = mesh.call();
    mesh.stack.advance(fromMs);
    assert.ok(!call.isOver);
    mesh.stack.advance(toMs - fromMs);
    assert.equal(call.status, 4);
  };

  it('send calls by their path', () => {
    mesh.apply({ '': cluster('a'), health: cluster('h') }, [
      to('health', { match: under('/grpc.health.v1.Health/') }),
      to(''),
    ]);
    assert.deepEqual(mesh.calls(3, { path: '/grpc.health.v1.Health/Check' }), { h: 3 });
    assert.deepEqual(mesh.calls(3, { path: PATH }), { a: 3 });
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
    const split = Object.entries({ v1: 90, v2: 10 }).map(([name, weight]) => ({ weight, cluster: name }));
    mesh.apply({ v1: cluster('a'), v2: cluster('b') }, [{ split }]);
    const { a = 0, b = 0 } = mesh.calls(2000, {}, 0);
    assert.equal(a + b, 2000);
    // Four standard deviations of 2,000 draws at 0.1.
    assert.ok(Math.abs(b - 200) < 54, `${a} and ${b}`);
  });

  it('rewrite the path on its way out', () => {
    mesh.apply({ '': cluster('a') }, [
      to('', { match: under('/old.S/'), rewrite: '/new.S/' }),
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
    assert.deepEqual([refused.status, refused.reason], [12, 'unknown-route']);
  });

  it('change the headers of requests and responses, again for each attempt', () => {
    const requestHeaders: HeaderEdits = {
      remove: ['x-old'],
      set: [['x-tier', 'gold']],
      add: [['x-by', 'rule']],
    };
    const responseHeaders: HeaderEdits = { remove: [], set: [['x-seen', 'yes']], add: [] };
    const retry = { attempts: 2, on: [14] };
    mesh.apply({ '': cluster('a', 'b') }, [to('', { requestHeaders, responseHeaders, retry })]);
    mesh.stack.backend('a').answer = (stream) => stream.fail(14);
    for (let i = 0; i < 4; i++) {
      const metadata = [
        ['x-old', 'gone'],
        ['x-tier', 'iron'],
        ['x-n', String(i)],
      ] as const;
      const call = mesh.call({ metadata });
      mesh.stack.advance(100);
      assert.equal(call.status, 0);
      assert.equal(call.header('x-seen'), 'yes');
      const { last } = mesh.stack.backend('b');
      assert.deepEqual(
        ['x-old', 'x-tier', 'x-by', 'x-n'].map((name) => last.header(name)),
        [undefined, 'gold', 'rule', String(i)],
      );
    }
  });

  it('change the headers of one leg of a split only, beside those of the route', () => {
    const by = (value: string): HeaderEdits => ({ remove: [], set: [['x-by', value]], add: [] });
    const own = [{ weight: 1, cluster: 'v1' }];
    const split = [
      {
        weight: 1,
        cluster: 'v1',
        route: { split: own, requestHeaders: by('leg'), responseHeaders: by('leg') },
      },
      { weight: 1, cluster: 'v2' },
    ];
    mesh.apply({ v1: cluster('a'), v2: cluster('b') }, [{ split, requestHeaders: by('route') }]);
    const seen = new Set<string>();
    for (let i = 0; i < 40; i++) seen.add(String(mesh.call().header('x-by')));
    assert.deepEqual([...seen].sort(), ['leg', 'undefined'], 'of responses');
    const asked = ['a', 'b'].map((name) => mesh.stack.backend(name).last.header('x-by'));
    assert.deepEqual(asked, ['leg', 'route']);
  });

  it('end a silent stream where the file has no idle time of its own', () => {
    start({ routes: [aStreamRoute()] });
    mesh.apply({ '': cluster('a') }, [to('', { idleTimeoutMs: 400 })]);
    mesh.stack.backend('a').answer = () => {};
    const call = mesh.call();
    mesh.stack.advance(350);
    assert.ok(!call.isOver);
    mesh.stack.advance(100);
    assert.deepEqual([call.status, call.reason], [4, 'idle-timeout']);
  });

  it('eject by the bounds of the registry, unless the file has others', () => {
    for (const [consecutiveFaults, wanted] of [
      [5, 2],
      [4, 4],
    ] as const) {
      start({ routes: [aRoute()], ejection: { consecutiveFaults } });
      mesh.apply({ '': { ...cluster('a', 'b'), passiveHealth: { consecutiveFaults: 2 } } });
      mesh.stack.backend('a').answer = (stream) => stream.fail(13);
      let faults = 0;
      for (let i = 0; i < 40; i++) if (mesh.call().status === 13) faults++;
      assert.equal(faults, wanted);
    }
  });

  it('answer calls that no rule takes, and those whose cluster is not there', () => {
    mesh.apply({ '': cluster('a') }, [
      to('', { match: under('/a.B/') }),
      to('gone', { match: under('/c.D/') }),
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
    endsBetween(199, 209);
  });

  it('give way to the file where it speaks', () => {
    start({ routes: [aRoute({ timeoutMs: 500 })] });
    mesh.apply({ '': cluster('a') }, [to('', { timeoutMs: 200 })]);
    mesh.stack.backend('a').answer = () => {};
    endsBetween(400, 550);
  });

  it('refuse calls beyond what a cluster may have in flight', () => {
    mesh.apply({ '': { ...cluster('a'), maxInFlight: 2 } });
    const held: { reply(): unknown }[] = [];
    mesh.stack.backend('a').answer = (stream) => void held.push(stream);
    const calls = [mesh.call(), mesh.call(), mesh.call()];
    assert.deepEqual(calls.map(resultOf), ['not ended', 'not ended', '8 breaker-open']);
    for (const stream of held) stream.reply();
    mesh.stack.run();
    mesh.backend('a');
    assert.deepEqual(mesh.calls(1), { a: 1 });
  });

  it('keep calls of one key at one endpoint, loads permitting, and spread the others', () => {
    mesh.apply({ '': { ...cluster('a', 'b', 'c', 'd'), hashKey: 'x-session' } });
    const homes = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const shares = mesh.calls(5, session(`s${i}`));
      assert.equal(Object.values(shares)[0], 5, JSON.stringify(shares));
      homes.add(Object.keys(shares)[0]!);
    }
    assert.equal(homes.size, 4);
    assert.equal(Object.keys(mesh.calls(50)).length, 4);
    const [home] = Object.keys(mesh.calls(1, session('kept')));
    const other = ['a', 'b', 'c', 'd'].find((name) => name !== home)!;
    mesh.stack.settle(mesh.stack.kill(other));
    assert.deepEqual(mesh.calls(5, session('kept')), { [home!]: 5 });
    mesh.stack.settle(mesh.stack.kill(home!));
    const moved = mesh.calls(5, session('kept'));
    assert.equal(Object.values(moved)[0], 5, JSON.stringify(moved));
  });

  it('stick by the file’s own key too', () => {
    start({ balance: { kind: 'ring-hash', key: 'x-session' } });
    mesh.discover(['a', 'b', 'c']);
    for (let i = 0; i < 10; i++) assert.equal(Object.values(mesh.calls(4, session(`s${i}`)))[0], 4);
  });

  it('stick by it from the first call on where the file names the endpoints', () => {
    const pool = new DetectorPool(['a', 'b', 'c'], { balance: { kind: 'ring-hash', key: 'x-session' } });
    const homes = new Set<string>();
    for (let i = 0; i < 10; i++) {
      const shares = pool.load(4, 10, session(`s${i}`));
      assert.equal(Object.values(shares)[0], 4, JSON.stringify(shares));
      homes.add(Object.keys(shares)[0]!);
    }
    assert.equal(homes.size, 3);
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
    start({ routes: [aRoute({ idempotent: true, retry: SLOW_RETRY })] });
    mesh.apply({ v1: cluster('a') }, [to('v1')]);
    mesh.stack.backend('a').answer = (stream) => stream.fail(14);
    const call = mesh.call();
    mesh.apply({ v2: cluster('b') }, [to('v2')]);
    mesh.stack.advance(200);
    assert.equal(call.body.toString(), 'b');
  });

  it('rewrite nothing any more once they are gone, whatever the call had become', () => {
    start({ routes: [aRoute({ idempotent: true, retry: SLOW_RETRY })] });
    mesh.apply({ v1: cluster('a') }, [to('v1', { match: under('/old.S/'), rewrite: '/new.S/' })]);
    mesh.stack.backend('a').answer = (stream) => stream.fail(14);
    mesh.call({ path: '/old.S/M' });
    assert.equal(mesh.stack.backend('a').last.header(':path'), '/new.S/M');
    mesh.discover(['b']);
    mesh.stack.advance(200);
    assert.equal(mesh.stack.backend('b').last.header(':path'), '/old.S/M');
  });

  it('leave streams of a cluster that went alone', () => {
    start({ routes: [aStreamRoute()] });
    mesh.apply({ v1: cluster('a') }, [to('v1')]);
    mesh.stack.backend('a').answer = () => {};
    const stream = mesh.call({ body: null });
    const far = mesh.stack.backend('a').last;
    far.begin().data(Buffer.from('one'));
    mesh.apply({ v2: cluster('b') }, [to('v2')]);
    mesh.stack.settle(far.data(Buffer.from('two')).trailers(0));
    assert.deepEqual([stream.status, stream.body.toString()], [0, 'onetwo']);
    mesh.stack.settle(stream.reset(8));
  });

  it('show each cluster in the metrics, no label twice', () => {
    mesh.apply({ '': cluster('a'), v2: cluster('a', 'b') }, [to('', { match: under('/x.') }), to('v2')]);
    const families = metricsIn(mesh.stack, { outbounds: [mesh.out.outbound.state] });
    for (const { name, samples } of families) {
      const labels = samples.map((sample) => JSON.stringify(sample.labels));
      assert.equal(new Set(labels).size, labels.length, name);
    }
    const attempts = families.find(({ name }) => name === 'outrider_attempts_total')!;
    const shown = attempts.samples.map(({ labels }) => `${labels['cluster']} ${labels['endpoint']}`);
    assert.deepEqual(shown, ['undefined a:1', 'v2 a:1', 'v2 b:1']);
  });

  it('keep to a subset of very many endpoints', () => {
    start({ pool: { maxEndpoints: 10 } });
    mesh.discover(Array.from({ length: 200 }, (_, i) => `e${i}`));
    assert.equal(mesh.out.cluster.endpoints.length, 10);
    const before = new Set(mesh.out.cluster.endpoints.map(({ id }) => id));
    mesh.discover(Array.from({ length: 201 }, (_, i) => `e${i}`));
    const fresh = mesh.out.cluster.endpoints.filter(({ id }) => !before.has(id));
    assert.ok(fresh.length <= 1);
    assert.equal(Object.keys(mesh.calls(20)).length, 10);
  });
});
