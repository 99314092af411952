/** Two processes of one model, real ones, under load: the death of one fails no call that may be repeated. */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelReport } from '../../../sidecar/telemetry/reports.js';
import {
  DIGITS_MODELS,
  Mesh,
  reportOf,
  Scratch,
  type SidecarFacts,
  type UpFacts,
} from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { ModelLoad } from '../../kit/service/model-load.js';
import { TestClient } from '../../kit/service/model-server.js';

describe('two instances of one model', function () {
  this.timeout(90_000);

  let scratch: Scratch;
  let mesh: Mesh;
  let facts: UpFacts;
  let replica: SidecarFacts;
  let client: TestClient;

  before(async () => {
    scratch = new Scratch();
    const models = join(scratch.path, 'models');
    cpSync(join(DIGITS_MODELS, 'digits'), join(models, 'digits'), { recursive: true });
    mesh = Mesh.start(`
services:
  mine:
    models: ${models}
    instances: 2
    routes: [{ methods: [/inference.GRPCInferenceService/ModelInfer], idempotent: true }]
caller: { name: app, admin: 127.0.0.1:0, upstreams: { mine: { listen: 127.0.0.1:0 } } }
intentions: [{ from: app, to: mine, action: allow }]
`);
    facts = await mesh.ready();
    replica = facts.sidecars.find(({ role }) => role === 'replica')!;
    client = new TestClient(facts.call['mine']!);
    await until('both are ready', async () => (await instances()).every(({ state }) => state === 'ready'));
  });
  after(async () => {
    client?.close();
    await mesh.discard();
    scratch.remove();
  });

  const instances = async (): Promise<readonly ModelReport[]> => (await reportOf(replica.admin)).models!;

  it('are two processes behind one queue, whose places are those of both', async () => {
    const all = await instances();
    assert.deepEqual(
      all.map(({ name, instance, state }) => [name, instance, state]),
      [
        ['digits', 1, 'ready'],
        ['digits', 2, 'ready'],
      ],
    );
    assert.notEqual(all[0]!.pid, all[1]!.pid);
    const { queue } = await reportOf(replica.admin);
    assert.equal(queue!.concurrency % 2, 0);
  });

  it('lose one to SIGKILL under load: no call fails, the model stays ready, and the process comes back', async () => {
    const load = ModelLoad.start(client, { callers: 4 });
    await until('calls go through', () => load.ok > 50);
    for (let round = 0; round < 2; round++) {
      const [victim, other] = round === 0 ? await instances() : [...(await instances())].reverse();
      process.kill(victim!.pid!, 'SIGKILL');
      await until('it is back', async () => {
        const now = (await instances()).find(({ instance }) => instance === victim!.instance)!;
        return now.state === 'ready' && now.pid !== victim!.pid;
      });
      const same = (await instances()).find(({ instance }) => instance === other!.instance)!;
      assert.equal(same.pid, other!.pid, 'the other one goes on');
      const { ok } = load;
      await until('calls go on', () => load.ok > ok + 50);
    }
    await load.stop();
    assert.deepEqual(load.failures, []);
  });
});
