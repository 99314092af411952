/** What excuses a drill, and what does not. */

import assert from 'node:assert/strict';
import { disturbance } from './control.js';
import type { Load, SentCall } from './load.js';
import { Trial } from './row.js';

const call = (endMs: number, failure?: string): SentCall => ({
  ...{ id: `call-${endMs}`, startMs: 0, endMs, deadlineMs: 1_000, idempotent: true },
  ...{ status: failure === undefined ? 0 : 14, answers: 1, degraded: false, failure },
  answer: failure === undefined ? 'right' : 'none',
});

describe('a trial of the fault drills', () => {
  it('is excused by calls that go without the mesh, and late or failed', () => {
    assert.equal(disturbance([call(21), call(249)]), undefined);
    assert.equal(disturbance([call(21), call(260)]), 'a call without the mesh took 260 ms');
    assert.equal(disturbance([call(21), call(5, 'UNAVAILABLE')]), '1 calls without the mesh failed');
  });

  it('is not kept when calls through the mesh fail before anything is broken', async () => {
    const between = async () => [call(21), call(900, 'UNAVAILABLE')];
    const load = { between, lagSince: () => 0, lagMs: [] } as unknown as Load;
    const trial = new Trial('short');
    await trial.under(load, async () => {});
    assert.deepEqual(
      trial.criteria.map(({ promise, kept }) => [promise, kept]),
      [['no call fails before anything is broken', false]],
    );
  });

  it('is not kept when a call breaks an invariant of every history', async () => {
    const late = [call(1_501), call(1_502)];
    const between = async () => [call(21), { ...call(30), answers: 2 }, ...late];
    const load = { between, lagSince: () => 0, lagMs: [] } as unknown as Load;
    const trial = new Trial('short');
    await trial.under(load, async () => {});
    const broken = trial.criteria.filter(({ kept }) => !kept).map(({ promise, found }) => [promise, found]);
    assert.deepEqual(broken, [
      ['answered-once: one answer', 'call-30: 2 answers, status 0, and 0 more'],
      [
        "deadline-kept: over within 500 ms and 0 ms of its client's lateness after the deadline at 1000 ms",
        'call-1501: over 501 ms after the deadline, with status 0, and 1 more',
      ],
    ]);
  });
});
