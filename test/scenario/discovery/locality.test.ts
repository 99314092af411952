/** Endpoints of the sidecar's own locality go first; the others help out when too few of them are left. */
import assert from 'node:assert/strict';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { anUpstream, aSafeRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const LOCALITY = { own: 'here', spillBelow: 0.7 };

describe('Scenario: locality', () => {
  let pool: DetectorPool;
  afterEach(() => pool.close());

  /** `h…` are here, `t…` are there; those of `later` have the second priority. */
  const open = (
    names: readonly string[],
    over: UpstreamOptions = {},
    later: readonly string[] = [],
    placeOf = (id: string): string => (id.startsWith('h') ? 'here' : 'there'),
  ): void => {
    pool = new DetectorPool(names, over);
    const config = anUpstream(names, { locality: LOCALITY, ...over });
    const endpoints = config.endpoints.map((each) => ({
      ...each,
      locality: placeOf(each.id),
      priority: later.includes(each.id) ? 1 : 0,
    }));
    pool.settle(pool.out.outbound.state.update({ ...config, endpoints }));
  };
  const kill = (name: string): void => pool.settle(pool.kill(name));

  for (const kind of ['round-robin', 'least-loaded', 'ring-hash'] as const) {
    const balance = kind === 'ring-hash' ? { kind, key: 'user' } : { kind };

    it(`keeps the calls near while enough are there, spills when they become few, and all when none is left (${kind})`, () => {
      open(['h1', 'h2', 't1', 't2'], { balance });
      const near = (found: Record<string, number>): number => (found['h1'] ?? 0) + (found['h2'] ?? 0);
      assert.equal(near(pool.load(60)), 60);
      assert.equal(pool.report('t1').state, 'standby');
      assert.match(pool.report('t1').why, /locality/);
      kill('h2');
      // Half of them are left, of the 0.7 asked for: 0.5 / 0.7 of the calls stay.
      const left = near(pool.load(400));
      assert.ok(left > 230 && left < 340, `${left} of 400`);
      kill('h1');
      const gone = pool.load(60);
      assert.equal((gone['t1'] ?? 0) + (gone['t2'] ?? 0), 60);
    });
  }

  it('another attempt goes far when all near by have failed it', () => {
    open(['h1', 't1'], { routes: [aSafeRoute()] });
    pool.fails('h1');
    const found = pool.load(4);
    assert.deepEqual(found, { t1: 4 });
    assert.equal(pool.backend('h1').requests.length, 4);
  });

  it('counts within each priority', () => {
    open(['h1', 't1', 'h2'], {}, ['h2']);
    assert.deepEqual(pool.load(10), { h1: 10 });
    kill('h1');
    assert.deepEqual(pool.load(10), { t1: 10 }, 'a far one of this priority before a near one of the next');
    kill('t1');
    assert.deepEqual(pool.load(10), { h2: 10 });
  });

  describe('by region and zone', () => {
    const own = { locality: { own: 'eu/a', spillBelow: 0.7 } };
    /** `a…` are in our zone, `b…` in another of our region, `x…` in another region. */
    const placeOf = (id: string): string => (id.startsWith('x') ? 'us/a' : `eu/${id[0]}`);
    /** Calls by zone. */
    const byZone = (calls: number): Record<string, number> => {
      const found: Record<string, number> = { a: 0, b: 0, x: 0 };
      for (const [name, n] of Object.entries(pool.load(calls))) found[name[0]!]! += n;
      return found;
    };
    const openZones = (...names: string[]): void => open(names, own, [], placeOf);

    it('nothing spills while all are healthy, though other zones have more of them', () => {
      openZones('a1', 'a2', 'b1', 'b2', 'b3', 'b4', 'x1', 'x2', 'x3');
      assert.deepEqual(byZone(200), { a: 200, b: 0, x: 0 });
    });

    it('the region goes before other regions, and takes what the zone no longer can', () => {
      openZones('a1', 'a2', 'b1', 'b2', 'x1', 'x2');
      kill('a1');
      const left = byZone(400);
      assert.ok(left['a']! > 230 && left['a']! < 340, `${left['a']} of 400`);
      assert.equal(left['x'], 0);
      kill('a2');
      assert.deepEqual(byZone(60), { a: 0, b: 60, x: 0 });
      kill('b1');
      const third = byZone(400);
      assert.ok(third['b']! > 230 && third['b']! < 340, `${third['b']} of 400`);
      kill('b2');
      assert.deepEqual(byZone(60), { a: 0, b: 0, x: 60 });
    });

    it('one endpoint of the region does not get all that four of the zone leave', () => {
      openZones('a1', 'a2', 'a3', 'a4', 'b1', 'x1', 'x2', 'x3', 'x4');
      for (const name of ['a1', 'a2', 'a3']) kill(name);
      // One of four is left: 0.25 / 0.7 of the calls; the one of the region takes as many, the others the rest.
      const { a, b, x } = byZone(600);
      for (const [name, calls, share] of [
        ['a', a, 0.357],
        ['b', b, 0.357],
        ['x', x, 0.286],
      ] as const)
        assert.ok(Math.abs(calls! / 600 - share) < 0.08, `${name}: ${calls} of 600`);
    });

    it('a pool of two, one in each zone: each is all of its zone', () => {
      openZones('a1', 'b1');
      assert.deepEqual(byZone(40), { a: 40, b: 0, x: 0 });
      kill('a1');
      assert.deepEqual(byZone(40), { a: 0, b: 40, x: 0 });
    });

    it('in panic, when most have failed, calls stay where the endpoints are', () => {
      openZones('a1', 'a2', 'a3', 'x1');
      for (const name of ['a1', 'a2', 'a3', 'x1']) pool.fails(name);
      pool.load(120);
      const calls = (...names: string[]) =>
        names.map((name) => pool.backend(name).requests.length).reduce((sum, n) => sum + n);
      const [zone, other] = [calls('a1', 'a2', 'a3'), calls('x1')];
      assert.ok(zone > 60, `${zone} of 120 in the zone, ${other} elsewhere`);
    });

    it('an own place that only the registry knows is preferred from then on, and all are alike before', () => {
      const names = ['a1', 'x1'];
      const locality = { spillBelow: 0.7 };
      const consul = { service: 'digits', tags: [], meta: {}, failover: [] };
      open(names, { locality, consul }, [], placeOf);
      assert.deepEqual(byZone(40), { a: 20, b: 0, x: 20 });
      const { endpoints } = anUpstream(names, {});
      const placed = endpoints.map((each) => ({ ...each, locality: placeOf(each.id) }));
      const clusters = new Map([['', { endpoints: placed, ownPlace: 'eu/a' }]]);
      pool.settle(
        pool.out.outbound.state.apply({ routes: [{ split: [{ weight: 1, cluster: '' }] }], clusters }),
      );
      assert.deepEqual(byZone(40), { a: 40, b: 0, x: 0 });
    });
  });

  it('takes all endpoints alike where none is near', () => {
    open(['t1', 't2']);
    assert.deepEqual(pool.load(10), { t1: 5, t2: 5 });
  });
});
