import assert from 'node:assert/strict';
import { DEFAULT_BOUNDS } from '../../../../../sidecar/cli/chaos/history/bounds.js';
import { findLate, greatestLag } from '../../../../../sidecar/cli/chaos/history/deadlines.js';
import { madeRun } from '../../../../kit/chaos/made-history.js';
import { constant } from '../../../../kit/time/seeded-random.js';

const CALL = madeRun({ random: constant(0.5) }).calls[1]!;

/** Calls that are late by so much, with clients that were late by so much from 500 ms on. */
function late(byMs: number, lagMs: number): string[] {
  const calls = [{ ...CALL, endMs: CALL.deadlineMs! + byMs }];
  const clientLagMs = [0, 0, 0, 0, 0, lagMs, lagMs, lagMs];
  return findLate({ calls, clientLagMs }, DEFAULT_BOUNDS).map(
    ({ expected, found }) => `${expected}; ${found}`,
  );
}

describe('the deadlines of a history', () => {
  it('may be missed by 50 ms and the lateness of the client at that time', () => {
    assert.deepEqual(late(50, 0), []);
    assert.deepEqual(late(51, 0), [
      "over within 50 ms and 0 ms of its client's lateness after the deadline at 520 ms; over 51 ms after the deadline, with status 0",
    ]);
    assert.deepEqual(late(89, 40), []);
    assert.equal(late(91, 40).length, 1);
  });

  it('are not those of calls without one, or without an end', () => {
    const calls = [
      { ...CALL, endMs: 5_000, deadlineMs: undefined },
      { ...CALL, endMs: 5_000, answers: 0 },
    ];
    assert.deepEqual(findLate({ calls, clientLagMs: [] }, DEFAULT_BOUNDS), []);
  });

  it('take the greatest lateness between two moments, with an interval on each side', () => {
    const lag = [9, 1, 2, 3, 4, 8];
    assert.equal(greatestLag(lag, 250, 310), 4);
    assert.equal(greatestLag(lag, 150, 160), 9);
    assert.equal(greatestLag(lag, 550, 10_000), 8);
    assert.equal(greatestLag(lag, -500, -400), 0);
    assert.equal(greatestLag([], 0, 100), 0);
  });
});
