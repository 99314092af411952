import assert from 'node:assert/strict';
import type { Arm, Standing } from '../../../../../sidecar/cli/chaos/arms/arm.js';
import type { Drill } from '../../../../../sidecar/cli/chaos/drills/drill.js';
import type { SkippedArm } from '../../../../../sidecar/cli/chaos/history/record.js';
import { type RunPlan, runAll } from '../../../../../sidecar/cli/chaos/run/run-all.js';

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
      ...{ isEnding: () => false, onFailed: never },
      drills: [drill('consul-gone', { untouched: { 'pick-first': 'it asks no Consul' } })],
      ...{ onStart: never, onDrill: never, onRun: never, onSession: () => {} },
      onSkipped: (each) => skipped.push(each),
    });
    assert.deepEqual(skipped, [
      { drill: 'consul-gone', arm: 'pick-first', because: 'it asks no Consul', isUntouched: true },
    ]);
  });

  describe('in which something fails', () => {
    const drills = [drill('kill'), drill('slow')];
    const arm = (name: Arm['name'], start: Arm['start']): Arm => ({
      ...{ name, start, about: '', hasProxies: true, missing: async () => undefined },
    });
    const plan = (arms: readonly Arm[], told: string[], isEnding = false): RunPlan => ({
      ...{ arms, drills, self: [], pictures: [], pace: 'quick', repeats: 2, sleep: async () => {} },
      ...{ isEnding: () => isEnding, onDrill: () => {}, onSession: () => {} },
      onStart: ({ name }) => told.push(`${name} starts`),
      onRun: () => assert.fail('nothing is run to its end'),
      onSkipped: () => assert.fail('nothing is left out'),
      onFailed: (each) => told.push(`${each.arm} ${each.drill}: ${each.because}`),
    });
    const away = async () => Promise.reject(new Error('it is away\nat length'));

    it('tells of each drill of an arm that does not start, once, and goes on with the next arm', async () => {
      const told: string[] = [];
      await runAll(plan([arm('outrider', away), arm('envoy', away)], told));
      assert.deepEqual(told, [
        ...['outrider starts', 'outrider kill: it is away', 'outrider slow: it is away'],
        ...['envoy starts', 'envoy kill: it is away', 'envoy slow: it is away'],
      ]);
    });

    it('starts the arm anew after a drill that failed in it', async () => {
      const told: string[] = [];
      const standing = {
        ...{ wires: [], endpoints: undefined, pids: undefined, kill: () => {} },
        client: () => {
          throw new Error('no way');
        },
        stop: async () => void told.push('it is stopped'),
      };
      const broken = arm('outrider', async () => standing as unknown as Standing);
      await runAll({ ...plan([broken], told), repeats: 1 });
      const once = (name: string) => ['outrider starts', `outrider ${name}: no way`, 'it is stopped'];
      assert.deepEqual(told, [...once('kill'), ...once('slow')]);
    });

    it('ends where it was asked to end', async () => {
      const told: string[] = [];
      await assert.rejects(
        runAll(plan([arm('outrider', away), arm('envoy', away)], told, true)),
        /it is away/,
      );
      assert.deepEqual(told, ['outrider starts']);
    });
  });
});
