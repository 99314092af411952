/** A short overload on real processes; the bars are for a quiet machine, the bounds here for a busy one. */
import assert from 'node:assert/strict';
import { EFFORT } from '../../kit/mocha/effort.js';
import { figuresOf, meetsBars, renderOverload } from './figures.js';
import { measureOverload, SETUPS } from './main.js';

/** Long enough for hundreds of refusals. */
const BRIEF = { warmMs: 700, capacityMs: 800, easyMs: 300, overloadMs: 1_500, afterMs: 2_500 };

/** The one that finds its concurrency; at night also the one with a fixed concurrency and deadlines. */
const TRIED = EFFORT > 1 ? ['adaptive', 'deadlines'] : ['adaptive'];

describe('five times more calls than the model can serve', () => {
  for (const setup of SETUPS.filter(({ name }) => TRIED.includes(name))) {
    it(`${setup.title}: it stays busy with calls that end in time, and refuses the others at once`, async function () {
      this.timeout(60_000);
      const found = await measureOverload(setup, BRIEF, { isPinned: false });
      const said = renderOverload([found]);
      assert.ok(found.refused > found.capacityPerSecond, said);
      assert.ok(found.goodput >= 0.6, said);
      assert.ok(found.refusedP50Ms < 50 && found.refusedP99Ms < 2_000, said);
      assert.ok(found.recoveryMs < 5_000, said);
      assert.ok(found.unansweredRatio < 0.1, said);
    });
  }
});

describe('the figures of an overload', () => {
  const setup = { name: 'n', title: 'a title' };
  const isFirstClass = [true, false, true, false];
  const easy = { sentMs: [0, 10], tookMs: [20, 20], status: [0, 0], isFirstClass };
  const overload = { sentMs: [0, 1, 2, 3], tookMs: [20, 1, 40, 400], status: [0, 8, 0, 4], isFirstClass };
  const after = {
    // A call that failed, slow ones, and then a second of which one slow call takes nothing.
    sentMs: [0, 300, 310, 500, 750, 760, 770, 1_000, 1_250],
    tookMs: [20, 50, 50, 20, 20, 20, 90, 20, 20],
    status: [8, 0, 0, 0, 0, 0, 0, 0, 0],
    isFirstClass: [],
  };
  const runs = { runs: 4, unanswered: 1 };
  const observed = { perSecond: 2, before: easy, overload, overloadMs: 1_000, after, runs, concurrency: 4 };

  it('are shares of the capacity, and times until all was well', () => {
    const figures = figuresOf(setup, observed);
    const { goodput, refused, otherwise, unansweredRatio, recoveryMs, firstClass, offeredPerSecond } =
      figures;
    assert.deepEqual(
      { goodput, refused, otherwise, unansweredRatio, recoveryMs, firstClass, offeredPerSecond },
      {
        ...{ goodput: 1, refused: 1, otherwise: 1, unansweredRatio: 0.25, recoveryMs: 500 },
        ...{ firstClass: 1, offeredPerSecond: 4 },
      },
    );
    assert.equal(meetsBars(figures), true);
    assert.equal(meetsBars({ ...figures, refusedP99Ms: 10 }), false);
    const never = { ...observed, after: { ...after, status: after.status.map(() => 8) } };
    assert.equal(figuresOf(setup, never).recoveryMs, Number.POSITIVE_INFINITY);
    assert.match(renderOverload([figures]), /✔ goodput 100\.0 % of the capacity/);
  });
});
