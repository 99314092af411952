import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type Balancer,
  EndpointLoad,
  hasUntried,
  LeastLoaded,
  RoundRobin,
} from '../../../../sidecar/core/balancing/balancer.js';
import { mix } from '../../../../sidecar/core/balancing/hash.js';
import { RingHash } from '../../../../sidecar/core/balancing/ring-hash.js';
import { seeded, sequence } from '../../../kit/time/seeded-random.js';

interface Spec {
  readonly weight?: number;
  readonly eligible?: boolean;
  readonly inFlight?: number;
  readonly latencyMs?: number;
  readonly damping?: number;
}

let labels = 0;

function endpoint({
  weight = 1,
  eligible = true,
  inFlight = 0,
  latencyMs,
  damping = 1,
}: Spec = {}): EndpointLoad {
  const load = new EndpointLoad();
  load.weight = weight;
  load.eligible = eligible;
  load.inFlight = inFlight;
  load.weightFactor = damping;
  load.label = `e${labels++}`;
  if (latencyMs !== undefined) load.latency.record(latencyMs, 0);
  return load;
}

/** How often each endpoint is picked in `picks` picks with nothing in flight. */
function shares(balancer: Balancer, endpoints: readonly EndpointLoad[], picks: number): number[] {
  const counts = endpoints.map(() => 0);
  for (let i = 0; i < picks; i += 1) {
    const picked = balancer.pick(endpoints, [], 0, mix(i))!;
    counts[endpoints.indexOf(picked)]! += 1;
  }
  return counts.map((count) => count / picks);
}

const about = (actual: number, expected: number, slack = 0.03): void =>
  assert.ok(Math.abs(actual - expected) < slack, `${actual}, not about ${expected}`);

const BALANCERS: Readonly<Record<string, () => Balancer>> = {
  LeastLoaded: () => new LeastLoaded(seeded(11)),
  RoundRobin: () => new RoundRobin(),
  RingHash: () => new RingHash(seeded(11)),
};

for (const [name, create] of Object.entries(BALANCERS)) {
  describe(`${name}, as every balancer`, () => {
    it('has no answer for an empty pool, and none when nobody is eligible', () => {
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
      const [a, b, c] = [
        endpoint(),
        endpoint({ inFlight: 1_000, latencyMs: 9_000 }),
        endpoint({ eligible: false }),
      ];
      const balancer = create();
      for (let i = 0; i < 100; i += 1) {
        assert.equal(balancer.pick([a, b, c], [a], 0), b);
        assert.ok([a, b].includes(balancer.pick([a, b, c], [a, b], 0)!));
      }
    });

    it('uses every endpoint of an idle pool of equals about equally', () => {
      for (const count of [2, 3, 8]) {
        const pool = Array.from({ length: count }, () => endpoint({ latencyMs: 10 }));
        for (const share of shares(create(), pool, 10_000))
          about(share, 1 / count, name === 'RingHash' ? 0.1 : 0.03);
      }
    });

    it('shares by weight while nothing is in flight', () => {
      const [light, heavy] = shares(create(), [endpoint({ weight: 1 }), endpoint({ weight: 3 })], 10_000);
      about(light!, 0.25, 0.12);
      about(heavy!, 0.75, 0.12);
    });

    it('gives a damped endpoint its share and no more, though it has nothing to do', () => {
      const pool = [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 10, damping: 0.1 })];
      const balancer = create();
      balancer.reweighed?.();
      const [full, damped] = shares(balancer, pool, 10_000);
      about(full!, 1 / 1.1, 0.05);
      about(damped!, 0.1 / 1.1, 0.05);
      pool[0]!.inFlight = 3;
      pool[1]!.inFlight = 0;
      assert.ok(shares(create(), pool, 2_000)[1]! < 0.25, 'being idle earns it nothing');
    });

    it('uses a damped endpoint when it is alone', () => {
      const pool = [endpoint({ damping: 0.1 }), endpoint({ eligible: false })];
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
          const balancer = name === 'LeastLoaded' ? new LeastLoaded(seeded(seed)) : create();
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

describe('LeastLoaded', () => {
  it('prefers the less loaded of two equals', () => {
    const [idle, busy] = [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 10, inFlight: 1 })];
    assert.deepEqual(shares(new LeastLoaded(seeded(1)), [idle, busy], 200), [1, 0]);
  });

  it('compares two different endpoints, each as often as any other', () => {
    for (const position of [0, 1, 2]) {
      const pool = [0, 1, 2].map((i) => endpoint({ latencyMs: 10, inFlight: i === position ? 0 : 5 }));
      about(shares(new LeastLoaded(seeded(4)), pool, 20_000)[position]!, 2 / 3, 0.02);
    }
  });

  it('draws every pair as often as any other, with some out of the pool too', () => {
    for (const out of [[], [4], [0, 3, 7, 9, 10, 11]]) {
      const pool = Array.from({ length: 12 }, (_, i) =>
        endpoint({ latencyMs: 2 ** i, eligible: !out.includes(i) }),
      );
      const inOrder = pool.map((_, i) => i).filter((i) => !out.includes(i));
      const n = inOrder.length;
      const picks = 60_000;
      const found = shares(new LeastLoaded(seeded(17)), pool, picks);
      // The better of two: the k-th best wins against the n − 1 − k behind it.
      const chiSquare = inOrder.reduce((sum, i, k) => {
        const expected = (2 * (n - 1 - k)) / (n * (n - 1));
        return expected === 0 ? sum : sum + (picks * (found[i]! - expected) ** 2) / expected;
      }, 0);
      assert.equal(found[inOrder[n - 1]!], 0, 'an endpoint is not compared with itself');
      assert.ok(chiSquare < 31, `${chiSquare} of ${n - 2} degrees of freedom`);
    }
  });

  it('draws from any first state, and asks for chance only once', () => {
    for (const first of [0, 0.25, 1 - 2 ** -53]) {
      const pool = [endpoint(), endpoint(), endpoint(), endpoint()];
      for (const share of shares(new LeastLoaded(sequence(first)), pool, 10_000)) about(share, 0.25);
    }
  });

  it('prefers the faster of two idle ones, and leaves near equals to chance', () => {
    const of = (ms: number): number =>
      shares(
        new LeastLoaded(seeded(1)),
        [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: ms })],
        2_000,
      )[0]!;
    assert.equal(of(20), 1);
    about(of(11), 0.5, 0.05);
  });

  it('compares latency × (in flight + 1)', () => {
    const balancer = new LeastLoaded(seeded(1));
    const [fast, slow] = [endpoint({ latencyMs: 10, inFlight: 5 }), endpoint({ latencyMs: 40 })];
    balancer.pick([fast, slow], [], 0);
    assert.equal(balancer.cost(fast, 0), 60);
    assert.equal(balancer.cost(slow, 0), 40);
  });

  it('keeps the load in proportion to weight under load', () => {
    const pool = [endpoint({ weight: 1, latencyMs: 10 }), endpoint({ weight: 3, latencyMs: 10 })];
    const balancer = new LeastLoaded(seeded(5));
    for (let i = 0; i < 400; i += 1) balancer.pick(pool, [], 0)!.inFlight += 1;
    about(pool[1]!.inFlight / 400, 0.75, 0.05);
  });

  it('neither floods nor starves a new endpoint among peers', () => {
    const pool = [endpoint({ latencyMs: 40 }), endpoint({ latencyMs: 50 }), endpoint()];
    const balancer = new LeastLoaded(seeded(3));
    for (let i = 0; i < 90; i += 1) balancer.pick(pool, [], 0)!.inFlight += 1;
    const fresh = pool[2]!.inFlight;
    assert.ok(fresh >= 20 && fresh <= 40, `${fresh} of 90`);
  });

  it('does not let one slow peer make a new endpoint look fast or slow', () => {
    const pool = [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 5_000 }), endpoint()];
    const balancer = new LeastLoaded(seeded(3));
    balancer.pick(pool, [], 0);
    assert.ok(balancer.neutral > 10 && balancer.neutral < 30, `${balancer.neutral}`);
  });

  it('gives an endpoint that fails fast less traffic, not more', () => {
    const pool = [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 10 })];
    const balancer = new LeastLoaded(seeded(3));
    balancer.pick(pool, [], 0);
    pool[0]!.latency.recordFault(0.2, balancer.neutral, 0);
    assert.deepEqual(shares(balancer, pool, 100), [0, 1]);
  });

  it('gives a new endpoint whose first call fails fast less traffic than its peers', () => {
    const pool = [endpoint({ latencyMs: 20 }), endpoint()];
    const balancer = new LeastLoaded(seeded(3));
    assert.equal(pool[1]!.usualMs, 0);
    balancer.pick(pool, [], 0);
    assert.equal(pool[1]!.usualMs, 20);
    pool[1]!.latency.recordFault(0.2, pool[1]!.usualMs, 0);
    assert.deepEqual(shares(balancer, pool, 100), [1, 0]);
  });

  it('comes back to an endpoint it has shunned, in time', () => {
    const pool = [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 5_000 })];
    const balancer = new LeastLoaded(seeded(3));
    let firstMs = 0;
    for (let nowMs = 0; nowMs < 300_000 && firstMs === 0; nowMs += 100) {
      const picked = balancer.pick(pool, [], nowMs)!;
      if (picked === pool[1]) firstMs = nowMs;
      else picked.latency.record(10, nowMs);
    }
    assert.ok(firstMs > 10_000 && firstMs < 120_000, `after ${firstMs} ms`);
  });

  it('sends most calls to the fast ones when one of three is slow', () => {
    const pool = [endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 10 }), endpoint({ latencyMs: 100 })];
    const [, , slow] = shares(new LeastLoaded(seeded(9)), pool, 5_000);
    assert.equal(slow, 0);
  });
});

describe('RoundRobin', () => {
  it('gives each its exact share in every full turn, spread evenly', () => {
    const pool = [endpoint({ weight: 5 }), endpoint({ weight: 1 }), endpoint({ weight: 1 })];
    const balancer = new RoundRobin();
    const turn = Array.from({ length: 7 }, () => pool.indexOf(balancer.pick(pool, [], 0)!));
    assert.deepEqual(turn, [0, 0, 1, 0, 2, 0, 0]);
    const next = Array.from({ length: 7 }, () => pool.indexOf(balancer.pick(pool, [], 0)!));
    assert.deepEqual(next, turn);
  });

  it('goes on evenly when an endpoint leaves', () => {
    const pool = [endpoint(), endpoint(), endpoint()];
    const balancer = new RoundRobin();
    balancer.pick(pool, [], 0);
    pool[0]!.eligible = false;
    const [, b, c] = shares(balancer, pool, 100);
    assert.deepEqual([b, c], [0.5, 0.5]);
  });
});
