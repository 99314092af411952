import assert from 'node:assert/strict';
import type { Arm } from '../../../../../sidecar/cli/chaos/arms/arm.js';
import type { Drill } from '../../../../../sidecar/cli/chaos/drills/drill.js';
import type { SkippedArm } from '../../../../../sidecar/cli/chaos/history/record.js';
import { runAll } from '../../../../../sidecar/cli/chaos/run/run-all.js';

const drill = (name: string, more: Partial<Drill> = {}): Drill => ({
  ...{ name, title: name, does: name, set: 'full' },
  begin: async () => {},
  ...more,
});

describe('a run of drills', () => {
  it('starts no arm for drills that do not concern it, and says why', async () => {
    const skipped: SkippedArm[] = [];
    const never = () => assert.fail('nothing is started');
    const arm: Arm = {
      name: 'pick-first',
      about: '',
      hasProxies: false,
      missing: async () => undefined,
      start: never,
    };
    await runAll({
      ...{ arms: [arm], self: [], pictures: [], pace: 'quick', repeats: 1, sleep: async () => {} },
      drills: [drill('consul-gone', { untouched: { 'pick-first': 'it asks no Consul' } })],
      ...{ onStart: never, onDrill: never, onRun: never, onSession: () => {} },
      onSkipped: (each) => skipped.push(each),
    });
    assert.deepEqual(skipped, [
      { drill: 'consul-gone', arm: 'pick-first', because: 'it asks no Consul', isUntouched: true },
    ]);
  });
});
