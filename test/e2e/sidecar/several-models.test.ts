/** Several models of one service, real processes: one that is broken, slow or killed harms no other. */
import assert from 'node:assert/strict';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelReport } from '../../../sidecar/telemetry/reports.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import {
  DIGITS_MODELS,
  isReady,
  Mesh,
  reportOf,
  Scratch,
  type SidecarFacts,
  type UpFacts,
} from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { failure, TestClient } from '../../kit/service/model-server.js';
import { putLoopModel } from '../../kit/service/tiny-models.js';

/**
 * Within it a process has to serve something. Several processes start at a time, on a machine that may be busy: too short, and one
 * that is well would be started again.
 */
const START_TIMEOUT_MS = 6_000;
/** Turns of the loop model that take a second or more: 1.3 µs each, more where the machine is busy. */
const SLOW_TURNS = 800_000;

describe('several models of one service', function () {
  this.timeout(90_000);

  let scratch: Scratch;
  let mesh: Mesh;
  let facts: UpFacts;
  let replica: SidecarFacts;
  let client: TestClient;
  /** When everything had been started. */
  let startedMs: number;

  /** One that is broken, `digits`, and one that takes as long as the request says. */
  const start = async (isolation: 'process' | 'shared'): Promise<void> => {
    scratch = new Scratch();
    const models = join(scratch.path, 'models');
    cpSync(DIGITS_MODELS, models, { recursive: true });
    cpSync(join(DIGITS_MODELS, 'digits'), join(models, 'broken'), { recursive: true });
    writeFileSync(join(models, 'broken/1/model.onnx'), 'not a model');
    putLoopModel(models, 'slow');
    mesh = Mesh.start(`
services:
  mine: { models: ${models}, isolation: ${isolation}, model: { start_timeout: ${START_TIMEOUT_MS / 1000}s } }
caller: { name: app, admin: 127.0.0.1:0, upstreams: { mine: { listen: 127.0.0.1:0 } } }
intentions: [{ from: app, to: mine, action: allow }]
`);
    facts = await mesh.ready();
    startedMs = performance.now();
    replica = facts.sidecars.find(({ role }) => role === 'replica')!;
    client = new TestClient(facts.call['mine']!);
  };
  const end = async (): Promise<void> => {
    client?.close();
    await mesh.discard();
    scratch.remove();
  };

  const status = () => reportOf(replica.admin);
  const models = async (): Promise<readonly ModelReport[]> => (await status()).models!;
  const modelOf = async (name: string): Promise<ModelReport> =>
    (await models()).find((model) => model.name === name)!;
  /** Blank pictures for `digits`. */
  const digits = (pictures = 1, by = client) =>
    by.infer({
      model_name: 'digits',
      inputs: [{ name: 'pixels', datatype: 'FP32', shape: [pictures, 784] }],
      raw_input_contents: [Buffer.alloc(pictures * 784 * 4)],
    });
  const slow = (turns: number): Promise<unknown> => {
    const n = Buffer.alloc(8);
    n.writeBigInt64LE(BigInt(turns));
    const inputs = [{ name: 'n', datatype: 'INT64', shape: [] }];
    return client.infer({ model_name: 'slow', inputs, raw_input_contents: [n] });
  };
  const refused = async (name: string): Promise<{ code: number; details: string; reason: unknown }> => {
    const { code, details } = await failure(client.infer({ model_name: name, inputs: [] }));
    return { code, details, reason: client.trailers?.get('outrider-reason')[0] };
  };

  const servesWhatItCan = async (): Promise<void> => {
    await digits();
    await slow(3);
    const broken = await refused('broken');
    assert.deepEqual([broken.code, broken.reason], [14, 'model-not-ready'], broken.details);
    assert.match(broken.details, /^model 'broken' of mine is not ready: .*sha256/);
    const unknown = await refused('letters');
    const { code, details } = unknown;
    assert.deepEqual([code, details], [5, "Request for unknown model: 'letters' is not found"]);
    for (let i = 0; i < 20; i++) await refused('broken');
    await digits();
    const states = async () => (await models()).map(({ name, state }) => `${name} ${state}`).join();
    // In a process of its own the broken one is started again from time to time.
    const expected = 'broken failed,digits ready,slow ready';
    await until('all are as they should be', async () => (await states()) === expected).catch(async () =>
      assert.equal(await states(), expected),
    );
    const { endpoints } = await reportOf(facts.admin);
    assert.deepEqual(
      endpoints.map(({ state, ejections }) => [state, ejections]),
      [['eligible', 0]],
    );
    assert.ok(await isReady(replica.admin));
  };

  describe('in a process each', () => {
    before(() => start('process'));
    after(end);

    it('are served as far as they can be, and a broken one says why', servesWhatItCan);

    it('are found by the names in compressed requests, as grpc-js sends them', async () => {
      for (const algorithm of [1, 2]) {
        const options = { 'grpc.default_compression_algorithm': algorithm };
        const packed = new TestClient(facts.call['mine']!, options);
        afterTest(() => packed.close());
        const letters = failure(packed.infer({ model_name: 'letters', inputs: [] }));
        const [answer, none] = await Promise.all([digits(64, packed), letters]);
        assert.deepEqual([answer.model_name, none.code], ['digits', 5]);
      }
    });

    it('do not wait for a neighbour that is slow', async () => {
      const long = slow(SLOW_TURNS);
      await until('it runs', async () => ((await status()).queue?.running ?? 0) > 0);
      let isOver = false;
      void long.finally(() => {
        isOver = true;
      });
      const times: number[] = [];
      while (!isOver && times.length < 400) {
        const sinceMs = performance.now();
        await digits();
        times.push(performance.now() - sinceMs);
      }
      await long;
      const sorted = times.sort((a, b) => a - b);
      const p99 = sorted[Math.floor(sorted.length * 0.99)]!;
      assert.ok(times.length >= 20, `${times.length} calls beside the slow one`);
      assert.ok(p99 < 500, `p99 of digits beside a slow run: ${p99.toFixed(1)} ms`);
    });

    it('live on while the process of a broken one is started again, which goes on saying why', async () => {
      const before = await modelOf('digits');
      await until('it is started again', async () => (await modelOf('broken')).restarts > 0, 20_000);
      const broken = await refused('broken');
      assert.match(broken.details, /is not ready: .*sha256/);
      await digits();
      assert.deepEqual(await modelOf('digits'), before);
    });

    it('do not die with a neighbour that is killed', async () => {
      const [before, other] = [await modelOf('slow'), await modelOf('digits')];
      assert.notEqual(before.pid, other.pid);
      process.kill(before.pid!, 'SIGKILL');
      for (let i = 0; i < 50; i++) await digits();
      await until('it is back', async () => {
        const { state, pid } = await modelOf('slow');
        return state === 'ready' && pid !== before.pid;
      });
      await slow(3);
      assert.deepEqual(await modelOf('digits'), other);
    });
  });

  describe('in one process', () => {
    before(() => start('shared'));
    after(end);

    it('are served as far as they can be, and a broken one says why', servesWhatItCan);

    it('are not ended by the one that does not load', async () => {
      // Longer than `start_timeout`, which ends a process that serves nothing.
      const overMs = startedMs + START_TIMEOUT_MS + 1_000;
      for (let nextMs = performance.now(); nextMs < overMs; nextMs += 500) {
        await digits();
        await refused('broken');
        await until('half a second has passed', () => performance.now() > nextMs + 500);
      }
      await digits();
      const restarts = (await models()).map((model) => model.restarts);
      assert.deepEqual(restarts, [0, 0, 0]);
    });

    it('are all in that one', async () => {
      const pids = (await models()).map(({ pid }) => pid);
      assert.equal(new Set(pids).size, 1);
      assert.equal(pids[0], replica.modelPid);
    });
  });
});
