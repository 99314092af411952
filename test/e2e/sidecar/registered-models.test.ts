/** A model that is loaded and unloaded at one of two instances while both serve, with a real Consul: callers follow the registration. */
import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { ConsulServer, consulOrSkip } from '../../kit/consul/consul.js';
import { closingAfterSuite } from '../../kit/mocha/after-suite.js';
import { freePort } from '../../kit/process/free-port.js';
import { DIGITS_MODELS, OUTRIDER, Scratch } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';
import { ModelLoad } from '../../kit/service/model-load.js';
import { failure, TestClient } from '../../kit/service/model-server.js';

interface Registered {
  readonly ServiceMeta: Readonly<Record<string, string>>;
  readonly ServiceID: string;
}

describe('Models of an instance in Consul', function () {
  this.timeout(120_000);
  const open = closingAfterSuite();
  let consul: ConsulServer;
  let scratch: Scratch;
  let caller: SidecarProcess;
  let client: TestClient;
  let load: ModelLoad;
  const instances: SidecarProcess[] = [];

  const models = (i: number, ...more: readonly string[]): string =>
    join(scratch.path, `models-${i}`, ...more);

  before(async function () {
    await consulOrSkip(this);
    consul = await open(ConsulServer.start(), (it) => it.stop());
    const bench = await open(SidecarBench.open(), (it) => it.close());
    scratch = await open(new Scratch(), (it) => it.remove());
    const inbound = [await freePort(), await freePort()];
    const target = await freePort();
    const registry = { address: consul.url };
    for (const [i, port] of inbound.entries()) {
      cpSync(join(DIGITS_MODELS, 'digits'), models(i, 'digits'), { recursive: true });
      const serve = ['serve', '--models', models(i), '--model', '{model}={version}', '--listen', '{socket}'];
      const command = [...OUTRIDER, ...serve, '--exit-with-stdin'];
      const repository = { control: 'poll', poll: '500ms' };
      const file = {
        ...{ service: 'mine', instance: `mine-${i}`, consul: registry },
        model: { command, isolation: 'process', repository },
        inbound: {
          listen: `127.0.0.1:${port}`,
          local: `unix:${join(scratch.path, `model-${i}.sock`)}`,
          golden: { models: models(i) },
        },
      };
      instances.push(await bench.start(`mine-${i}`, file));
    }
    // What a busy machine does to the times of one of two instances is not what this is about.
    const ejection = { detectors: { latency: { mode: 'observe' } } };
    caller = await bench.start('app', {
      ...{ service: 'app', consul: registry },
      outbound: { upstreams: { mine: { listen: `127.0.0.1:${target}`, ejection } } },
    });
    await Promise.all([...instances, caller].map((each) => each.ready(30_000)));
    client = await open(new TestClient(writeAddress(caller.address('upstream mine'))), (it) => it.close());
    load = await open(ModelLoad.start(client, { callers: 2, pauseMs: 60 }), (it) => it.stop());
    await until('calls go through', () => load.ok > 20);
  });

  /** The list of each instance. */
  const registered = async (): Promise<string> => {
    const found = await consul.api<Registered[]>('GET', '/catalog/service/mine-sidecar-proxy');
    const sorted = found.sort((a, b) => (a.ServiceID < b.ServiceID ? -1 : 1));
    return sorted.map(({ ServiceMeta }) => ServiceMeta['models']).join(' | ');
  };
  const knownAs = (words: string) =>
    until(`the catalogue has ${words}`, async () => (await registered()) === words, 30_000);

  it('are those that it was started with', async () => {
    await knownAs('digits:1 | digits:1');
  });

  it('are one more once that has been loaded, and calls for it go there alone', async () => {
    cpSync(join(DIGITS_MODELS, 'digits'), models(1, 'other'), { recursive: true });
    await knownAs('digits:1 | digits:1 other:1');
    await until('the caller knows', async () => {
      const { endpoints } = await caller.report();
      return endpoints.some((each) => each.models?.includes('other') === true);
    });
    const others = ModelLoad.start(client, { callers: 2, model: 'other' });
    await until('calls for it', () => others.ok > 40);
    await others.stop();
    assert.deepEqual([others.failures, load.failures], [[], []]);
    assert.equal(await caller.metric('outrider_model_misses_total', { reason: 'unclaimed' }), 0);
    assert.equal(await caller.metric('outrider_retries_total'), 0);
  });

  it('are one less once that has been unloaded, and calls for the others go on', async () => {
    rmSync(models(1, 'other'), { recursive: true });
    await knownAs('digits:1 | digits:1');
    const { ok } = load;
    await until('calls go on', () => load.ok > ok + 40);
    assert.deepEqual(load.failures, []);
  });

  it('have a new version of a model in the place of the old one', async () => {
    cpSync(models(0, 'digits', '1'), models(0, 'digits', '2'), { recursive: true });
    await knownAs('digits:2 | digits:1');
    assert.deepEqual(load.failures, []);
  });

  const infer = (model_name: string, model_version = '') =>
    client.infer({
      ...{ model_name, model_version, raw_input_contents: [Buffer.alloc(784 * 4)] },
      inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 784] }],
    });
  const refused = async (model: string, version = ''): Promise<readonly unknown[]> => {
    const { code, details } = await failure(infer(model, version));
    return [code, client.trailers?.get('outrider-reason')[0], details];
  };

  it('are found by the version that a call names, which goes to the instance that has it', async () => {
    await until('the caller knows', async () => {
      const { endpoints } = await caller.report();
      return (
        endpoints
          .map(({ versions }) => versions?.['digits']?.join())
          .sort()
          .join(' ') === '1 2'
      );
    });
    for (let i = 0; i < 20; i++)
      for (const version of ['1', '2']) assert.equal((await infer('digits', version)).model_version, version);
    assert.equal(await caller.metric('outrider_retries_total'), 0);
  });

  it('that no instance has are refused at once, with a reason, as often as they are asked for', async () => {
    const words = "Request for unknown model: 'letters' is not found";
    for (let i = 0; i < 10; i++) {
      assert.deepEqual(await refused('letters'), [5, 'unknown-model', words]);
      const [code, reason, why] = await refused('digits', '9');
      assert.deepEqual([code, reason], [5, 'unknown-model']);
      assert.match(String(why), /^Request for unknown model: 'digits' version 9 is not found; served: [12]$/);
    }
    assert.equal(await caller.metric('outrider_retries_total'), 0, 'nothing is sent twice for it');
    const { endpoints } = await caller.report();
    assert.deepEqual(
      endpoints.map(({ state, why, ejections }) => [state, why, ejections]),
      [
        ['eligible', '', 0],
        ['eligible', '', 0],
      ],
    );
    assert.deepEqual(load.failures, []);
  });
});
