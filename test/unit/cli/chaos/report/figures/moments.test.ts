import assert from 'node:assert/strict';
import type { ArmRun } from '../../../../../../sidecar/cli/chaos/history/record.js';
import {
  detectedAfter,
  ejectedAfter,
  firstGoodAfter,
} from '../../../../../../sidecar/cli/chaos/report/figures/moments.js';
import { madeRun } from '../../../../../kit/chaos/made-history.js';
import { constant } from '../../../../../kit/time/seeded-random.js';

/** Calls every 20 ms that take 5.5 ms; the fault begins at 3 s. */
const QUIET = madeRun({ random: constant(0.5), degradeForMs: 0, ejectAfterMs: undefined });
const marked = (...marks: [number, ArmRun['marks'][number]['kind']][]): ArmRun => ({
  ...QUIET,
  marks: marks.map(([atMs, kind]) => ({ atMs, kind, replica: 'digits-2', text: '' })),
});
const withCalls = (run: ArmRun, at: number, change: object): ArmRun => ({
  ...run,
  calls: run.calls.map((call) => (call.startMs === at ? { ...call, ...change } : call)),
});

describe('moments after a fault', () => {
  const began: [number, 'fault-began'] = [3_000, 'fault-began'];

  it('are undefined without a marked fault', () => {
    for (const moment of [detectedAfter, ejectedAfter, firstGoodAfter])
      assert.equal(moment(marked([4_000, 'ejected'])), undefined);
  });

  it('count ejections and restarts after the fault as signs, whichever is first', () => {
    assert.equal(detectedAfter(marked(began)), undefined);
    assert.equal(
      detectedAfter(marked([2_000, 'ejected'], began, [3_005, 'died'], [3_700, 'restarted'])),
      700,
    );
    assert.equal(ejectedAfter(marked(began, [3_700, 'restarted'])), undefined);
    assert.equal(ejectedAfter(marked([3_900, 'ejected'], [3_400, 'ejected'], began)), 400);
  });

  it('count degraded answers and answers of a sidecar as signs when they came', () => {
    const run = marked(began, [3_700, 'restarted']);
    assert.equal(detectedAfter(withCalls(run, 3_200, { degraded: true })), 205.5);
    assert.equal(detectedAfter(withCalls(run, 3_200, { reason: 'connection-lost' })), 205.5);
    assert.equal(detectedAfter(withCalls(run, 2_800, { degraded: true })), 700);
  });

  it('have a first good answer by a call that was made after the fault', () => {
    assert.equal(firstGoodAfter(marked(began)), 5.5);
    const failed = withCalls(marked(began), 3_000, { status: 14, answer: 'none' });
    assert.equal(firstGoodAfter(failed), 25.5);
    const run = marked(began);
    assert.equal(
      firstGoodAfter({ ...run, calls: run.calls.filter(({ startMs }) => startMs < 3_000) }),
      'never',
    );
  });
});
