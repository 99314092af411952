import assert from 'node:assert/strict';
import type { CallDetector, SweepDetector } from '../../../../sidecar/core/outlier/detector.js';
import {
  activeDetectors,
  DETECTOR_NAMES,
  DETECTORS,
  Detector,
  type DetectorSettings,
  signalsOf,
} from '../../../../sidecar/core/outlier/detectors.js';
import { EjectionEvent, EjectionState } from '../../../../sidecar/core/outlier/ejection.js';
import type { OutcomeWindow } from '../../../../sidecar/core/outlier/outcome-window.js';
import { ejectionPool, sweep } from '../../../kit/core/ejections.js';
import { afterTest } from '../../../kit/mocha/after-test.js';

describe('DETECTORS', () => {
  it('takes a new detector as one line of the table, and a pool ejects what it finds', () => {
    /** An endpoint that answers nothing but that it is full. */
    const alwaysFull: SweepDetector<OutcomeWindow, { readonly minCalls: number }> = {
      name: 'always-full',
      goesByFaults: false,
      reads: 'outcomes',
      find: (windows, { minCalls }) =>
        windows.map(({ calls, overloads }) => {
          const finding = { why: `full at ${overloads} calls`, severity: overloads };
          return calls > 0 || overloads < minCalls ? undefined : finding;
        }),
    };
    const table: Record<string, CallDetector> = Object.assign(DETECTORS, { alwaysFull });
    afterTest(() => delete table['alwaysFull']);
    const detectors = { alwaysFull: { mode: 'enforce', minCalls: 3 } } as DetectorSettings;
    const { pool, a, b } = ejectionPool(3, { detectors });
    for (let i = 0; i < 3; i++) a.outcomes!.overload(0);
    for (let i = 0; i < 2; i++) b.outcomes!.overload(0);
    assert.deepEqual(sweep(pool, 0), [EjectionEvent.ejected]);
    const { ejected, admitted } = EjectionState;
    assert.deepEqual([a.state, a.why, b.state], [ejected, 'full at 3 calls', admitted]);
    const number = Object.keys(DETECTORS).length - 1;
    assert.deepEqual([pool.counts.by[number]!.enforced, a.ejectionsBy[number]], [1, 1]);
  });

  it('numbers and names detectors by their place in the table', () => {
    const byFaults = ['consecutive-faults', 'success-ratio', 'success-rate', 'failure-ratio'];
    const others = ['latency', 'invalid-output', 'short-lived-connections', 'model-unavailable'];
    assert.deepEqual(DETECTOR_NAMES, [...byFaults, ...others]);
    assert.deepEqual([Detector.consecutive, Detector.latency, Detector.modelUnavailable], [0, 4, 7]);
  });

  it('needs only what the detectors that are on read', () => {
    const active = activeDetectors({
      consecutive: { mode: 'enforce' },
      successRatio: { mode: 'off', below: 0.8, minCalls: 5 },
      latency: { mode: 'observe', factor: 3, minCalls: 20 },
    });
    assert.deepEqual([...signalsOf(active)], ['latencies']);
    assert.deepEqual(activeDetectors(undefined), []);
  });
});
