import assert from 'node:assert/strict';
import { findUnmarked, findWrongCaller } from '../../../../../sidecar/cli/chaos/history/answers.js';
import { indexRun } from '../../../../../sidecar/cli/chaos/history/executions.js';
import type { ArmRun, CallRecord } from '../../../../../sidecar/cli/chaos/history/record.js';
import { madeRun } from '../../../../kit/chaos/made-history.js';
import { constant } from '../../../../kit/time/seeded-random.js';

const CLEAN = madeRun({ random: constant(0.5) });

function withCall(at: number, change: Partial<CallRecord>): ArmRun {
  return { ...CLEAN, calls: CLEAN.calls.map((call, i) => (i === at ? { ...call, ...change } : call)) };
}

const wrongCallers = (run: ArmRun): string[] => findWrongCaller(run, indexRun(run)).map(({ found }) => found);

describe('answers of a history', () => {
  it('may be those of an earlier call of the same model where they are marked as degraded, and never otherwise', () => {
    assert.deepEqual(wrongCallers(withCall(40, { degraded: true, answeredId: 'kill-outrider-30' })), []);
    assert.deepEqual(wrongCallers(withCall(40, { answeredId: 'kill-outrider-30' })), [
      'the answer to kill-outrider-30',
    ]);
    for (const answeredId of ['kill-outrider-300', 'kill-outrider-27', 'unknown'])
      assert.deepEqual(
        wrongCallers(withCall(40, { degraded: true, answeredId })),
        [`the answer to ${answeredId}`],
        'later, of another model, unknown',
      );
  });

  it('need no echo', () => {
    const { answeredId: _, ...rest } = CLEAN.calls[40]!;
    assert.deepEqual(wrongCallers({ ...CLEAN, calls: [rest] }), []);
  });

  it('without a name of the replica are those of the last execution', () => {
    const { endpoint: _, ...call } = CLEAN.calls[40]!;
    const executions = [{ callId: call.id, replica: 'digits-lite', startMs: call.startMs + 1 }];
    const run = { ...CLEAN, calls: [call], executions };
    assert.deepEqual(
      findUnmarked(run, indexRun(run)).map(({ found }) => found),
      ['no mark on an answer of digits-lite'],
    );
  });
});
