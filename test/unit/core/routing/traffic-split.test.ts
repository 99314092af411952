import assert from 'node:assert/strict';
import { Split, type SplitSettings } from '../../../../sidecar/core/routing/traffic-split.js';
import { constant, seeded } from '../../../kit/time/seeded-random.js';

type Metadata = Readonly<Record<string, string>>;

const lookup = (call: Metadata, key: string): string | undefined => call[key];
const USERS = Array.from({ length: 4000 }, (_, i) => `user-${i}`);

const weigh = (weights: SplitSettings['weights'], over: Partial<SplitSettings> = {}) =>
  new Split({ match: [], weights, ...over });

function shares(split: Split, calls: readonly Metadata[], seed = 1): Record<string, number> {
  const random = seeded(seed);
  const found: Record<string, number> = {};
  for (const call of calls) {
    const name = split.choose(lookup, call, random) ?? 'none';
    found[name] = (found[name] ?? 0) + 1;
  }
  return found;
}

/** Within four standard deviations of `n` draws. */
function assertShare(found: number | undefined, n: number, ratio: number): void {
  const bound = 4 * Math.sqrt(n * ratio * (1 - ratio));
  assert.ok(Math.abs((found ?? 0) - n * ratio) < bound, `${found} of ${n}, expected ${n * ratio}`);
}

describe('Split', () => {
  it('by weight, whatever the scale of the weights', () => {
    const calls = USERS.map(() => ({}));
    for (const weights of [
      { stable: 95, canary: 5 },
      { stable: 0.95, canary: 0.05 },
    ]) {
      for (const seed of [1, 2, 3]) {
        const found = shares(weigh(weights), calls, seed);
        assertShare(found['canary'], calls.length, 0.05);
        assert.equal(found['stable']! + found['canary']!, calls.length);
      }
    }
  });

  it('gives nothing to a weight of 0, and asks no chance where there is no choice', () => {
    const split = weigh({ stable: 1, canary: 0 });
    const never = () => assert.fail('chance was asked');
    assert.equal(split.choose(lookup, {}, never), 'stable');
    assert.equal(weigh({ stable: 0 }).choose(lookup, {}, never), undefined);
  });

  it('by metadata first, the first match', () => {
    const match = [
      { key: 'x-canary', value: 'always', upstream: 'canary' },
      { key: 'x-canary', value: 'never', upstream: 'stable' },
      { key: 'x-team', value: 'blue', upstream: 'blue' },
    ];
    const split = weigh({ stable: 1 }, { match });
    for (const [call, expected] of [
      [{ 'x-canary': 'always', 'x-team': 'blue' }, 'canary'],
      [{ 'x-canary': 'never', 'x-team': 'blue' }, 'stable'],
      [{ 'x-canary': 'Always', 'x-team': 'blue' }, 'blue'],
      [{ 'x-canary': '' }, 'stable'],
      [{}, 'stable'],
    ] as const) {
      assert.equal(split.choose(lookup, call, Math.random), expected, JSON.stringify(call));
    }
  });

  it('sticks to a metadata key, in the shares of the weights; calls without it go by chance', () => {
    const split = weigh({ stable: 80, canary: 20 }, { stickyBy: 'x-user' });
    const calls = USERS.map((user) => ({ 'x-user': user }));
    const found = shares(split, calls);
    assertShare(found['canary'], calls.length, 0.2);
    assert.deepEqual(shares(split, calls, 2), found);
    const choices = (call: Metadata) => [0, 0.999].map((draw) => split.choose(lookup, call, constant(draw)));
    for (const call of calls.slice(0, 100)) {
      const [first, other] = choices(call);
      assert.equal(first, other);
    }
    assert.deepEqual(choices({}), ['stable', 'canary']);
  });

  it('moves keys only towards those whose share grows', () => {
    const place = (split: Split): string[] =>
      USERS.map((user) => split.choose(lookup, { 'x-user': user }, Math.random)!);
    const sticky = { stickyBy: 'x-user' };
    const before = place(weigh({ stable: 90, canary: 10 }, sticky));
    const after = place(weigh({ stable: 80, canary: 20 }, sticky));
    const third = place(weigh({ stable: 80, canary: 10, other: 10 }, sticky));
    let moved = 0;
    USERS.forEach((_, i) => {
      if (before[i] !== after[i]) moved++;
      assert.ok(!(before[i] === 'canary' && after[i] === 'stable'));
      assert.ok(before[i] === third[i] || third[i] === 'other' || before[i] === 'stable');
    });
    assertShare(moved, USERS.length, 0.1);
  });

  it('goes by the model that the request names, and by its version where one is said', () => {
    const match = [
      { model: 'digits', version: '3', upstream: 'new' },
      { model: 'digits', upstream: 'digits-only' },
      { key: 'x-canary', value: 'yes', upstream: 'canary' },
    ] as const;
    const split = weigh({ stable: 1 }, { match });
    const to = (modelName: string, modelVersion: string, metadata: Metadata = {}) =>
      split.choose(lookup, metadata, constant(0), { modelName, modelVersion });
    assert.equal(to('digits', '3'), 'new');
    assert.equal(to('digits', ''), 'digits-only');
    assert.equal(to('digits', '33', { 'x-canary': 'yes' }), 'digits-only');
    assert.equal(to('words', '3', { 'x-canary': 'yes' }), 'canary');
    assert.equal(to('', '3'), 'stable');
    assert.equal(split.choose(lookup, {}, constant(0)), 'stable');
  });
});
