/**
 * The example of everything, run as it stands but for its ports: it comes up, its decisions are seen at work, and what
 * its sidecars say in numbers is what the page of metrics says, in both directions.
 */
import assert from 'node:assert/strict';
import { digitLoad } from '../../drills/faults/digit-load.js';
import type { Load } from '../../drills/faults/load.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { metricsPage, scraped, sumOfSamples } from '../../kit/process/metrics-page.js';
import { admin, reportOf } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { exampleOnFreePorts, SuiteMesh } from '../../kit/process/suite-mesh.js';

/** What belongs to sidecars that read Consul, DNS or Kubernetes, or whose peers ask how the model is in general. */
const ELSEWHERE =
  /^(?:gen_ai_|outrider_(?:consul_|dns_|engine_|queue_waiting_tokens$|tokens_reserved$|kubernetes_|model_|audit_|trace|spans_|metric_points_|metric_export_))/;

describe('mesh-config/resilient.yaml', function () {
  this.timeout(120_000);

  const mesh = new SuiteMesh(exampleOnFreePorts('resilient.yaml'));
  const metrics = async (sidecar = mesh.caller) => (await admin(sidecar.admin, '/metrics')).body;
  const total = async (name: string, labels = {}): Promise<number> =>
    sumOfSamples(await metrics(), name, labels);
  async function start(perSecond: number): Promise<Load> {
    const load = await digitLoad({ target: mesh.target, perSecond, deadlineMs: 5_000 });
    afterTest(() => load.stop());
    return load;
  }

  it('comes up and reads a seven', async () => {
    const answer = await mesh.infer();
    assert.match(answer.stdout, /^7 /, answer.stderr);
  });

  it('sends calls that ask for it to the next version', async () => {
    assert.equal((await mesh.infer('--metadata', 'x-canary=yes')).code, 0);
    assert.ok((await total('outrider_split_total', { to: 'digits-next' })) >= 1);
  });

  it('aborts calls while a drill lasts, and no longer', async () => {
    const started = await admin(mesh.caller.admin, '/faults?upstream=digits&abort=unavailable', 'POST');
    assert.equal(started.status, 201, started.body);
    const { code, stderr } = await mesh.infer();
    assert.notEqual(code, 0);
    assert.match(stderr, /fault-injected/);
    await admin(mesh.caller.admin, '/faults', 'DELETE');
    assert.equal((await mesh.infer()).code, 0);
  });

  it('says of each endpoint how it is', async () => {
    const { endpoints } = await reportOf(mesh.caller.admin);
    assert.deepEqual(
      endpoints.map(({ endpoint }) => endpoint),
      ['digits-1', 'digits-2', 'digits-3', 'digits-lite-1', 'digits-next-1'],
    );
    for (const each of endpoints) {
      const { state, why, sinceMs, ewmaMs, inFlight, recentCalls } = each;
      const types = [state, why, sinceMs, ewmaMs, inFlight, recentCalls].map((value) => typeof value);
      assert.deepEqual(types, ['string', 'string', 'number', 'number', 'number', 'number']);
    }
  });

  it('sends copies of some calls to the smaller model, and compares the answers', async () => {
    const load = await start(50);
    await until('a copy was compared', async () => (await total('outrider_mirror_compared_total')) >= 1);
    await load.stop();
    assert.deepEqual(load.failures, []);
  });

  it('answers from the smaller model while the replicas are frozen', async () => {
    const replicas = mesh.facts.sidecars.filter(({ service }) => service === 'digits');
    const stop = (signal: NodeJS.Signals) => {
      for (const { pid } of replicas) process.kill(pid, signal);
    };
    const load = await start(20);
    afterTest(() => stop('SIGCONT'));
    stop('SIGSTOP');
    const degraded = () => total('outrider_degraded_answers_total', { from: 'digits-lite' });
    await until('the small one answers', async () => (await degraded()) >= 5);
    stop('SIGCONT');
    await load.stop();
    assert.ok(load.answered > 5, JSON.stringify(load.failures.slice(0, 3)));
  });

  it('has the numbers that the page of metrics describes, and no others', async () => {
    const page = metricsPage();
    const live = scraped(await Promise.all(mesh.facts.sidecars.map((sidecar) => metrics(sidecar))));
    for (const [name, { kind, help, labels }] of live) {
      const said = page.get(name);
      assert.ok(said !== undefined, `${name} is not on the page`);
      assert.deepEqual([said.kind, said.help], [kind, help], name);
      for (const label of labels) assert.ok(said.labels.includes(label), `${name} has a label ${label}`);
    }
    const missing = [...page.keys()].filter((name) => !live.has(name) && !ELSEWHERE.test(name));
    assert.deepEqual(missing, []);
  });
});
