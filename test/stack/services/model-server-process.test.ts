import assert from 'node:assert/strict';
import { spawn as spawnNode } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { CallOptions } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import { startModelServer } from '../../../services/model-server/server.js';
import { parseListen } from '../../../services/model-server/transport/listen.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForTest } from '../../kit/mocha/scratch.js';
import {
  failure,
  type ServiceProcess,
  spawnService,
  TestClient,
  untilServing,
} from '../../kit/service/model-server.js';
import { putLoopModel } from '../../kit/service/tiny-models.js';

/** Standard input and where standard error goes, as `spawnService` takes them. */
type Stdio = [stdin?: 'ignore' | 'pipe', stderr?: 'pipe' | number];

const { ModelInfer } = protocols().inference;

const count = (client: TestClient, n: number, options: CallOptions = {}) => {
  const input = { name: 'n', datatype: 'INT64', shape: [], contents: { int64_contents: [n] } };
  return client.infer({ model_name: 'loop', inputs: [input] }, options);
};
/** Of a field of a process's `status`, in MB. */
const memoryMb = (pid: number | undefined, field: 'VmHWM' | 'VmRSS'): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

describe('the process of a model server', () => {
  let directory: string;
  let socket: string;
  let client: TestClient;

  beforeEach(() => {
    directory = scratchForTest().path;
    putLoopModel(join(directory, 'models'));
    socket = join(directory, 's');
    connect();
  });

  const connect = (): void => {
    const made = new TestClient(`unix:${socket}`);
    afterTest(() => made.close());
    client = made;
  };
  const spawn = (extra: readonly string[] = [], ...stdio: Stdio): ServiceProcess => {
    const models = ['--models', join(directory, 'models'), '--listen', `unix:${socket}`];
    const service = spawnService([...models, ...extra], ...stdio);
    afterTest(async () => {
      service.child.kill('SIGKILL');
      await service.exited;
    });
    return service;
  };
  const start = async (extra: readonly string[] = [], ...stdio: Stdio): Promise<ServiceProcess> => {
    const service = spawn(extra, ...stdio);
    await untilServing(client);
    return service;
  };
  const assertServes = async (): Promise<void> => assert.equal((await count(client, 5)).model_name, 'loop');
  /** In this process. */
  const serveAt = (listen: string) =>
    startModelServer({
      modelsDirectory: join(directory, 'models'),
      listen: parseListen(listen),
      version: '0.0.0',
      log: () => {},
      wallNow: Date.now,
      runNow: () => performance.now(),
    });
  /** It ends with this code, and says that. */
  const assertEnds = async (service: ServiceProcess, code: number, ...says: RegExp[]): Promise<void> => {
    assert.equal(await service.exited, code, service.stderr());
    for (const pattern of says) assert.match(service.stderr(), pattern);
  };

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`finishes what is in flight on ${signal}, refuses what comes later, and exits 0`, async () => {
      const service = await start();
      const calls = [100_000, 1000, 1000].map((n) => count(client, n));
      // The calls are with the server before the signal: this one is behind them on the same connection.
      await client.call(protocols().inference.ServerLive, {});
      service.child.kill(signal);
      for (const call of calls) assert.equal((await call).model_name, 'loop');
      await assertEnds(service, 0, /finishing calls in flight/);
      assert.equal((await failure(count(client, 1))).code, 14);
      assert.ok(!existsSync(socket));
    });
  }

  it('starts, serves and stops though nothing can be written to its log', async function () {
    if (!existsSync('/dev/full')) this.skip();
    const full = openSync('/dev/full', 'w');
    const service = spawn([], 'ignore', full);
    closeSync(full);
    const code = await Promise.race([service.exited, untilServing(client)]);
    assert.equal(code, undefined, `it exited with code ${code}`);
    await assertServes();
    service.child.kill('SIGTERM');
    await assertEnds(service, 0);
  });

  it('gives up a drain that takes too long, and exits 1', async () => {
    const service = await start(['--drain-timeout-ms', '100']);
    // A stream that its caller never ends.
    const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
    const asIs = (b: Buffer) => b;
    const stream = client.client.makeBidiStreamRequest(path, asIs, asIs);
    const cut = once(stream, 'error');
    stream.write(Buffer.from([0x3a, 0x00]));
    await once(stream, 'data');
    service.child.kill('SIGTERM');
    await assertEnds(service, 1, /not drained after 100 ms/);
    await cut;
  });

  it('ends with its standard input when told to', async () => {
    const service = await start(['--exit-with-stdin'], 'pipe');
    service.child.stdin?.end();
    await assertEnds(service, 0, /stdin ended/);
  });

  it('takes over the socket file that a killed process left', async () => {
    const listens = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
    await once(spawnNode(process.execPath, ['-e', listens, socket]), 'close');
    assert.ok(existsSync(socket));
    await start();
    await assertServes();
  });

  it('says in one line why it cannot listen, and exits 1', async () => {
    const [listener, port] = [createServer(), createServer()];
    afterTest(() => Promise.all([listener.close(), port.close()]));
    await once(listener.listen(socket), 'listening');
    await once(port.listen(0, '127.0.0.1'), 'listening');
    const file = join(directory, 'file');
    writeFileSync(file, '');
    const taken = /cannot listen on unix:.*: another process listens there$/;
    const service = spawn();
    await assertEnds(service, 1, /^outrider serve: /);
    assert.match(service.stderr().trim(), taken);
    assert.equal(service.stderr().trim().split('\n').length, 1, service.stderr());
    // What the process prints is the message of the server.
    const attempts: [string, RegExp][] = [
      [`unix:${socket}`, taken],
      [`unix:${file}`, /^cannot listen on unix:.*: the file exists and is not a socket$/],
      [`127.0.0.1:${(port.address() as { port: number }).port}`, /^cannot listen on 127.0.0.1:\d+: .*$/],
      [`unix:${directory}/none/s`, /^cannot listen on unix:.*$/],
    ];
    for (const [listen, message] of attempts) await assert.rejects(serveAt(listen), { message });
  });

  it('says in one line that a model directory is missing, and exits 1', async () => {
    const service = spawn(['--models', join(directory, 'none')]);
    await assertEnds(service, 1);
    assert.equal(service.stderr(), `outrider serve: model directory ${directory}/none does not exist\n`);
  });

  it('serves the one model that is named, and says which there are when there is no such', async () => {
    putLoopModel(join(directory, 'models'), 'other');
    const service = await start(['--model', 'loop']);
    await assertServes();
    const { Check } = protocols().health;
    assert.equal((await failure(client.call(Check, { service: 'other' }))).code, 5, service.stderr());
    service.child.kill('SIGTERM');
    await assertEnds(service, 0);
    const unknown = spawn(['--model', 'loop', '--model', 'lop']);
    await assertEnds(unknown, 1);
    assert.equal(
      unknown.stderr(),
      `outrider serve: --model: found 'lop'; model directory ${directory}/models has 'loop', 'other'\n`,
    );
  });

  it('answers a wrong command line with what was expected, and exits 2', async () => {
    const wrong: [string[], RegExp][] = [
      [[], /--models DIR is missing/],
      [['--models', directory, '--listen', 'nowhere'], /found 'nowhere', expected host:port or unix:\/path/],
      [['--models', directory, '--listen', '127.0.0.1:70000'], /expected host:port/],
      [['--models', directory, '--modle', 'x'], /Unknown option '--modle'/],
      [['--models', directory, '--drain-timeout-ms', 'soon'], /found 'soon', expected whole milliseconds/],
    ];
    const usage = /\(outrider serve --help says how it is used\)/;
    await Promise.all(wrong.map(([args, says]) => assertEnds(spawnService(args), 2, says, usage)));
  });

  it('takes no memory budget with grpc-js, which has none, and says so', async () => {
    const refused = spawn(['--server', 'grpc-js', '--memory-budget', '512MiB']);
    assert.equal(await refused.exited, 2);
    assert.match(refused.stderr(), /--memory-budget: --server grpc-js has no memory budget/);
    const served = await start(['--server', 'grpc-js']);
    assert.match(served.stderr(), /--server grpc-js has no memory budget/);
  });

  it('loses no good call to requests of 10 MB that hold millions of empty fields', async () => {
    const { child, stderr } = await start();
    const peakMb = () => memoryMb(child.pid, 'VmHWM');
    const hostile = new TestClient(`unix:${socket}`);
    afterTest(() => hostile.close());
    const beforeMb = peakMb();
    let lost = 0;
    let good = 0;
    let done = false;
    // Also when this test fails: calls of a client that was closed fail at once, for ever.
    afterTest(() => {
      done = true;
    });
    const traffic = Array.from({ length: 4 }, async () => {
      while (!done) {
        await count(client, 100, { deadline: Date.now() + 1000 }).catch(() => lost++);
        good++;
      }
    });
    // Inputs whose contents are there and empty: four bytes for an object of a kilobyte.
    const empties = Buffer.alloc(10_000_000, Buffer.from([0x2a, 0x02, 0x2a, 0x00]));
    for (let i = 0; i < 3; i++) {
      const { code, details } = await failure(hostile.bytes(ModelInfer, empties));
      assert.equal(code, 3, details);
      assert.equal(details, 'request: inputs: found 4097 or more, expected at most 4096');
    }
    done = true;
    await Promise.all(traffic);
    assert.equal(lost, 0, `${lost} of ${good} good calls were lost\n${stderr()}`);
    assert.ok(good >= 100, `${good}`);
    // The messages themselves, as they were received: 10 MB each, and what the transport makes of them.
    assert.ok(peakMb() - beforeMb < 200, `${beforeMb.toFixed(0)} MB, then ${peakMb().toFixed(0)} MB`);
    assert.equal(child.exitCode, null);
  });

  it('keeps handles and memory after 400 bad requests and expired calls', async () => {
    const { child } = await start();
    const handles = (): number => readdirSync(`/proc/${child.pid}/fd`).length;
    const rssMb = (): number => memoryMb(child.pid, 'VmRSS');
    // Those of a round are 60 MB: more than the bound, if they were kept.
    const big = Buffer.alloc(400_000, 0xff);
    const raw_input_contents = [big];
    const inputs = [{ name: 'n', datatype: 'INT64', shape: [3] }];
    const kinds = [
      () => client.bytes(ModelInfer, big),
      () => client.infer({ model_name: 'nothing', raw_input_contents }),
      () => client.infer({ model_name: 'loop', inputs, raw_input_contents }),
      () => count(client, 1000, { deadline: Date.now() + 1 }),
    ];
    const bad = (i: number) => kinds[i % kinds.length]!().catch(() => undefined);
    const round = async () => {
      for (let i = 0; i < 200; i += 20) await Promise.all(Array.from({ length: 20 }, (_, n) => bad(i + n)));
    };
    await round();
    const [handlesBefore, mbBefore] = [handles(), rssMb()];
    await round();
    const mbAfter = rssMb();
    assert.equal(handles(), handlesBefore);
    assert.ok(mbAfter - mbBefore < 40, `${mbBefore.toFixed(0)} MB, then ${mbAfter.toFixed(0)} MB`);
    await assertServes();
  });
});

describe('the address a model server listens on', () => {
  it('is host:port, [v6]:port or unix:/path', () => {
    assert.deepEqual(parseListen('localhost:0'), { kind: 'tcp', host: 'localhost', port: 0 });
    assert.deepEqual(parseListen('[::1]:8500'), { kind: 'tcp', host: '[::1]', port: 8500 });
    for (const text of ['unix:/run/m.sock', 'unix:///run/m.sock'])
      assert.deepEqual(parseListen(text), { kind: 'unix', path: '/run/m.sock' });
  });

  it('is refused when it is anything else, or a path longer than the kernel takes', () => {
    for (const text of ['', ':80', 'host', 'host:', 'host:x', 'unix:', 'unix:relative', '::1:80', 'a b:1']) {
      assert.throws(() => parseListen(text), /expected host:port or unix:\/path/, text);
    }
    assert.throws(() => parseListen(`unix:/${'x'.repeat(107)}`), /108 bytes, expected 107 at most/);
  });
});
