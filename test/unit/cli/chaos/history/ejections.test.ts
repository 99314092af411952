import assert from 'node:assert/strict';
import { DEFAULT_BOUNDS } from '../../../../../sidecar/cli/chaos/history/bounds.js';
import { ejectionsOf, findSentToEjected } from '../../../../../sidecar/cli/chaos/history/ejections.js';
import { indexRun } from '../../../../../sidecar/cli/chaos/history/executions.js';
import type { ArmRun, ExecutionRecord, MarkRecord } from '../../../../../sidecar/cli/chaos/history/record.js';
import { madeRun } from '../../../../kit/chaos/made-history.js';
import { constant } from '../../../../kit/time/seeded-random.js';

const mark = (atMs: number, kind: MarkRecord['kind'], replica = 'digits-2'): MarkRecord => ({
  atMs,
  kind,
  replica,
  text: '',
});

/** A run in which only these executions and marks exist; the call `kill-outrider-N` begins at N × 20 ms. */
function runOf(marks: readonly MarkRecord[], executions: readonly [call: number, startMs: number][]): ArmRun {
  const rows = executions.map(
    ([call, startMs]): ExecutionRecord => ({ callId: `kill-outrider-${call}`, replica: 'digits-2', startMs }),
  );
  return { ...madeRun({ random: constant(0.5) }), marks, executions: rows };
}

function found(run: ArmRun, bounds = {}): string[] {
  const all = findSentToEjected(run, indexRun(run), { ...DEFAULT_BOUNDS, probesPerSecond: 0, ...bounds });
  return all.map(({ callId, found }) => `${callId} ${found}`);
}

describe('calls at an ejected endpoint', () => {
  const EJECTED = [mark(2_000, 'ejected')];

  it('are spans of marks, of which a second begin changes nothing', () => {
    assert.deepEqual(
      ejectionsOf([
        mark(5, 'restored'),
        mark(10, 'ejected'),
        mark(20, 'ejected'),
        mark(30, 'restored'),
        mark(40, 'ejected', 'digits-1'),
      ]),
      [
        { replica: 'digits-2', fromMs: 10, toMs: 30 },
        { replica: 'digits-1', fromMs: 40, toMs: Number.POSITIVE_INFINITY },
      ],
    );
  });

  it('have no length where the end was noted next, and may lie before the begin', () => {
    assert.deepEqual(
      ejectionsOf([mark(43, 'ejected'), mark(39, 'restored'), mark(90, 'ejected', 'digits-1')]),
      [
        { replica: 'digits-2', fromMs: 43, toMs: 43 },
        { replica: 'digits-1', fromMs: 90, toMs: Number.POSITIVE_INFINITY },
      ],
    );
  });

  it('are found beyond the bound, and not within it, after the end, or before', () => {
    const run = runOf(
      [...EJECTED, mark(4_000, 'restored')],
      [
        [99, 1_990],
        [149, 2_990],
        [160, 3_210],
        [210, 4_210],
      ],
    );
    assert.deepEqual(found(run), ['kill-outrider-160 executed there 1210 ms after it']);
  });

  it('are allowed for a call from before that waited in the queue there, for as long as that may take', () => {
    const run = runOf(EJECTED, [
      [99, 4_900],
      [98, 5_100],
    ]);
    assert.deepEqual(found(run), ['kill-outrider-98 executed there 3100 ms after it']);
  });

  it('are allowed as probes, as many as their rate', () => {
    const run = runOf(EJECTED, [
      [200, 4_010],
      [201, 4_030],
      [202, 4_050],
      [203, 4_070],
    ]);
    assert.equal(found(run).length, 4);
    assert.equal(found(run, { probesPerSecond: 1 }).length, 1);
  });

  it('are allowed while fewer than half of the endpoints are left, stand-ins apart', () => {
    const executions: [number, number][] = [[200, 4_010]];
    assert.equal(found(runOf([...EJECTED], executions)).length, 1);
    const alsoEjected = [...EJECTED, mark(3_000, 'ejected', 'digits-1')];
    assert.deepEqual(found(runOf(alsoEjected, executions)), []);
    assert.deepEqual(found(runOf([...EJECTED, mark(3_000, 'died', 'digits-3')], executions)), []);
    const over = [...alsoEjected, mark(3_500, 'restored', 'digits-1')];
    assert.equal(found(runOf(over, executions)).length, 1);
    const standIn = [...EJECTED, mark(3_000, 'ejected', 'digits-lite')];
    assert.equal(found(runOf(standIn, executions)).length, 1);
  });
});
