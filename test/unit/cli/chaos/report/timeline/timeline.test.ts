import assert from 'node:assert/strict';
import { stepFor, timelineOf } from '../../../../../../sidecar/cli/chaos/report/timeline/timeline.js';
import { madeRun } from '../../../../../kit/chaos/made-history.js';
import { constant } from '../../../../../kit/time/seeded-random.js';

const RUN = madeRun({ random: constant(0.5), failForMs: 400 });

describe('a timeline', () => {
  it('puts each call of the load into the interval in which it began', () => {
    const { intervals, stepMs, mostCalls } = timelineOf(RUN);
    assert.equal(stepMs, 200);
    assert.equal(intervals.length, 50);
    const sum = intervals.reduce((all, one) => all + one.right + one.degraded + one.failed + one.wrong, 0);
    assert.equal(sum, RUN.calls.length);
    assert.equal(mostCalls, 10);
    assert.deepEqual([intervals[14]!.failed, intervals[15]!.failed + intervals[16]!.failed], [0, 7]);
    assert.deepEqual(
      [intervals[3]!.p50Ms, intervals[3]!.p99Ms],
      [5.5, 5.5].map((ms) => ms),
    );
  });

  it('keeps calls of before and after the load apart from its last interval, and shows runs without calls', () => {
    const [call] = RUN.calls;
    const calls = [
      { ...call!, startMs: -50 },
      { ...call!, startMs: 10_040 },
      { ...call!, isFault: true as const },
    ];
    const { intervals, mostMs } = timelineOf({ ...RUN, calls });
    assert.deepEqual(
      intervals.flatMap(({ right }, i) => (right > 0 ? [[i, right]] : [])),
      [[49, 1]],
    );
    assert.equal(timelineOf({ ...RUN, seconds: 0, calls: [] }).intervals.length, 1);
    assert.ok(mostMs >= 1);
  });

  it('has spans of faults: begins in a fault belong to it, and one without an end lasts', () => {
    const mark = (atMs: number, kind: 'fault-began' | 'fault-ended') => ({ atMs, kind, text: '' });
    const marks = [
      mark(900, 'fault-ended'),
      mark(3_000, 'fault-ended'),
      mark(1_000, 'fault-began'),
      mark(2_000, 'fault-began'),
      mark(5_000, 'fault-began'),
    ];
    assert.deepEqual(timelineOf({ ...RUN, marks }).faults, [
      { fromMs: 1_000, toMs: 3_000 },
      { fromMs: 5_000, toMs: 10_000 },
    ]);
    assert.deepEqual(
      timelineOf(RUN).marks.map(({ kind }) => kind),
      ['died', 'ejected', 'restarted', 'restored'],
    );
  });

  it('has steps that read well, and 60 of them at most', () => {
    assert.deepEqual([1_000, 6_000, 6_001, 15_001, 61_000, 7_200_000].map(stepFor), [
      ...[100, 100, 200, 500, 2_000, 60_000],
    ]);
  });
});
