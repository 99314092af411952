/** KEDA asks the sidecar of a caller how much work a service has, whose replicas are sidecars with engines behind them. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { EngineStream } from '../../kit/engines/engine-client.js';
import { aGenerateRequest } from '../../kit/engines/scripted-engine.js';
import { freePort } from '../../kit/process/free-port.js';
import { Mesh, REPOSITORY, type UpFacts } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { TestClient } from '../../kit/service/model-server.js';
import { KedaTrigger } from '../../kit/service/scaler-client.js';

const ENGINE = [process.execPath, join(REPOSITORY, 'dist/services/engine/main.js')];
const SLOTS = 2;

const file = (port: number) => `
services:
  chat:
    command: ${JSON.stringify([...ENGINE, '--listen', '{address}', '--step', '20', '--slots', '8'])}
    engine: vllm
    replicas: 2
    queue: { concurrency: ${SLOTS} }
caller:
  name: app
  scaler: { listen: "127.0.0.1:${port}" }
  upstreams: { chat: { listen: "127.0.0.1:0" } }
`;

describe('the scaler of a sidecar, asked as KEDA asks', function () {
  this.timeout(120_000);
  let mesh: Mesh;
  let facts: UpFacts;
  let client: TestClient;
  const open: KedaTrigger[] = [];
  let address = '';

  before(async () => {
    const port = await freePort();
    address = `127.0.0.1:${port}`;
    mesh = Mesh.start(file(port));
    facts = await mesh.ready();
    client = new TestClient(facts.call['chat']!);
  });
  after(async () => {
    for (const trigger of open) trigger.close();
    client?.close();
    await mesh?.discard();
  });

  const trigger = (metadata: Record<string, string>): KedaTrigger => {
    const made = new KedaTrigger(address, { service: 'chat', ...metadata });
    open.push(made);
    return made;
  };

  it('says the name of the metric and its target for each replica', async () => {
    assert.deepEqual(await trigger({ target: '3' }).spec(), { name: 'outrider-chat-calls', target: 3 });
    assert.deepEqual(await trigger({ metric: 'waiting_calls', target: '0.5' }).spec(), {
      ...{ name: 'outrider-chat-waiting-calls', target: 0.5 },
    });
  });

  it('says the work of all replicas together, which wakes the service and lets it rest', async () => {
    const all = trigger({ target: '3' });
    const waiting = trigger({ metric: 'waiting_calls', target: '1' });
    await until('the idle replicas have reported', async () => {
      const now = await all.poll().catch(() => undefined);
      return now?.value === 0 && !now.isActive;
    });
    const told = all.watch();
    const requests = Array.from({ length: 9 }, (_, i) =>
      aGenerateRequest({
        request_id: `r-${i}`,
        sampling_params: { temperature: 0, max_tokens: 2_000, ignore_eos: true },
      }),
    );
    const streams = requests.map((request) => new EngineStream(client, request));
    await until('all are known', async () => (await all.poll()).value === streams.length);
    assert.deepEqual(await all.poll(), { value: 9, isActive: true });
    await until('those that wait are known', async () => (await waiting.poll()).value === 9 - 2 * SLOTS);
    // Four ids of a prompt, and max_tokens.
    const tokens = trigger({ metric: 'waiting_tokens', target: '4096' });
    await until('their tokens are known', async () => {
      return (await tokens.poll()).value === (9 - 2 * SLOTS) * 2_004;
    });
    await until('the stream has told it', () => told.at(-1) === true);
    for (const { stream } of streams) stream.cancel();
    await until('there is none left', async () => (await all.poll()).value === 0);
    assert.equal((await all.poll()).isActive, false);
    await until('the stream has told it', () => told.at(-1) === false);
    assert.deepEqual(told, [false, true, false]);
  });

  it('does not take a replica that is gone for one that is idle', async () => {
    const all = trigger({ target: '3' });
    const { pid } = facts.sidecars.find(({ name }) => name === 'chat-2')!;
    process.kill(pid, 'SIGSTOP');
    try {
      await until('its last report is too old', async () => (await all.poll()).value === 3, 20_000);
      assert.equal((await all.poll()).isActive, true);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await until('it reports again', async () => (await all.poll()).value === 0, 30_000);
  });

  it('refuses what is no trigger of one of its upstreams', async () => {
    const wrong = [
      [{ service: 'digits', target: '1' }, /NOT_FOUND: no upstream digits here/],
      [{ target: 'many' }, /INVALID_ARGUMENT: target: /],
      [{ metric: 'cpu', target: '1' }, /INVALID_ARGUMENT: metric: found "cpu"/],
    ] as const;
    for (const [metadata, expected] of wrong) await assert.rejects(trigger(metadata).spec(), expected);
  });
});
