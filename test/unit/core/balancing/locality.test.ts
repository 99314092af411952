import assert from 'node:assert/strict';
import fc from 'fast-check';
import { factorsOf, nameOfPlace, nearnessOf, sharesOf } from '../../../../sidecar/core/balancing/locality.js';

/** Tiers as pairs of eligible and all. */
const tiers = (...pairs: (readonly [number, number])[]) =>
  pairs.map(([eligible, all]) => ({ eligible, all }));
const rounded = (shares: number[]) => shares.map((share) => Math.round(share * 1000) / 1000);

describe('Locality', () => {
  for (const [what, given, expected] of [
    ['all healthy: nothing spills', tiers([10, 10], [10, 10], [10, 10]), [1, 0, 0]],
    ['seven of ten are enough', tiers([7, 10], [10, 10], [10, 10]), [1, 0, 0]],
    ['half of them: 140 % of 50 % stay', tiers([5, 10], [10, 10], [10, 10]), [0.714, 0.286, 0]],
    [
      'the region takes what it can, and the rest goes on',
      tiers([3.5, 10], [3, 10], [10, 10]),
      [0.5, 0.429, 0.071],
    ],
    ['none in the zone', tiers([0, 10], [10, 10], [10, 10]), [0, 1, 0]],
    ['none near at all', tiers([0, 10], [0, 10], [1, 10]), [0, 0, 1]],
    ['no endpoint is in the zone or the region', tiers([0, 0], [0, 0], [2, 2]), [0, 0, 1]],
    ['one of two is left, one of one in the region', tiers([1, 2], [1, 1], [8, 8]), [0.714, 0.286, 0]],
    [
      'one in the region does not get the rest of ten',
      tiers([5, 10], [1, 1], [20, 20]),
      [0.714, 0.143, 0.143],
    ],
    ['all together are not enough: in proportion', tiers([1, 10], [1, 10], [1, 10]), [0.333, 0.333, 0.333]],
    ['the zone alone, and too few', tiers([1, 10], [0, 0], [0, 0]), [1, 0, 0]],
    ['nothing may be called', tiers([0, 10], [0, 10], [0, 10]), [0, 0, 0]],
  ] as const)
    it(`shares: ${what}`, () => assert.deepEqual(rounded(sharesOf(given, 0.7)), expected));

  it('with spill_below 0 the zone takes everything while one of it is left', () => {
    assert.deepEqual(sharesOf(tiers([1, 10], [10, 10], [10, 10]), 0), [1, 0, 0]);
    assert.deepEqual(sharesOf(tiers([0, 10], [10, 10], [10, 10]), 0), [0, 1, 0]);
  });

  it('with spill_below 1 traffic leaves in proportion from the first that is gone', () => {
    assert.deepEqual(rounded(sharesOf(tiers([9, 10], [10, 10], [0, 0]), 1)), [0.9, 0.1, 0]);
  });

  const tier = fc
    .tuple(fc.double({ min: 0, max: 100, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }))
    .map(([all, share]) => ({ all, eligible: all * share }))
    .filter(({ eligible }) => eligible === 0 || eligible > 1e-3);
  const three = fc.tuple(tier, tier, tier);
  const spillBelow = fc.double({ min: 0.01, max: 1, noNaN: true });

  it('shares are from 0 to 1 and add up to 1 where anything may be called', () => {
    fc.assert(
      fc.property(three, spillBelow, (given, below) => {
        const shares = sharesOf(given, below);
        const total = shares.reduce((sum, share) => sum + share, 0);
        assert.ok(shares.every((share) => share >= 0 && share <= 1));
        const expected = given.some(({ eligible }) => eligible > 0) ? 1 : 0;
        assert.ok(Math.abs(total - expected) < 1e-6, `${total} of ${expected}`);
        assert.ok(shares.every((share, at) => share === 0 || given[at]!.eligible > 0));
      }),
    );
  });

  it('one endpoint more in the zone takes no share away from it', () => {
    fc.assert(
      fc.property(three, spillBelow, ([near, ...rest], below) => {
        const more = { ...near, eligible: near.all };
        assert.ok(sharesOf([more, ...rest], below)[0]! >= sharesOf([near, ...rest], below)[0]! - 1e-9);
      }),
    );
  });

  it('factors on the weights give exactly the shares, and none is above 1', () => {
    fc.assert(
      fc.property(three, spillBelow, (given, below) => {
        const factors = factorsOf(given, below);
        assert.ok(factors.every((factor) => factor >= 0 && factor <= 1));
        const loads = factors.map((factor, at) => factor * given[at]!.eligible);
        const total = loads.reduce((sum, load) => sum + load, 0);
        if (total === 0) return;
        const shares = sharesOf(given, below);
        loads.forEach((load, at) => {
          assert.ok(Math.abs(load / total - shares[at]!) < 1e-6);
        });
      }),
    );
  });

  it('a place is near by zone, by region, or not at all; names without a slash are places of their own', () => {
    assert.equal(nearnessOf('eu/a', 'eu/a'), 0);
    assert.equal(nearnessOf('eu/a', 'eu/b'), 1);
    assert.equal(nearnessOf('eu/a', 'eu'), 1);
    assert.equal(nearnessOf('eu/a', 'europe/a'), 2);
    assert.equal(nearnessOf('eu/a', ''), 2);
    assert.equal(nearnessOf('eu', 'eu/a'), 0);
    assert.equal(nearnessOf('here', 'there'), 2);
    assert.equal(nearnessOf('here', 'here'), 0);
  });

  it('a place is named by region and zone, and by its datacenter where the region is unknown', () => {
    assert.equal(nameOfPlace({ region: 'eu', zone: 'a' }, 'dc1'), 'eu/a');
    assert.equal(nameOfPlace({ region: 'eu', zone: '' }, 'dc1'), 'eu');
    assert.equal(nameOfPlace({ region: '', zone: 'a' }, 'dc1'), 'dc1/a');
    assert.equal(nameOfPlace({ region: '', zone: '' }, 'dc1'), '');
    assert.equal(nameOfPlace({ region: 'a/b', zone: 'c' }, ''), 'a-b/c');
    assert.ok(nameOfPlace({ region: 'x'.repeat(500), zone: 'y'.repeat(500) }, '').length <= 257);
  });
});
