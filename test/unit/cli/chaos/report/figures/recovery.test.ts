import assert from 'node:assert/strict';
import type { CallRecord } from '../../../../../../sidecar/cli/chaos/history/record.js';
import { recoveriesOf } from '../../../../../../sidecar/cli/chaos/report/figures/recovery.js';
import { madeRun } from '../../../../../kit/chaos/made-history.js';
import { seeded } from '../../../../../kit/time/seeded-random.js';

/** The fault begins at 3 s of 10 s, and calls are made every 10 ms; without a change none is harmed. */
const CLEAN = madeRun({ random: seeded(3), callsPerSecond: 100, degradeForMs: 0, ejectAfterMs: undefined });

/** The time to recovery with calls changed that begin in a time of the run. */
function recovered(
  fromMs: number,
  toMs: number,
  change: (call: CallRecord, i: number) => Partial<CallRecord>,
) {
  const calls = CLEAN.calls.map((call, i) =>
    call.startMs >= fromMs && call.startMs < toMs ? { ...call, ...change(call, i) } : call,
  );
  return recoveriesOf({ ...CLEAN, calls }).whole;
}

const failed = (): Partial<CallRecord> => ({ status: 14, answer: 'none' });
const slow =
  (ms: number) =>
  (call: CallRecord): Partial<CallRecord> => ({ endMs: call.startMs + ms });

describe('the time to full recovery', () => {
  it('is 0 where nothing was harmed, and undefined where no fault is marked', () => {
    assert.equal(recovered(0, 0, failed), 0);
    assert.equal(recoveriesOf({ ...CLEAN, marks: [] }).whole, undefined);
  });

  it('is the end of the last window with a failed, wrong or degraded call', () => {
    assert.equal(recovered(3_000, 3_010, failed), 500);
    assert.equal(recovered(4_600, 4_610, failed), 2_000);
    assert.equal(
      recovered(4_600, 4_610, () => ({ answer: 'wrong' })),
      2_000,
    );
    assert.equal(
      recovered(4_600, 4_610, () => ({ degraded: true })),
      2_000,
    );
    assert.equal(recovered(1_000, 1_010, failed), 0, 'before the fault');
    const inFlight = (): Partial<CallRecord> => ({ ...failed(), endMs: 3_040 });
    assert.equal(recovered(2_500, 2_510, inFlight), 500, 'in flight at its begin');
    assert.equal(
      recovered(4_600, 4_610, () => ({ ...failed(), isFault: true })),
      0,
      'the fault itself',
    );
  });

  it('lasts while more than one call of twenty is much slower than before the fault', () => {
    // Of the 50 calls of a window 45 are of the main model; the others are too few before the fault to have a limit.
    assert.equal(recovered(3_600, 3_610, slow(150)), 0);
    assert.equal(recovered(3_600, 3_660, slow(90)), 0, 'by less than 100 ms');
    assert.equal(recovered(3_600, 3_660, slow(150)), 1_000);
  });

  it('leaves out how late the clients were: calls that waited for them are not slow, and those beyond it are', () => {
    const late = (lagMs: number, callMs: number) => {
      const clientLagMs = CLEAN.clientLagMs.map((ms, i) => (i >= 35 && i <= 37 ? lagMs : ms));
      const calls = CLEAN.calls.map((call) =>
        call.startMs >= 3_600 && call.startMs < 3_660 ? { ...call, ...slow(callMs)(call) } : call,
      );
      return recoveriesOf({ ...CLEAN, calls, clientLagMs }).whole;
    };
    assert.equal(late(2, 150), 1_000);
    assert.equal(late(140, 150), 0);
    assert.equal(late(140, 400), 1_000);
  });

  it('is told without one bad call too, where that call alone makes it longer', () => {
    const both = (...bad: readonly (readonly [fromMs: number, toMs: number])[]) => {
      const isBad = ({ startMs }: CallRecord) => bad.some(([from, to]) => startMs >= from && startMs < to);
      const { whole, lessOne } = recoveriesOf({
        ...CLEAN,
        calls: CLEAN.calls.map((call) => (isBad(call) ? { ...call, ...failed() } : call)),
      });
      return [whole, lessOne];
    };
    assert.deepEqual(both(), [0, 0]);
    assert.deepEqual(both([4_600, 4_610]), [2_000, 0]);
    assert.deepEqual(both([3_000, 3_010], [4_600, 4_610]), [2_000, 500]);
    assert.deepEqual(both([3_000, 3_010], [4_600, 4_620]), [2_000, 2_000], 'two calls');
    assert.deepEqual(both([3_000, 3_010], [9_900, 9_910]), ['never', 500]);
  });

  it('is the longest one of a fault that begins twice, each up to the next begin', () => {
    const again = { ...CLEAN.marks.find(({ kind }) => kind === 'fault-began')!, atMs: 5_000 };
    const twice = (...bad: readonly (readonly [fromMs: number, toMs: number, endMs?: number])[]) => {
      const calls = CLEAN.calls.map((call) => {
        const found = bad.find(([from, to]) => call.startMs >= from && call.startMs < to);
        return found === undefined ? call : { ...call, ...failed(), endMs: found[2] ?? call.endMs };
      });
      const { whole, lessOne } = recoveriesOf({ ...CLEAN, calls, marks: [...CLEAN.marks, again] });
      return [whole, lessOne];
    };
    assert.deepEqual(twice(), [0, 0]);
    assert.deepEqual(twice([3_000, 3_020], [5_000, 5_020]), [500, 500]);
    assert.deepEqual(twice([4_980, 5_000, 5_010]), [500, 500], 'in flight at the second begin');
    assert.deepEqual(twice([3_600, 3_620], [5_000, 5_020]), [1_000, 1_000]);
    assert.deepEqual(twice([3_000, 3_020], [6_100, 6_110]), [1_500, 500]);
    assert.deepEqual(twice([4_900, 4_920]), [2_000, 2_000], 'not good when the second begins');
  });

  it('is never where the last window is not good', () => {
    assert.equal(recovered(3_000, 10_000, failed), 'never');
    assert.equal(recovered(9_900, 9_910, failed), 'never');
    assert.equal(recovered(9_400, 9_410, failed), 6_500);
  });
});
