import assert from 'node:assert/strict';
import type { CallRecord } from '../../../../../../sidecar/cli/chaos/history/record.js';
import {
  accuracyLost,
  countCalls,
  duplicatesIn,
  extraAttemptsIn,
  loadOf,
} from '../../../../../../sidecar/cli/chaos/report/figures/counts.js';
import { madeRun } from '../../../../../kit/chaos/made-history.js';
import { constant } from '../../../../../kit/time/seeded-random.js';

const CALL = madeRun({ random: constant(0.5) }).calls[1]!;
const calls = (...changes: Partial<CallRecord>[]): CallRecord[] =>
  changes.map((change, i) => ({ ...CALL, id: `c${i}`, ...change }));

describe('counts of calls', () => {
  it('put each call under one end: failed before degraded, degraded before right and wrong', () => {
    const all = calls(
      {},
      { answer: 'wrong' },
      { status: 14, answer: 'none', degraded: true },
      { answers: 0 },
      { degraded: true },
      { degraded: true, answer: 'wrong' },
    );
    assert.deepEqual(countCalls(all), {
      calls: 6,
      right: 1,
      wrong: 1,
      failed: 2,
      degraded: 2,
      degradedWrong: 1,
    });
  });

  it('leave out calls that are the fault themselves', () => {
    assert.equal(loadOf({ calls: calls({}, { isFault: true }) }).length, 1);
  });

  it('are duplicated for executions beyond the first, where a call must not be executed twice', () => {
    const run = {
      calls: calls({ idempotent: false }, { idempotent: true }, { idempotent: false }),
      executions: ['c0', 'c0', 'c0', 'c1', 'c1', 'c2', 'other', 'other'].map((callId) => ({
        callId,
        replica: 'a',
        startMs: 0,
      })),
    };
    assert.equal(duplicatesIn(run), 2);
    assert.equal(extraAttemptsIn(run), 1);
    assert.equal(extraAttemptsIn({ ...run, attempts: 6 }), 1);
    assert.equal(extraAttemptsIn({ ...run, attempts: 2 }), 0, 'calls that were refused at once');
    assert.equal(extraAttemptsIn({ calls: [], executions: [], attempts: 3 }), 0);
  });

  it('lose the accuracy by which degraded answers are worse than full ones', () => {
    const counts = { calls: 0, failed: 9, right: 18, wrong: 2, degraded: 10, degradedWrong: 3 };
    assert.equal(accuracyLost(counts)?.toFixed(6), '0.200000');
    assert.equal(accuracyLost({ ...counts, right: 0, wrong: 0 }), 0.3);
    assert.equal(accuracyLost({ ...counts, degraded: 0 }), undefined);
  });
});
