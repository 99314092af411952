import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Balancer, EndpointLoad } from '../../../../sidecar/core/balancing/balancer.js';
import { canPick, hasUntried } from '../../../../sidecar/core/balancing/balancer.js';
import type { BalancerKind } from '../../../../sidecar/core/balancing/balancers.js';
import {
  BALANCER_KINDS,
  BALANCERS,
  type BalancerEntry,
  makeBalancer,
} from '../../../../sidecar/core/balancing/balancers.js';
import { mix } from '../../../../sidecar/core/balancing/hash.js';
import { about, endpoint, shares } from '../../../kit/core/endpoints.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { seeded } from '../../../kit/time/seeded-random.js';

for (const kind of BALANCER_KINDS) {
  const create = (seed = 11): Balancer => makeBalancer(kind, seeded(seed));

  describe(`The ${kind} balancer, like every balancer,`, () => {
    it('has no answer for an empty pool, and none when no endpoint is eligible', () => {
      assert.equal(create().pick([], [], 0), undefined);
      const out = endpoint({ eligible: false });
      assert.equal(create().pick([out, endpoint({ weight: 0 })], [], 0), undefined);
      assert.equal(create().pick([out], [out], 0), undefined);
    });

    it('picks the only eligible endpoint', () => {
      const only = endpoint({ inFlight: 500, latencyMs: 9_000 });
      const pool = [endpoint({ eligible: false }), only, endpoint({ weight: 0 })];
      for (let i = 0; i < 100; i += 1) assert.equal(create().pick(pool, [], 0), only);
    });

    it('goes to an endpoint not tried yet, and back only when all have been', () => {
      const [a, b] = [endpoint(), endpoint({ inFlight: 1_000, latencyMs: 9_000 })];
      const [c, balancer] = [endpoint({ eligible: false }), create()];
      for (let i = 0; i < 100; i += 1) {
        assert.equal(balancer.pick([a, b, c], [a], 0), b);
        assert.ok([a, b].includes(balancer.pick([a, b, c], [a, b], 0)!));
      }
    });

    it('uses every endpoint of an idle pool of equals about equally', () => {
      for (const count of [2, 3, 8]) {
        const pool = Array.from({ length: count }, () => endpoint({ latencyMs: 10 }));
        for (const share of shares(create(), pool, 10_000))
          about(share, 1 / count, kind === 'ring-hash' ? 0.1 : 0.03);
      }
    });

    it('shares by weight while nothing is in flight', () => {
      const [light, heavy] = shares(create(), [endpoint({ weight: 1 }), endpoint({ weight: 3 })], 10_000);
      about(light!, 0.25, 0.12);
      about(heavy!, 0.75, 0.12);
    });

    it('gives a slowed endpoint its share and no more, though it has nothing to do', () => {
      const pool = [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 10, weightFactor: 0.1 })];
      const balancer = create();
      balancer.reweighed?.();
      const [full, slowed] = shares(balancer, pool, 10_000);
      about(full!, 1 / 1.1, 0.05);
      about(slowed!, 0.1 / 1.1, 0.05);
      pool[0]!.inFlight = 3;
      assert.ok(shares(create(), pool, 2_000)[1]! < 0.25, 'being idle earns it nothing');
    });

    it('uses a slowed endpoint when it is alone', () => {
      const pool = [endpoint({ weightFactor: 0.1 }), endpoint({ eligible: false })];
      for (let i = 0; i < 50; i += 1) assert.equal(create().pick(pool, [], 0, mix(i)), pool[0]);
    });

    it('never returns an ineligible endpoint, nor a tried one while another is left, and finds one when there is', () => {
      const spec = fc.record({
        eligible: fc.boolean(),
        weight: fc.constantFrom(0, 0.5, 1, 1, 1, 7),
        inFlight: fc.nat(20),
        latencyMs: fc.double({ min: 0.1, max: 5_000, noNaN: true }),
        tried: fc.boolean(),
      });
      fc.assert(
        fc.property(fc.array(spec, { maxLength: 40 }), fc.nat(), (specs, seed) => {
          const pool = specs.map(endpoint);
          const tried = pool.filter((_, i) => specs[i]!.tried);
          const may = pool.filter(({ eligible, weight }) => eligible && weight > 0);
          const untried = may.filter((load) => !tried.includes(load));
          const balancer = create(seed);
          assert.equal(hasUntried(pool, tried), untried.length > 0);
          for (let i = 0; i < 20; i += 1) {
            const picked = balancer.pick(pool, tried, i * 37);
            if (may.length === 0) assert.equal(picked, undefined);
            else assert.ok((untried.length > 0 ? untried : may).includes(picked!));
          }
        }),
      );
    });
  });
}

describe('BALANCERS', () => {
  it('takes a new policy as one entry of the table, and a cluster that names it picks by it', () => {
    /** Always the last endpoint that may be picked. */
    class LastOf implements Balancer {
      pick<E extends EndpointLoad>(endpoints: readonly E[], tried: readonly EndpointLoad[]): E | undefined {
        return endpoints.findLast((each) => canPick(each, tried));
      }
    }
    const table: Record<string, BalancerEntry> = BALANCERS;
    table['last-of'] = { readsReports: false, make: () => new LastOf(), meaning: 'the last' };
    afterTest(() => delete table['last-of']);
    const balancer = makeBalancer('last-of' as BalancerKind, seeded(1));
    const pool = [endpoint(), endpoint(), endpoint({ eligible: false })];
    assert.deepEqual(shares(balancer, pool, 10), [0, 1, 0]);
    assert.equal(balancer.pick(pool, [pool[1]!], 0), pool[0]);
  });

  it('has the default policy first', () => assert.equal(BALANCER_KINDS[0], 'least-loaded'));
});
