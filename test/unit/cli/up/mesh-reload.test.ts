import assert from 'node:assert/strict';
import type { Fleet } from '../../../../sidecar/cli/up/fleet.js';
import { MeshReload, type MeshReloadOutcome } from '../../../../sidecar/cli/up/mesh-reload.js';
import { loadMeshFile } from '../../../../sidecar/config/file/load.js';
import type { MeshConfig } from '../../../../sidecar/config/model.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

describe('a mesh file that changes', () => {
  const scratch = scratchForEach();
  let outcomes: MeshReloadOutcome[];
  let written: MeshConfig[];
  let refusal: Error | undefined;
  let planned: MeshConfig[];

  beforeEach(() => {
    [outcomes, written, planned, refusal] = [[], [], [], undefined];
  });

  const text = (action: string, more = '') =>
    `services: { digits: { command: [serve, '{port}'] } }\ncaller: { name: web, upstreams: { digits: { listen: '127.0.0.1:0' } } }\nintentions: [{ from: web, to: digits, action: ${action} }]\n${more}`;

  /** Runs with the first text, and is told of the second. */
  async function reloaded(before: string, after: string, ownAgent: boolean): Promise<MeshReloadOutcome> {
    const file = scratch.write('mesh.yaml', before);
    const loaded = loadMeshFile(file, { models: 'directory' });
    assert.ok(loaded.ok, JSON.stringify(loaded));
    const reload = new MeshReload(loaded.config, {
      file,
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

  it('says that intentions have no effect where an agent that is not ours decides', async () => {
    const outcome = await reloaded(text('allow', 'consul: {}\n'), text('deny', 'consul: {}\n'), false);
    assert.deepEqual(outcome, { kind: 'taken', changed: [], needsRestart: ['intentions'] });
    assert.equal(planned[0]!.intentions[0]!.action, 'allow');
  });
});
