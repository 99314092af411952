/** Callers that make a model server hold what they send: a real process, and what it takes of memory. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import { packageRoot } from '../../kit/process/package-root.js';
import { until } from '../../kit/process/processes.js';
import {
  type ServiceProcess,
  spawnService,
  TestClient,
  temporaryDirectory,
  untilServing,
} from '../../kit/service/model-server.js';

const MIB = 1024 * 1024;
const BUDGET_MIB = 128;
/** What waits for the collector, which a busy machine runs late. With the budget it is much less than what is offered. */
const OVERHEAD_MIB = 384;
const LARGE_MIB = 60;

describe('callers that make a model server hold much', function () {
  this.timeout(90_000);

  let directory: string;
  let service: ServiceProcess;
  let client: TestClient;
  let session: http2.ClientHttp2Session;
  let before = 0;
  let most = 0;
  let watching: NodeJS.Timeout;

  const rssMib = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${service.child.pid}/status`, 'utf8'))![1]) / 1024;

  beforeEach(async () => {
    directory = temporaryDirectory();
    const socket = join(directory, 's');
    const models = join(packageRoot, 'services/digits/models');
    const budget = ['--memory-budget', `${BUDGET_MIB}MiB`];
    service = spawnService(['--models', models, '--listen', `unix:${socket}`, ...budget]);
    client = new TestClient(`unix:${socket}`);
    await untilServing(client);
    session = http2.connect('http://localhost', {
      createConnection: () => connect(socket),
      maxSessionMemory: 4096,
    });
    session.on('error', () => {});
    before = rssMib();
    most = 0;
    watching = setInterval(() => {
      most = Math.max(most, rssMib());
    }, 20);
  });
  afterEach(async () => {
    clearInterval(watching);
    session.destroy();
    client.close();
    service.child.kill('SIGKILL');
    await service.exited;
    rmSync(directory, { recursive: true, force: true });
  });

  /** A call of ModelInfer that sends `body`, and does not end its side. */
  function begin(body: Buffer, headers = {}) {
    const stream = session.request({
      ':method': 'POST',
      ':path': protocols().inference.ModelInfer.path,
      te: 'trailers',
      'content-type': 'application/grpc',
      ...headers,
    });
    const call = { status: -1, isSent: () => stream.writableLength === 0 };
    const note = (fields: http2.IncomingHttpHeaders) => {
      if (fields['grpc-status'] !== undefined) call.status = Number(fields['grpc-status']);
    };
    stream
      .on('response', note)
      .on('trailers', note)
      .on('error', () => {})
      .resume();
    stream.write(body);
    return call;
  }

  async function assertHeld(calls: readonly { status: number }[], offeredMib: number): Promise<void> {
    // Two of them have room.
    const refused = () => calls.filter((each) => each.status === status.RESOURCE_EXHAUSTED).length;
    await until('what is beyond the budget is refused', () => refused() >= calls.length - 2, 60_000);
    const grown = Math.round(most - before);
    const found = `RSS grew by ${grown} MiB of ${offeredMib} MiB offered, with a budget of ${BUDGET_MIB} MiB`;
    assert.ok(grown < BUDGET_MIB + OVERHEAD_MIB, found);
    assert.equal((await client.call(protocols().inference.ModelReady, { name: 'digits' })).ready, true);
  }

  it('16 messages that inflate to 60 MiB each', async () => {
    const bomb = grpcMessage(gzipSync(Buffer.alloc(LARGE_MIB * MIB)), undefined, 1);
    const calls = Array.from({ length: 16 }, () => begin(bomb, { 'grpc-encoding': 'gzip' }));
    await assertHeld(calls, 16 * LARGE_MIB);
  });

  it('12 messages of 60 MiB, whole, whose callers do not end their side', async () => {
    const message = grpcMessage(Buffer.alloc(LARGE_MIB * MIB));
    const calls = [];
    for (let i = 0; i < 12; i++) {
      const call = begin(message);
      calls.push(call);
      await until('it has come, or is refused', () => call.isSent() || call.status !== -1, 30_000);
    }
    await assertHeld(calls, 12 * LARGE_MIB);
  });
});
