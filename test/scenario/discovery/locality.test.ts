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
  ): void => {
    pool = new DetectorPool(names, over);
    const config = anUpstream(names, { locality: LOCALITY, ...over });
    const endpoints = config.endpoints.map((each) => ({
      ...each,
      locality: each.id.startsWith('h') ? 'here' : 'there',
      priority: later.includes(each.id) ? 1 : 0,
    }));
    pool.settle(pool.out.outbound.update({ ...config, endpoints }));
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

  it('takes all endpoints alike where none is near', () => {
    open(['t1', 't2']);
    assert.deepEqual(pool.load(10), { t1: 5, t2: 5 });
  });
});
