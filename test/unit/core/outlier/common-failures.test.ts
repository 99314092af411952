import assert from 'node:assert/strict';
import { areCommon, isCommon } from '../../../../sidecar/core/outlier/common-failures.js';

const of = (successes: number, faults: number) => ({ successes, faults });

describe('Failures that peers share', () => {
  for (const [what, faults, calls, peers, expected] of [
    ['five in a row, and no peer', 5, 5, [], false],
    ['five in a row, and a peer of which nothing is known', 5, 5, [null], false],
    ['five in a row, and a peer that has not failed', 5, 5, [of(3, 0)], false],
    ['five in a row, and a peer that has failed a few of many', 5, 5, [of(100, 5)], false],
    ['five in a row, and a peer that has failed as many in a row', 5, 5, [of(0, 4)], true],
    ['five in a row, and a peer with one call, a failure', 5, 5, [of(0, 1)], false],
    ['five in a row, and a peer with one failure of four', 5, 5, [of(3, 1)], false],
    ['five in a row, and a peer with two failures of four', 5, 5, [of(2, 2)], true],
    ['five in a row, and peers with one failure of four each', 5, 5, [of(3, 1), of(3, 1)], true],
    ['five in a row, and peers of which one has not failed', 5, 5, [of(1, 3), of(4, 0)], false],
    ['five in a row, and a peer that fails half of its calls', 5, 5, [of(20, 20)], true],
    ['twenty-five in a row, and a peer that fails half of its calls', 25, 25, [of(200, 200)], false],
    ['five in a row, and one of two peers that fails all', 5, 5, [of(0, 40), of(40, 0)], false],
    ['five in a row, and two peers that fail all', 5, 5, [of(0, 40), of(0, 40)], true],
    ['five in a row, and a peer that fails beside one with few calls', 5, 5, [of(0, 40), of(2, 0)], true],
    ['two in a row, where two eject, and a peer that has failed once', 2, 2, [of(0, 1)], true],
    ['a fifth of its calls, and a peer the same', 20, 100, [of(80, 20)], true],
    ['a fifth of its calls, and a peer a sixth', 20, 100, [of(100, 20)], true],
    ['half of its calls, and a peer a tenth', 50, 100, [of(90, 10)], false],
    ['half of many calls, and a peer a bit less', 5_000, 10_000, [of(5_300, 4_700)], false],
    ['half of many calls, and a peer nearly as many', 5_000, 10_000, [of(5_050, 4_950)], true],
  ] as const)
    it(`${what}: ${expected}`, () => assert.equal(areCommon(faults, calls, peers), expected));

  it('a single failure says nothing only where the best peer fails half of its calls', () => {
    assert.equal(isCommon([of(4, 4)]), true);
    assert.equal(isCommon([of(40, 4)]), false);
    assert.equal(isCommon([of(0, 3)]), false);
    assert.equal(isCommon([of(2, 2)]), true);
    assert.equal(isCommon([of(0, 40), of(40, 0)]), false);
    assert.equal(isCommon([]), false);
  });
});
