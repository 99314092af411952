import assert from 'node:assert/strict';
import { drillsInMetrics, drillsOf } from '../../../../sidecar/cli/page/drills.js';

describe('drills that are on, in sentences', () => {
  it('say of an admin port which calls are struck, how, and for how long still', () => {
    const fault = {
      id: 1,
      side: 'outbound',
      upstream: 'digits',
      method: '*',
      ratio: 0.5,
      delayMs: 20,
      abort: 'UNAVAILABLE',
      leftMs: 9_500,
      injected: 3,
    } as const;
    assert.deepEqual(drillsOf([fault], [{ process: 'freeze', model: 'digits', pid: 7, leftMs: 1_000 }]), [
      '50 % of the calls (digits, *) are delayed by 20 ms and aborted with UNAVAILABLE, 10 s more; 3 so far',
      'the model process 7 of digits is frozen, 1 s more',
    ]);
    assert.deepEqual(drillsOf([], [{ process: 'kill', pid: 7, leftMs: 0 }]), []);
  });

  it('say of metrics which side is struck, and nothing of faults that are over', () => {
    const metrics = `outrider_faults_active{direction="outbound",kind="abort"} 2
outrider_faults_active{direction="outbound",kind="delay"} 0
outrider_faults_active{direction="inbound",kind="freeze"} 1
outrider_faults_injected_total{direction="outbound",kind="abort"} 12
outrider_faults_injected_total{direction="outbound",kind="delay"} 40
`;
    assert.deepEqual(drillsInMetrics(metrics), [
      'outbound calls are aborted; 12 since its start',
      'a model process is frozen',
    ]);
    assert.deepEqual(drillsInMetrics(''), []);
  });
});
