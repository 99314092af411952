import assert from 'node:assert/strict';
import { IntentionsFailure } from '../../../../sidecar/cli/consul/write-intentions.js';
import type { Fleet } from '../../../../sidecar/cli/up/fleet.js';
import { MeshReload, type MeshReloadOutcome } from '../../../../sidecar/cli/up/mesh-reload.js';
import { loadMeshFile } from '../../../../sidecar/config/file/load.js';
import type { MeshConfig } from '../../../../sidecar/config/model.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

describe('a mesh file that changes', () => {
  const scratch = scratchForEach();
  let outcomes: MeshReloadOutcome[];
  let written: MeshConfig[];
  let refusal: Error | undefined;
  let planned: MeshConfig[];
  let clock: ManualClock;
  let reload: MeshReload;

  beforeEach(() => {
    [outcomes, written, planned, refusal] = [[], [], [], undefined];
    clock = new ManualClock();
  });

  const text = (action: string, more = '') =>
    `services: { digits: { command: [serve, '{port}'] } }\ncaller: { name: web, upstreams: { digits: { listen: '127.0.0.1:0' } } }\nintentions: [{ from: web, to: digits, action: ${action} }]\n${more}`;

  /** Runs with the first text, and is told of the second. */
  async function reloaded(before: string, after: string, ownAgent: boolean): Promise<MeshReloadOutcome> {
    const file = scratch.write('mesh.yaml', before);
    const loaded = loadMeshFile(file, { models: 'directory' });
    assert.ok(loaded.ok, JSON.stringify(loaded));
    reload = new MeshReload(loaded.config, {
      file,
      timers: clock,
      fleet: { states: [] } as unknown as Fleet,
      plan: async (mesh) => {
        planned.push(mesh);
        return [];
      },
      check: () => {},
      writeIntentions: ownAgent
        ? async (mesh) => {
            written.push(mesh);
            if (refusal !== undefined) throw refusal;
            return ['intention web → digits: deny'];
          }
        : undefined,
      onSpecs: () => {},
      report: (outcome) => outcomes.push(outcome),
    });
    scratch.write('mesh.yaml', after);
    await reload.reload();
    return outcomes.at(-1)!;
  }

  for (const [what, block] of [
    ['without a block consul', ''],
    ['with one', 'consul: {}\n'],
  ] as const)
    it(`has its intentions written into the agent of --consul dev, ${what}`, async () => {
      const outcome = await reloaded(text('allow', block), text('deny', block), true);
      assert.deepEqual(outcome, {
        kind: 'taken',
        changed: ['intention web → digits: deny'],
        needsRestart: [],
      });
      assert.deepEqual(
        written.map(({ intentions }) => intentions.map(({ action }) => action)),
        [['deny']],
      );
    });

  it('changes nothing where the agent takes no intention', async () => {
    refusal = new Error('consul did not take the intention');
    const outcome = await reloaded(text('allow'), text('deny'), true);
    assert.deepEqual(outcome, { kind: 'refused', problem: 'consul did not take the intention' });
  });

  it('is tried again, and reported once, where the agent takes no intention now', async () => {
    refusal = new IntentionsFailure('consul did not list its intentions: 500 no leader', [], true);
    const outcome = await reloaded(text('allow'), text('deny'), true);
    const problem = 'consul did not list its intentions: 500 no leader; it is tried again';
    assert.deepEqual(outcome, { kind: 'refused', problem });
    await clock.settle(999);
    assert.equal(written.length, 1);
    for (const [waitMs, writes] of [
      [1, 2],
      [2_000, 3],
      [4_000, 4],
    ] as const) {
      await clock.settle(waitMs);
      assert.deepEqual([written.length, outcomes.length], [writes, 1]);
    }
    refusal = undefined;
    await clock.settle(8_000);
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['refused', 'taken'],
    );
    assert.equal(clock.pending(), 0);
  });

  it('says which intentions the agent has kept, and is tried again until it has all', async () => {
    refusal = new IntentionsFailure('consul did not take it', ['intention web → digits: deny'], true);
    const outcome = await reloaded(text('allow'), text('deny'), true);
    const problem = 'consul did not take it; it is tried again';
    assert.deepEqual(outcome, { kind: 'partly-taken', changed: ['intention web → digits: deny'], problem });
    for (let i = 0; i < 20; i++) await clock.settle(30_000);
    assert.ok(written.length > 20 && outcomes.length === 1);
    // A change of the file is reported again, and ends the wait.
    await reload.reload();
    assert.equal(outcomes.length, 2);
    refusal = undefined;
    await reload.reload();
    assert.deepEqual([outcomes.at(-1)!.kind, clock.pending()], ['taken', 0]);
  });

  it('is not tried again where the agent will not take an intention, nor once the mesh ends', async () => {
    refusal = new IntentionsFailure('consul did not take it: 400', [], false);
    const outcome = await reloaded(text('allow'), text('deny'), true);
    assert.deepEqual(outcome, { kind: 'refused', problem: 'consul did not take it: 400' });
    assert.equal(clock.pending(), 0);
    refusal = new IntentionsFailure('consul did not take it: 400', ['intention web → digits: deny'], false);
    await reload.reload();
    assert.deepEqual([outcomes.at(-1)!.kind, clock.pending()], ['partly-taken', 0]);
    refusal = new IntentionsFailure('consul did not take it', [], true);
    await reload.reload();
    reload.close();
    assert.equal(clock.pending(), 0);
    await reload.reload();
    assert.equal(clock.pending(), 0);
  });

  it('says that intentions have no effect where an agent that is not ours decides', async () => {
    const outcome = await reloaded(text('allow', 'consul: {}\n'), text('deny', 'consul: {}\n'), false);
    assert.deepEqual(outcome, { kind: 'taken', changed: [], needsRestart: ['intentions'] });
    assert.equal(planned[0]!.intentions[0]!.action, 'allow');
  });
});
