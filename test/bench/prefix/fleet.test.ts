/** The model of engines that `npm run bench -- prefix` uses. */
import assert from 'node:assert/strict';
import { makeBalancer } from '../../../sidecar/core/balancing/balancers.js';
import { Agenda } from '../../kit/time/agenda.js';
import { seeded } from '../../kit/time/seeded-random.js';
import { BlockCache, CACHE_BLOCK, cacheKeys } from './block-cache.js';
import { ENGINE, Engine } from './engine.js';
import { type FleetFigures, type Policy, runFleet } from './fleet.js';
import { WORKLOADS } from './workloads.js';

const idsOf = (seed: number, count: number): Uint32Array => {
  const random = seeded(seed);
  return Uint32Array.from({ length: count }, () => Math.floor(random() * 100_000));
};

describe('BlockCache', () => {
  const keysOf = (seed: number, blocks: number): Float64Array =>
    cacheKeys(idsOf(seed, blocks * CACHE_BLOCK), blocks * CACHE_BLOCK);
  /** A call that computes all of its blocks. */
  const use = (cache: BlockCache, keys: Float64Array): boolean => {
    const matched = cache.match(keys);
    if (!cache.take(keys, matched, keys.length - matched)) return false;
    for (const key of keys.subarray(matched)) cache.name(key);
    cache.free([...keys], 0);
    return true;
  };

  it('finds blocks until others need their place, those first that are unused for longest', () => {
    const cache = new BlockCache(30);
    const [one, two, three] = [keysOf(1, 10), keysOf(2, 10), keysOf(3, 15)] as const;
    for (const keys of [one, two, one]) assert.ok(use(cache, keys));
    assert.deepEqual([cache.match(one), cache.match(two)], [10, 10]);
    assert.ok(use(cache, three));
    assert.deepEqual([cache.match(one), cache.match(two), cache.match(three)], [10, 5, 15]);
  });

  it('has no room for more blocks than there are besides those in use', () => {
    const cache = new BlockCache(30);
    assert.ok(cache.take(keysOf(1, 20), 0, 20));
    assert.ok(!cache.take(keysOf(2, 11), 0, 11));
    assert.ok(cache.take(keysOf(2, 10), 0, 10));
  });
});

describe('The model of an engine', () => {
  /** When each of these calls, which come at 0 ms, gets its first token and ends, and what of it was cached. */
  const run = (calls: readonly { readonly ids: Uint32Array; readonly promptTokens: number }[]) => {
    const agenda = new Agenda();
    let nowMs = 0;
    const engine = new Engine(agenda, () => nowMs);
    const ends = calls.map(() => ({ firstMs: 0, endMs: 0, cached: -1 }));
    let left = calls.length;
    calls.forEach(({ ids, promptTokens }, i) => {
      const end = ends[i]!;
      const onFirstToken = (): void => void Object.assign(end, { firstMs: nowMs });
      const onEnd = (cached: number): void => {
        Object.assign(end, { endMs: nowMs, cached });
        left -= 1;
      };
      engine.add({ ids, promptTokens, onFirstToken, onEnd });
    });
    while (left > 0) {
      const { atMs, happen } = agenda.take();
      nowMs = atMs;
      happen();
    }
    return ends;
  };

  it('computes a prompt in chunks, then a token a step, and what is cached not again', () => {
    const { stepMs, prefillMs, decodeMs, stepTokens } = ENGINE;
    const ids = idsOf(1, stepTokens + 100 + 10);
    const call = { ids, promptTokens: stepTokens + 100 };
    const [first] = run([call]);
    const expected = 2 * stepMs + (stepTokens + 100) * prefillMs;
    assert.ok(Math.abs(first!.firstMs - expected) < 1e-6, `${first!.firstMs}`);
    assert.ok(Math.abs(first!.endMs - expected - 10 * (stepMs + decodeMs)) < 1e-6, `${first!.endMs}`);
    assert.equal(first!.cached, 0);
  });

  it('has a call wait while all places are taken', () => {
    const calls = Array.from({ length: ENGINE.places + 1 }, (_, i) => ({
      ids: idsOf(i, 40),
      promptTokens: 20,
    }));
    const ends = run(calls);
    const firstEndMs = Math.min(...ends.slice(0, -1).map(({ endMs }) => endMs));
    assert.ok(ends.at(-1)!.firstMs > firstEndMs);
  });
});

describe('Engines in simulated time', () => {
  const policies = {
    spread: { name: 'spread', by: 'nothing', make: (random) => makeBalancer('least-loaded', random) },
    prefix: {
      name: 'prefix',
      by: 'prompt',
      make: (random) => makeBalancer('prefix', random, { cacheTokens: ENGINE.cacheTokens }),
    },
  } satisfies Record<string, Policy>;
  const run = (workload: string, policy: Policy, forMs: number): FleetFigures =>
    runFleet({
      ...{ workload: WORKLOADS.find(({ name }) => name === workload)!, policy, engines: 4, callers: 1 },
      ...{ forMs, warmMs: forMs / 2, seed: 3, load: 0.2 },
    });

  it('have more of shared prompts in their caches where a prompt goes to the engine that has its beginning', () => {
    const [spread, prefix] = [run('shared', policies.spread, 40_000), run('shared', policies.prefix, 40_000)];
    assert.ok(prefix.cached > prefix.ideal - 0.02, `${prefix.cached} of ${prefix.ideal}`);
    assert.ok(prefix.cached > spread.cached + 0.03, `${prefix.cached}, ${spread.cached}`);
    assert.ok(prefix.ttftP99Ms < spread.ttftP99Ms, `${prefix.ttftP99Ms} ms, ${spread.ttftP99Ms} ms`);
    assert.ok(prefix.maxOverMean < 1.4, `${prefix.maxOverMean}`);
  });

  it('get the same calls, at the same engines, where no two prompts begin alike', () => {
    const [spread, prefix] = [
      run('unshared', policies.spread, 5_000),
      run('unshared', policies.prefix, 5_000),
    ];
    assert.deepEqual([prefix.cached, prefix.ideal], [0, 0]);
    assert.deepEqual(prefix, spread);
  });
});
