/** Two processes of one model, real ones, under load: the death of one fails no call that may be repeated. */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { protocols } from '../../../proto/load.js';
import type { ModelReport } from '../../../sidecar/telemetry/reports.js';
import { sumOfSamples } from '../../kit/process/metrics-page.js';
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
import { failure, TestClient } from '../../kit/service/model-server.js';

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

  const scrape = async (): Promise<string> => (await fetch(`http://${replica.admin}/metrics`)).text();

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

  it('are counted together: by ModelStatistics, with and without a name, and in the metrics by the names of Triton', async () => {
    const load = ModelLoad.start(client, { callers: 2 });
    await until('calls go through', () => load.ok > 50);
    await load.stop();
    const { ModelStatistics } = protocols().inference;
    const counted = async (name: string): Promise<number[]> => {
      const { model_stats: all } = await client.call(ModelStatistics, { name });
      assert.deepEqual(
        all.map((each) => [each.name, each.version]),
        [['digits', '1']],
      );
      return [Number(all[0]!.inference_stats!.success.count), Number(all[0]!.memory_usage[0]!.byte_size)];
    };
    const [success, memory] = (await counted('')) as [number, number];
    assert.ok(success >= load.ok, `${success} of ${load.ok}`);
    assert.ok(memory > 60_000_000, `two processes in ${memory} bytes`);
    assert.equal((await counted('digits'))[0], success);
    const { code, details } = await failure(client.call(ModelStatistics, { name: 'letters' }));
    assert.deepEqual([code, details], [5, "Request for unknown model: 'letters' is not found"]);
    const page = await scrape();
    const labels = { model: 'digits', version: '1' };
    assert.equal(sumOfSamples(page, 'nv_inference_request_success', labels), success);
    assert.equal(
      sumOfSamples(page, 'outrider_model_memory_bytes', { ...labels, instance: '2' }) > 30_000_000,
      true,
    );
    assert.match(page, /^# TYPE nv_inference_count counter$/m);
    const runs = sumOfSamples(page, 'nv_inference_exec_count', labels);
    assert.equal(sumOfSamples(page, 'outrider_model_batch_size_count', labels), runs);
    for (const part of ['request', 'queue', 'compute_input', 'compute_infer', 'compute_output'])
      assert.ok(page.includes(`nv_inference_${part}_duration_us{`), part);
  });

  it('lose one to SIGKILL under load: no call fails, the model stays ready, and the process comes back', async () => {
    const counted = sumOfSamples(await scrape(), 'nv_inference_request_success');
    assert.ok(counted > 0);
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
    await client.call(protocols().inference.ModelStatistics, {});
    const now = sumOfSamples(await scrape(), 'nv_inference_request_success');
    assert.ok(now >= counted, `the count went from ${counted} to ${now} when processes were started again`);
  });
});
