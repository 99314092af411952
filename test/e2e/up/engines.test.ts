/**
 * Engines fail under a mesh in the middle of answers, as vLLM does: kill -9 of the process, and a core that dies or freezes behind a front
 * that lives. Every client gets every token once.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { vllmService } from '../../../proto/vllm-service.js';
import { EngineStream } from '../../kit/engines/engine-client.js';
import { aGenerateRequest } from '../../kit/engines/scripted-engine.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { sumOfSamples } from '../../kit/process/metrics-page.js';
import { admin, REPOSITORY, reportOf } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { SuiteMesh } from '../../kit/process/suite-mesh.js';
import { TestClient } from '../../kit/service/model-server.js';

/** Six of each engine, and eight by night. */
const STREAMS = EFFORT > 1 ? 24 : 18;
const ENGINE = [process.execPath, join(REPOSITORY, 'dist/services/engine/main.js')];

const FILE = `
services:
  chat:
    command: ${JSON.stringify([...ENGINE, '--listen', '{address}', '--seed', '{replica}', '--step', '4', '--slots', '64'])}
    engine: vllm
    replicas: 3
    queue: { concurrency: 64, cost: tokens }
    rate_limits: [{ tokens_per_minute: 1000000 }]
    model: { not_serving_timeout: 1s, restart: { base: 100ms, max: 200ms } }
caller:
  name: app
  admin: "127.0.0.1:0"
  upstreams:
    chat:
      listen: "127.0.0.1:0"
      budget: { ratio: 1, per_second: 10 }
      routes:
        - methods: [/vllm.grpc.engine.VllmEngine/Generate]
          kind: streaming
          message_timeout: 1s
`;

describe('engines in a mesh', function () {
  this.timeout(120_000);
  const suite = new SuiteMesh(FILE);
  let client: TestClient;

  before(async () => {
    client = new TestClient(suite.facts.call['chat']!);
    await until('all engines may get calls', async () => {
      const { endpoints } = await reportOf(suite.caller.admin);
      return endpoints.length === 3 && endpoints.every(({ state }) => state === 'eligible');
    });
  });
  after(() => client?.close());

  const read = async (name: string, labels = {}): Promise<number> =>
    sumOfSamples((await admin(suite.caller.admin, '/metrics')).body, name, labels);
  const resumed = (): Promise<number> => read('outrider_streams_resumed_total');
  let requests = 0;
  /** Answers that have ended, and their tokens. */
  let answered = 0;
  let tokens = 0;
  const open = (maxTokens: number, n = 1): EngineStream =>
    new EngineStream(
      client,
      aGenerateRequest({
        request_id: `r-${requests++}`,
        tokenized: { input_ids: [requests, 7, 300] },
        sampling_params: { temperature: 0, max_tokens: maxTokens, ignore_eos: true, n },
      }),
    );
  interface Engine {
    /** Of its sidecar. */
    readonly admin: string;
    readonly pid: number;
  }
  /** The engine with the most answers under way: while engines warm up, some have few. */
  const busiest = async (): Promise<Engine> => {
    const { endpoints } = await reportOf(suite.caller.admin);
    const [most] = endpoints.toSorted((a, b) => b.inFlight - a.inFlight);
    const { admin: page } = suite.replicas.find(({ inbound }) => inbound === most!.address)!;
    return { admin: page, pid: (await reportOf(page)).model!.pid! };
  };
  /** Resolves with the engine that got the signal, and how many answers went on elsewhere. */
  const streamOnce = async (signal: NodeJS.Signals, maxTokens: number) => {
    const before = await resumed();
    const streams = Array.from({ length: STREAMS }, () => open(maxTokens));
    await until('all are under way', () => streams.every(({ ids }) => ids.length > 20));
    const hit = await busiest();
    process.kill(hit.pid, signal);
    const faults = await Promise.all(streams.map((stream) => stream.fault()));
    assert.deepEqual(
      faults.filter((fault) => fault !== ''),
      [],
    );
    answered += STREAMS;
    tokens += streams.reduce((sum, { ids }) => sum + ids.length, 0);
    return { hit, moved: (await resumed()) - before };
  };
  /** Signals one engine in the middle of its answers. A busy client may read them after their end: then with longer ones. */
  const streamThrough = async (signal: NodeJS.Signals): Promise<Engine> => {
    for (let maxTokens = 500; maxTokens <= 8_000; maxTokens *= 2) {
      const { hit, moved } = await streamOnce(signal, maxTokens);
      if (moved > 0) return hit;
    }
    return assert.fail('no answer went on elsewhere');
  };

  it('that are killed: every client gets every token once', () => streamThrough('SIGKILL'));

  it('whose core has died: every client gets every token once, and the engine is started again', async () => {
    const hit = await streamThrough('SIGUSR2');
    const pid = await until('another process serves', async () => {
      const { model } = await reportOf(hit.admin);
      return model!.state === 'ready' && model!.pid !== hit.pid && model!.pid;
    });
    assert.ok(pid > 0);
  });

  it('and each token is counted once, whichever engine made it', async () => {
    const output = { gen_ai_token_type: 'output', caller: 'app', gen_ai_request_model: 'chat' };
    assert.ok(answered >= 2 * STREAMS);
    assert.equal(await read('gen_ai_client_token_usage_count', output), answered);
    assert.equal(await read('gen_ai_client_token_usage_sum', output), tokens);
    assert.equal(
      await read('gen_ai_client_token_usage_sum', { gen_ai_token_type: 'input' }),
      3 * answered,
      'prompts of three ids',
    );
    assert.equal(await read('gen_ai_server_time_to_first_token_seconds_count'), answered);
    const pages = await Promise.all(suite.replicas.map((each) => admin(each.admin, '/metrics')));
    const begun = pages.map(({ body }) =>
      sumOfSamples(body, 'gen_ai_server_time_to_first_token_seconds_count', {
        direction: 'inbound',
        caller: 'app',
      }),
    );
    assert.ok(begun.reduce((sum, n) => sum + n, 0) > answered, `${begun} answers at the engines`);
    assert.ok((await read('gen_ai_server_time_per_output_token_seconds_sum')) / answered > 0.0005);
  });

  it('Abort reaches the engine that has the request', async () => {
    const streams = Array.from({ length: 6 }, () => open(20_000));
    await until('all are under way', () => streams.every(({ ids }) => ids.length > 4));
    const { Abort } = vllmService();
    for (const { request } of streams) await client.call(Abort, { request_ids: [request.request_id!] });
    for (const stream of streams) {
      assert.equal(await stream.ended, undefined);
      assert.equal(stream.finishReason, 'abort');
      assert.ok(stream.ids.length < 20_000);
    }
  });

  it('with budgets of tokens: a request for more than a minute has is refused at once, by one engine alone', async () => {
    const { body: before } = await admin(suite.caller.admin, '/metrics');
    // Eight answers, each of as many tokens as the context has room for behind the prompt.
    const error = await open(1_000_000, 8).ended;
    assert.equal(error?.code, 8);
    assert.match(error!.details, /may use 1048555 \(3 of its prompt and 1048552 more\)/);
    assert.deepEqual(error!.metadata.get('outrider-reason'), ['rate-limited']);
    assert.deepEqual(error!.metadata.get('grpc-retry-pushback-ms'), ['-1']);
    const { body } = await admin(suite.caller.admin, '/metrics');
    const retries = (page: string): number => sumOfSamples(page, 'outrider_retries_total');
    assert.equal(retries(body), retries(before));
  });

  it('whose core freezes: every client gets every token once', () => streamThrough('SIGUSR1'));
});
