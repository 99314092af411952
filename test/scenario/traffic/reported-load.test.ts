/** What callers gain by load reports, and what one that lies can do. */
import assert from 'node:assert/strict';
import type { SaidLoad } from '../../../sidecar/core/balancing/reported-load.js';
import {
  EIGHT_CALLERS,
  gapClosed,
  type Knowledge,
  type SharedReplicas,
  shareReplicas,
} from '../../kit/scenario/shared-replicas.js';

const SEEDS = [1, 2, 3];

function meanP99Ms(knowledge: Knowledge, over: Partial<SharedReplicas> = {}): number {
  const runs = SEEDS.map((seed) =>
    shareReplicas({ ...EIGHT_CALLERS, forMs: 600_000, seed, knowledge, ...over }),
  );
  return runs.reduce((sum, { p99Ms }) => sum + p99Ms, 0) / runs.length;
}

describe('Scenario: eight callers share four replicas, and runs take from 1 ms to 2 s', () => {
  for (const concurrency of [1, 2, 4])
    it(`with ${concurrency} at once, reports close at least 60 % of the gap in p99 wait to perfect knowledge`, () => {
      const [own, reported, perfect] = (['own', 'reported', 'perfect'] as const).map((knowledge) =>
        meanP99Ms(knowledge, { concurrency }),
      ) as [number, number, number];
      const closed = gapClosed(own, reported, perfect);
      assert.ok(own > 1.2 * perfect, `there is a gap: ${own} and ${perfect} ms`);
      assert.ok(closed >= 0.6, `${closed}: ${own}, ${reported}, ${perfect} ms`);
    });

  it('64 callers of 16 replicas do not run to the same one', () => {
    const many = { callers: 64, replicas: 16, concurrency: 8, forMs: 60_000 };
    assert.ok(meanP99Ms('reported', many) < 0.8 * meanP99Ms('own', many));
  });

  for (const [what, lie] of [
    ['no calls, always', (said: SaidLoad) => ({ ...said, calls: 0 })],
    ['nothing that can be read', () => undefined],
    [
      'a thousand times what it can run',
      (said: SaidLoad) => ({ ...said, concurrency: said.concurrency * 1_000 }),
    ],
    ['two calls, always', (said: SaidLoad) => ({ ...said, calls: 2 })],
    ['runs of no time', (said: SaidLoad) => ({ ...said, calls: 0, runMs: 0 })],
  ] as const)
    it(`a replica that reports ${what} gets at most twice its share, and the others are used`, () => {
      for (const concurrency of [1, 4]) {
        const { shares } = shareReplicas({
          ...EIGHT_CALLERS,
          ...{ concurrency, utilization: 0.6, forMs: 300_000, seed: 1, knowledge: 'reported', lie },
        });
        assert.ok(shares[0]! < 2, `${shares}`);
        for (const share of shares.slice(1)) assert.ok(share > 0.6, `${shares}`);
      }
    });
});
