import assert from 'node:assert/strict';
import { areCommon, isCommon } from '../../../../sidecar/core/outlier/common-failures.js';
import { EjectionState } from '../../../../sidecar/core/outlier/ejection.js';
import type { OutcomeWindow } from '../../../../sidecar/core/outlier/outcome-window.js';
import { windowOf } from '../../../kit/core/ejections.js';

const { admitted, ejected } = EjectionState;
const of = (successes: number, faults: number, state: EjectionState = admitted) => ({
  state,
  answers: windowOf(successes, faults),
  answersBefore: null,
});
const unknown = { state: admitted, answers: null, answersBefore: null };
/** One that has come back, with what it has answered since. */
const back = (before: OutcomeWindow, answers: OutcomeWindow | null = null) => ({
  ...{ state: admitted, answers, answersBefore: before },
});
/** The endpoint in question: not its own peer. */
const self = of(0, 1_000);

describe('Failures that peers share', () => {
  for (const [what, faults, calls, peers, expected] of [
    ['five in a row, and no peer', 5, 5, [], false],
    ['five in a row, and a peer of which nothing is known', 5, 5, [unknown], false],
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
    ['five in a row, and a peer that has just come back', 5, 5, [back(windowOf(6, 6))], true],
    ['five in a row, and a peer that has few calls yet', 5, 5, [back(windowOf(6, 6), windowOf(5, 0))], true],
    ['five in a row, and a peer that is well again', 5, 5, [back(windowOf(0, 90), windowOf(10, 0))], false],
    ['five in a row, and a peer that was well', 5, 5, [back(windowOf(40, 0), windowOf(0, 3))], false],
    ['five in a row, and a peer that had few calls', 5, 5, [back(windowOf(0, 3), windowOf(4, 0))], false],
    ['five in a row, and peers back of which one was well', 5, 5, [of(0, 9), back(windowOf(9, 0))], false],
    [
      'five in a row, and a peer that answers well but is ejected',
      5,
      5,
      [of(0, 40), of(40, 0, ejected)],
      true,
    ],
    ['five in a row, and a peer that fails but is ejected', 5, 5, [of(0, 40, ejected)], false],
    ['a fifth of its calls, and a peer the same', 20, 100, [of(80, 20)], true],
    ['a fifth of its calls, and a peer a sixth', 20, 100, [of(100, 20)], true],
    ['half of its calls, and a peer a tenth', 50, 100, [of(90, 10)], false],
    ['half of many calls, and a peer a bit less', 5_000, 10_000, [of(5_300, 4_700)], false],
    ['half of many calls, and a peer nearly as many', 5_000, 10_000, [of(5_050, 4_950)], true],
  ] as const)
    it(`${what}: ${expected}`, () =>
      assert.equal(areCommon(faults, calls, self, [self, ...peers], 0), expected));

  it('failures of peers from more than ten seconds ago say nothing', () => {
    assert.equal(areCommon(5, 5, self, [of(0, 40)], 11_000), false);
    assert.equal(isCommon(self, [of(0, 40)], 11_000), false);
    assert.equal(areCommon(5, 5, self, [back(windowOf(0, 40))], 11_000), false);
  });

  it('a single failure says nothing only where the best peer fails half of its calls', () => {
    assert.equal(isCommon(self, [self, of(4, 4)], 0), true);
    assert.equal(isCommon(self, [self, of(40, 4)], 0), false);
    assert.equal(isCommon(self, [self, of(0, 3)], 0), false);
    assert.equal(isCommon(self, [self, of(2, 2)], 0), true);
    assert.equal(isCommon(self, [self, of(0, 40), of(40, 0)], 0), false);
    assert.equal(isCommon(self, [self], 0), false);
  });
});
