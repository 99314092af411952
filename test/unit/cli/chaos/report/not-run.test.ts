import assert from 'node:assert/strict';
import { notReached, notRun } from '../../../../../sidecar/cli/chaos/report/not-run.js';

describe('what was not run', () => {
  it('is named once by drill, where no arm was run with it', () => {
    const because = 'only root may do that';
    const skipped = [
      { drill: 'disk', arm: 'outrider', because },
      { drill: 'disk', arm: 'envoy', because },
      { drill: 'kill', arm: 'envoy', because: 'envoy does not start' },
      { drill: 'gone', arm: 'envoy', because: 'static addresses', isUntouched: true },
    ] as const;
    assert.deepEqual(notRun(skipped, [{ drill: 'kill' }]), [{ drill: 'disk', because }]);
  });

  it('is after an early end all that was meant to be run, but what was, or was left out for a reason of its own', () => {
    const plan = {
      arms: [{ name: 'outrider' }, { name: 'envoy' }],
      drills: [{ name: 'kill' }, { name: 'gone' }],
    } as const;
    const ran = {
      runs: [{ drill: 'kill', arm: 'outrider' }],
      skipped: [{ drill: 'gone', arm: 'envoy', because: 'static addresses', isUntouched: true }],
    } as const;
    const because = 'ended by SIGINT';
    assert.deepEqual(notReached(plan, ran, because), [
      { drill: 'kill', arm: 'envoy', because },
      { drill: 'gone', arm: 'outrider', because },
    ]);
  });
});
