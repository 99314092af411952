import assert from 'node:assert/strict';
import type { MeshControl } from '../../../../../sidecar/cli/chaos/mesh/control.js';
import type { Replica } from '../../../../../sidecar/cli/chaos/mesh/members.js';
import { MESH_DRILLS } from '../../../../../sidecar/cli/chaos/mesh/mesh-drills.js';

const REPLICAS: readonly Replica[] = ['a', 'b', 'c'].map((name, i) => ({
  ...{ name, admin: { kind: 'tcp', host: '127.0.0.1', port: i + 1 }, permission: 'processes', faultsOn: 0 },
}));

/** What a drill asks the sidecars for, in order. */
async function asked(name: string, usualMs = 10): Promise<string[]> {
  const seen: string[] = [];
  const note = (what: string) => async (replica: Replica, ms?: number) =>
    void seen.push(`${what} ${replica.name}${ms === undefined ? '' : ` ${ms}`}`);
  const control = {
    ...{ kill: note('kill'), freeze: note('freeze'), delay: note('delay'), fail: note('fail') },
    ...{ clear: note('clear'), restart: note('restart') },
  } as unknown as MeshControl;
  const drill = MESH_DRILLS.find((each) => each.name === name)!;
  await drill.begin({
    ...{ control, replicas: REPLICAS, victim: REPLICAS[1]!, usualMs, faultMs: 5_000 },
    mark: () => {},
    sleep: async () => void seen.push('sleep'),
    untilWhole: async () => void seen.push('whole'),
  });
  return seen;
}

describe('drills for a running mesh', () => {
  it('touch one replica', async () => {
    for (const { name } of MESH_DRILLS.filter((drill) => drill.name !== 'rolling-restart'))
      for (const line of (await asked(name)).filter((each) => each !== 'sleep'))
        assert.match(line, / b( |$)/, name);
  });

  it('restart a replica only after the one before it is back', async () => {
    assert.deepEqual(await asked('rolling-restart'), [
      'restart a',
      'whole',
      'restart b',
      'whole',
      'restart c',
      'whole',
    ]);
  });

  it('make a replica ten times slower than it is, within bounds', async () => {
    for (const [usualMs, delayMs] of [
      [20, 180],
      [0.5, 50],
      [9_000, 2_000],
    ])
      assert.deepEqual(await asked('slow', usualMs), [`delay b ${delayMs}`]);
  });

  it('need the permission for what they do', () => {
    const needs = Object.fromEntries(MESH_DRILLS.map((drill) => [drill.name, drill.needs]));
    assert.deepEqual(needs, {
      ...{ delay: 'calls', slow: 'calls', 'error-burst': 'calls', flapping: 'calls' },
      ...{ kill: 'processes', freeze: 'processes', 'rolling-restart': 'processes' },
    });
  });
});
