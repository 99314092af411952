import assert from 'node:assert/strict';
import { QUICK_TIMES, timesOf, USUAL_TIMES } from '../../../../../sidecar/cli/chaos/drills/drill.js';
import { DRILLS } from '../../../../../sidecar/cli/chaos/drills/table.js';

/** Of the standard set with four arms, s. */
const LIMIT_S = 720;
const ARMS = 4;
/** Around a drill: the warm calls, what a restart of three replicas takes, calls that end after it. */
const AROUND_S = 5;

describe('the times of a drill', () => {
  it('are the usual ones but for what it says, and short for a look', () => {
    assert.deepEqual(timesOf({}, 'usual'), USUAL_TIMES);
    assert.deepEqual(timesOf({ times: { faultMs: 9_000 } }, 'usual'), { ...USUAL_TIMES, faultMs: 9_000 });
    assert.deepEqual(timesOf({ times: { faultMs: 9_000 } }, 'quick'), QUICK_TIMES);
    assert.equal(timesOf({ times: { faultMs: 0 } }, 'quick').faultMs, 0);
  });

  it('let the ten of the standard set run with all arms within 12 minutes', () => {
    const standard = DRILLS.filter(({ set }) => set === 'standard');
    assert.equal(standard.length, 10);
    const seconds = standard.map((drill) => {
      const { steadyMs, faultMs, healedMs } = timesOf(drill, 'usual');
      return (steadyMs + faultMs + healedMs) / 1_000 + AROUND_S;
    });
    const all = ARMS * seconds.reduce((sum, each) => sum + each, 0);
    assert.ok(all < LIMIT_S, `${all} s`);
  });
});

describe('every drill', () => {
  it('has a name of its own, says in one sentence what it does, and ends in time', () => {
    assert.equal(new Set(DRILLS.map(({ name }) => name)).size, DRILLS.length);
    for (const drill of DRILLS) {
      assert.match(drill.does, /^[A-Z][^.]*(?:\d\.\d[^.]*)*\.$/, drill.name);
      const { steadyMs, faultMs, healedMs } = timesOf(drill, 'usual');
      assert.ok(steadyMs + faultMs + healedMs <= 25_000, drill.name);
    }
  });
});
