import assert from 'node:assert/strict';
import { DEFAULT_BOUNDS } from '../../../../../sidecar/cli/chaos/history/bounds.js';
import { indexRun } from '../../../../../sidecar/cli/chaos/history/executions.js';
import type { ArmRun, CallRecord } from '../../../../../sidecar/cli/chaos/history/record.js';
import { findUnsound } from '../../../../../sidecar/cli/chaos/history/soundness.js';
import { madeRun } from '../../../../kit/chaos/made-history.js';
import { constant } from '../../../../kit/time/seeded-random.js';

const CLEAN = madeRun({ random: constant(0.5) });
const CALL = CLEAN.calls[2]!;

const unsound = (run: ArmRun): string[] =>
  findUnsound(run, indexRun(run), DEFAULT_BOUNDS).map(({ found }) => found);
const withCall = (change: Partial<CallRecord>): ArmRun => ({ ...CLEAN, calls: [{ ...CALL, ...change }] });

describe('the records of a history', () => {
  it('contradict each other where a call belongs to another run, ends before it begins or has no judgement', () => {
    assert.deepEqual(unsound(withCall({})), []);
    assert.deepEqual(unsound(withCall({ arm: 'envoy' })), ['one of kill with envoy']);
    assert.deepEqual(unsound(withCall({ endMs: CALL.startMs - 1 })), ['an end before it']);
    assert.deepEqual(unsound(withCall({ endMs: Number.NaN })), ['an end before it']);
    assert.deepEqual(unsound(withCall({ answer: 'none' })), ['none for status 0']);
    assert.deepEqual(unsound(withCall({ status: 14 })), ['right for status 14']);
  });

  it('hide what happened where models that answered logged nothing', () => {
    assert.deepEqual(unsound({ ...CLEAN, executions: [] }), ['none, although models answered']);
    assert.deepEqual(unsound({ ...CLEAN, calls: [], executions: [] }), []);
  });

  it('may differ by the clocks of two processes', () => {
    const begin = (startMs: number): ArmRun => ({
      ...CLEAN,
      executions: [{ callId: CALL.id, replica: 'digits-1', startMs, endMs: startMs + 1 }],
    });
    assert.deepEqual(unsound(begin(CALL.startMs - 19)), []);
    assert.deepEqual(unsound(begin(CALL.startMs - 21)), ['executed before']);
    const [execution] = begin(CALL.startMs).executions;
    assert.deepEqual(unsound({ ...CLEAN, executions: [{ ...execution!, endMs: 0 }] }), ['it ends before']);
  });
});
