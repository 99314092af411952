/** What excuses a drill, and what does not. */

import assert from 'node:assert/strict';
import { disturbance } from './control.js';
import type { Load, SentCall } from './load.js';
import { Trial } from './row.js';

const call = (endMs: number, failure?: string): SentCall => ({
  ...{ startMs: 0, endMs, status: 0, answers: 1, degraded: false, failure },
});

describe('a trial of the fault drills', () => {
  it('is excused by calls that go without the mesh, and late or failed', () => {
    assert.equal(disturbance([call(21), call(249)]), undefined);
    assert.equal(disturbance([call(21), call(260)]), 'a call without the mesh took 260 ms');
    assert.equal(disturbance([call(21), call(5, 'UNAVAILABLE')]), '1 calls without the mesh failed');
  });

  it('is not kept when calls through the mesh fail before anything is broken', async () => {
    const between = async () => [call(21), call(900, 'UNAVAILABLE')];
    const load = { between, lagSince: () => 0 } as unknown as Load;
    const trial = new Trial('short');
    await trial.under(load, async () => {});
    assert.deepEqual(
      trial.criteria.map(({ promise, kept }) => [promise, kept]),
      [['no call fails before anything is broken', false]],
    );
  });

  it('is not kept when a call is answered twice', async () => {
    const between = async () => [call(21), { ...call(30), answers: 2 }];
    const load = { between, lagSince: () => 0 } as unknown as Load;
    const trial = new Trial('short');
    await trial.under(load, async () => {});
    const broken = trial.criteria.filter(({ kept }) => !kept);
    assert.deepEqual(broken, [
      {
        ...{ promise: 'Each call is answered exactly once.', kept: false },
        found: '2 answers, status 0 to call 1, and 0 more',
      },
    ]);
  });
});
