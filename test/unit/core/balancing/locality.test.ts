import assert from 'node:assert/strict';
import fc from 'fast-check';
import { sharesOf, spillOf } from '../../../../sidecar/core/balancing/locality.js';

describe('Locality', () => {
  for (const [eligible, all, spill] of [
    [10, 10, 0],
    [7, 10, 0],
    [3.5, 10, 0.5],
    [0, 10, 1],
    [0, 0, 1],
  ] as const)
    it(`sends ${spill} of the traffic elsewhere with ${eligible} of ${all} eligible in the own locality`, () =>
      assert.ok(Math.abs(spillOf(eligible, all, 0.7) - spill) < 1e-9));

  it('sends nothing elsewhere while enough endpoints are near, and all when none is', () => {
    assert.deepEqual(sharesOf(3, 3, 5, 0.7), { near: 1, far: 0 });
    assert.deepEqual(sharesOf(0, 3, 5, 0.7), { near: 1, far: 1 });
    assert.deepEqual(sharesOf(2, 3, 0, 0.7), { near: 1, far: 1 });
  });

  it('sets weights so that other localities get exactly that share', () => {
    const weight = fc.double({ min: 0.1, max: 100, noNaN: true });
    fc.assert(
      fc.property(weight, weight, weight, (near, missing, far) => {
        const spill = spillOf(near, near + missing, 0.7);
        const shares = sharesOf(near, near + missing, far, 0.7);
        assert.ok(shares.near > 0 && shares.near <= 1 && shares.far >= 0 && shares.far <= 1);
        const got = (far * shares.far) / (far * shares.far + near * shares.near);
        assert.ok(Math.abs(got - spill) < 1e-9, `${got} for ${spill}`);
      }),
    );
  });
});
