import assert from 'node:assert/strict';
import {
  inferencesOf,
  isMoreUrgent,
  latestDeadline,
  placesOf,
  rowsOf,
} from '../../../../../services/model-server/runs/job.js';
import { column, jobOf, runnerOf } from '../../../../kit/service/queue-jobs.js';

describe('a job', () => {
  const batched = runnerOf({ maxBatch: 4 });
  const withRows = (rows: number, runner = batched) =>
    jobOf(runner, 1, { inputs: [column(...new Array<number>(rows).fill(1))] });

  it('has the rows of its first input, and takes a place in a batch without any', () => {
    assert.deepEqual(
      [0, 1, 3].map((rows) => rowsOf(withRows(rows))),
      [0, 1, 3],
    );
    assert.deepEqual(
      [0, 1, 3].map((rows) => placesOf(withRows(rows))),
      [1, 1, 3],
    );
    const scalar = { datatype: 'FP32', dims: [], data: Float32Array.of(1) } as const;
    assert.deepEqual([rowsOf({ inputs: [scalar] }), rowsOf({ inputs: [] })], [1, 1]);
  });

  it('is an inference for each row where its model is batched, else one', () => {
    assert.deepEqual([inferencesOf(withRows(3)), inferencesOf(withRows(3, runnerOf()))], [3, 1]);
  });

  it('goes before those of a greater priority number, and before those without one', () => {
    const of = (priority?: number) => jobOf(batched, 1, priority === undefined ? {} : { priority });
    assert.deepEqual(
      [
        isMoreUrgent(of(1), of(2)),
        isMoreUrgent(of(2), of(2)),
        isMoreUrgent(of(9), of()),
        isMoreUrgent(of(0), of(9)),
      ],
      [true, false, true, false],
    );
  });

  it('has a deadline that a batch outlasts with its latest', () => {
    assert.equal(latestDeadline([10, 30, 20].map((deadlineMs) => jobOf(batched, 1, { deadlineMs }))), 30);
  });
});
