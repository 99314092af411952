/**
 * Clients with retries of their own (gRFC A6), grpc-js and kserve's, in front of a sidecar that retries too: how often a call is executed then. The
 * sidecar's budget bounds what it adds, and what its own retries mend the client never sees.
 */

import assert from 'node:assert/strict';
import { Client, credentials, type Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { run } from '../../kit/interop/python-cases.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';
import { testFile, toolOrSkip } from '../../kit/process/tools.js';

const { ModelInfer } = protocols().inference;
const CALLS = 60;
const CLIENT_ATTEMPTS = 5;
const SIDECAR_ATTEMPTS = 3;
/** Defaults of the sidecar's retry budget, which saves the reserve of ten seconds. */
const BUDGET = { ratio: 0.2, perSecond: 3, savedSeconds: 10 };

const SERVICE_CONFIG = JSON.stringify({
  methodConfig: [
    {
      name: [{}],
      retryPolicy: {
        maxAttempts: CLIENT_ATTEMPTS,
        initialBackoff: '0.001s',
        maxBackoff: '0.01s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
});

/** Counts what it executes; fails with UNAVAILABLE while it is told to. */
class Replica {
  executions = 0;
  fails = false;
  private readonly server = new Server();

  async start(): Promise<string> {
    const { path, requestDeserialize, responseSerialize } = { ...ModelInfer, path: ModelInfer.path };
    const method = { ...ModelInfer, path, requestDeserialize, responseSerialize };
    this.server.addService({ ModelInfer: method } as never, {
      ModelInfer: (_: unknown, reply: (error: object | null, answer?: ModelInferResponse) => void) => {
        this.executions += 1;
        if (this.fails) reply({ code: status.UNAVAILABLE, details: 'told to fail' });
        else reply(null, { model_name: 'm', outputs: [], raw_output_contents: [] } as never);
      },
    });
    const port = await new Promise<number>((resolve, reject) =>
      this.server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    return `127.0.0.1:${port}`;
  }

  stop(): void {
    this.server.forceShutdown();
  }
}

describe('clients with retries of their own through two sidecars that retry', function () {
  this.timeout(60_000);

  let bench: SidecarBench;
  /** Addresses of the replicas' sidecars. */
  let endpoints: string[];
  /** Each test has its own, which remembers nothing of the ones before. */
  let caller: SidecarProcess | undefined;
  let callers = 0;
  /** `retry.final` of the route. */
  let final = false;
  let replicas: Replica[];
  let client: Client;
  let target: string;
  let arrivals: () => Promise<number>;

  before(async () => {
    bench = await SidecarBench.open();
    replicas = [new Replica(), new Replica(), new Replica()];
    endpoints = [];
    const identity = await bench.identity('testing');
    for (const [at, replica] of replicas.entries()) {
      const local = await replica.start();
      const service = await bench.start(`service-${at}`, {
        service: 'testing',
        identity,
        inbound: {
          listen: '127.0.0.1:0',
          local,
          intentions: [{ from: 'app', to: 'testing', action: 'allow' }],
        },
      });
      endpoints.push(writeAddress(service.address('inbound')));
    }
  });
  beforeEach(async () => {
    for (const replica of replicas) Object.assign(replica, { executions: 0, fails: false });
    const routes = [
      {
        methods: [ModelInfer.path],
        idempotent: true,
        timeout: '10s',
        retry: { attempts: SIDECAR_ATTEMPTS, on: ['unavailable'], final },
      },
    ];
    const started = await bench.start(`caller-${++callers}`, {
      service: 'app',
      identity: await bench.identity('app'),
      outbound: { upstreams: { testing: { listen: '127.0.0.1:0', endpoints, routes } } },
    });
    caller = started;
    await started.ready();
    target = writeAddress(started.address('upstream testing'));
    client = new Client(target, credentials.createInsecure(), { 'grpc.service_config': SERVICE_CONFIG });
    arrivals = () => started.metric('outrider_calls_total', { direction: 'outbound' });
  });
  afterEach(async () => {
    client?.close();
    await caller?.stop();
    caller = undefined;
  });
  after(async () => {
    for (const replica of replicas ?? []) replica.stop();
    await bench?.close();
  });

  const infer = () =>
    new Promise<{ code: number; trailers: Metadata | undefined }>((resolve) => {
      const request: ModelInferRequest = { model_name: 'm', inputs: [], raw_input_contents: [] };
      const { path, requestSerialize, responseDeserialize } = ModelInfer;
      const call = client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, () => {});
      call.on('status', ({ code, metadata }) => resolve({ code, trailers: metadata }));
    });
  const executions = () => replicas.reduce((sum, { executions }) => sum + executions, 0);

  it('lets the sidecar mend a replica that fails, and the client repeats nothing', async () => {
    replicas[0]!.fails = true;
    for (let i = 0; i < CALLS; i++) assert.equal((await infer()).code, status.OK);
    assert.equal(await arrivals(), CALLS);
    assert.equal(executions(), CALLS + replicas[0]!.executions);
    assert.ok(replicas[0]!.executions >= 1, 'the replica that fails was never asked');
    assert.ok(
      replicas[0]!.executions <= 6,
      `it was asked ${replicas[0]!.executions} times, though it failed`,
    );
  });

  it('adds a fifth to what the client sends when every replica fails, and does not multiply', async () => {
    for (const replica of replicas) replica.fails = true;
    const began = performance.now();
    for (let i = 0; i < CALLS; i++) assert.equal((await infer()).code, status.UNAVAILABLE);
    const seconds = (performance.now() - began) / 1000;
    const arrived = await arrivals();
    assert.ok(arrived <= CALLS * CLIENT_ATTEMPTS, `${arrived} calls arrived`);
    const allowed = arrived * (1 + BUDGET.ratio) + BUDGET.perSecond * (seconds + BUDGET.savedSeconds);
    assert.ok(executions() <= allowed, `${executions()} executions, ${arrived} calls in ${seconds} s`);
    assert.ok(executions() < CALLS * CLIENT_ATTEMPTS * 1.5);
  });

  describe('where the route asks for final failures', () => {
    before(() => {
      final = true;
    });
    after(() => {
      final = false;
    });

    it('sends each call once though it would retry, and hears from the sidecar that it is not to', async () => {
      for (const replica of replicas) replica.fails = true;
      for (let i = 0; i < CALLS; i++) {
        const { code, trailers } = await infer();
        assert.deepEqual([code, trailers?.get('grpc-retry-pushback-ms')], [status.UNAVAILABLE, ['-1']]);
      }
      assert.equal(await arrivals(), CALLS);
      // Every attempt beyond the first is one of the sidecar's, within its budget.
      assert.ok(executions() <= CALLS * SIDECAR_ATTEMPTS, `${executions()} executions`);
    });
  });

  // Python and what KServe imports start twice.
  if (EFFORT > 1)
    it('hears each of the three attempts that kserve’s client makes by default, and adds no more than its own', async function () {
      const python = await toolOrSkip(this, 'kserve');
      const script = testFile('interop', 'clients', 'kserve_retries.py');
      assert.equal((await run(python, script, target)).stdout, 'OK\n');
      assert.equal(await arrivals(), 1);
      for (const replica of replicas) replica.fails = true;
      const before = executions();
      assert.equal((await run(python, script, target)).stdout, 'UNAVAILABLE\n');
      assert.equal(await arrivals(), 1 + 3);
      assert.ok(executions() - before <= 3 * SIDECAR_ATTEMPTS, `${executions() - before} executions`);
    });
});
