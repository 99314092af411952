import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { protocols } from '../../../proto/load.js';
import { parseListen } from '../../../services/model-server/listen.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import {
  failure,
  type ServiceProcess,
  spawnService,
  TestClient,
  temporaryDirectory,
  untilServing,
} from '../../kit/service/model-server.js';
import { putLoopModel } from '../../kit/service/tiny-models.js';

const count = (client: TestClient, n: number, deadline?: number) => {
  const raw = Buffer.alloc(8);
  raw.writeBigInt64LE(BigInt(n));
  return client.infer(
    { model_name: 'loop', inputs: [{ name: 'n', datatype: 'INT64', shape: [] }], raw_input_contents: [raw] },
    deadline === undefined ? {} : { deadline },
  );
};

describe('the process of a model server', () => {
  let directory: string;
  let socket: string;
  let client: TestClient;
  let service: ServiceProcess | undefined;
  let listener: Server | undefined;

  beforeEach(() => {
    directory = temporaryDirectory();
    putLoopModel(join(directory, 'models'));
    socket = join(directory, 's');
    client = new TestClient(`unix:${socket}`);
  });
  afterEach(async () => {
    client.close();
    listener?.close();
    listener = undefined;
    if (service !== undefined) {
      service.child.kill('SIGKILL');
      await service.exited;
      service = undefined;
    }
    rmSync(directory, { recursive: true });
  });

  const start = async (extra: string[] = [], stdin: 'ignore' | 'pipe' = 'ignore') => {
    service = spawnService(
      ['--models', join(directory, 'models'), '--listen', `unix:${socket}`, ...extra],
      stdin,
    );
    await untilServing(client);
    return service;
  };

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`finishes what is in flight on ${signal}, refuses what comes later, and exits 0`, async () => {
      const { child, exited, stderr } = await start();
      const calls = [200_000, 1000, 1000].map((n) => count(client, n));
      // The calls are with the server before the signal: this one is behind them on the same connection.
      await client.call(protocols().inference.ServerLive, {});
      child.kill(signal);
      for (const call of calls) assert.equal((await call).model_name, 'loop');
      assert.equal(await exited, 0, stderr());
      assert.equal((await failure(count(client, 1))).code, 14);
      assert.ok(!existsSync(socket));
      assert.match(stderr(), /finishing calls in flight/);
    });
  }

  it('starts, serves and stops though nothing can be written to its log', async function () {
    if (!existsSync('/dev/full')) this.skip();
    const full = openSync('/dev/full', 'w');
    service = spawnService(
      ['--models', join(directory, 'models'), '--listen', `unix:${socket}`],
      'ignore',
      full,
    );
    closeSync(full);
    const code = await Promise.race([service.exited, untilServing(client)]);
    assert.equal(code, undefined, `it exited with code ${code}`);
    assert.equal((await count(client, 10)).model_name, 'loop');
    service.child.kill('SIGTERM');
    assert.equal(await service.exited, 0);
  });

  it('gives up a drain that takes too long, and exits 1', async () => {
    const { child, exited, stderr } = await start(['--drain-timeout-ms', '100']);
    // A stream that its caller never ends.
    const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
    const stream = client.client.makeBidiStreamRequest(
      path,
      (b: Buffer) => b,
      (b: Buffer) => b,
    );
    const cut = once(stream, 'error');
    stream.write(Buffer.from([0x3a, 0x00]));
    await once(stream, 'data');
    child.kill('SIGTERM');
    assert.equal(await exited, 1, stderr());
    await cut;
    assert.match(stderr(), /not drained after 100 ms/);
  });

  it('ends with its standard input when told to', async () => {
    const { child, exited, stderr } = await start(['--exit-with-stdin'], 'pipe');
    child.stdin?.end();
    assert.equal(await exited, 0, stderr());
    assert.match(stderr(), /stdin ended/);
  });

  it('takes over the socket file that a killed process left', async () => {
    const { child, exited } = await start();
    child.kill('SIGKILL');
    await exited;
    assert.ok(existsSync(socket));
    client.close();
    client = new TestClient(`unix:${socket}`);
    await start();
    assert.equal((await count(client, 5)).model_name, 'loop');
  });

  it('says in one line why it cannot listen, and exits 1', async () => {
    listener = createServer();
    await once(listener.listen(socket), 'listening');
    const port = createServer();
    await once(port.listen(0, '127.0.0.1'), 'listening');
    const file = join(directory, 'file');
    writeFileSync(file, '');
    const attempts: [string, RegExp][] = [
      [`unix:${socket}`, /cannot listen on unix:.*: another process listens there/],
      [`unix:${file}`, /the file exists and is not a socket/],
      [`127.0.0.1:${(port.address() as { port: number }).port}`, /cannot listen on 127.0.0.1:\d+: .*/],
      [`unix:${directory}/none/s`, /cannot listen on unix:/],
    ];
    afterTest(() => port.close());
    const answers = attempts.map(async ([listen, says]) => {
      const { exited, stderr } = spawnService(['--models', join(directory, 'models'), '--listen', listen]);
      assert.equal(await exited, 1, stderr());
      assert.match(stderr(), says);
      assert.equal(stderr().trim().split('\n').length, 1, stderr());
    });
    await Promise.all(answers);
  });

  it('says in one line that a model directory is missing, and exits 1', async () => {
    const { exited, stderr } = spawnService([
      '--models',
      join(directory, 'none'),
      '--listen',
      `unix:${socket}`,
    ]);
    assert.equal(await exited, 1);
    assert.equal(stderr(), `outrider serve: model directory ${directory}/none does not exist\n`);
  });

  it('serves the one model that is named, and says which there are when there is no such', async () => {
    putLoopModel(join(directory, 'models'), 'other');
    const { child, exited, stderr } = await start(['--model', 'loop']);
    assert.equal((await count(client, 5)).model_name, 'loop');
    const { Check } = protocols().health;
    assert.equal((await failure(client.call(Check, { service: 'other' }))).code, 5, stderr());
    child.kill('SIGTERM');
    assert.equal(await exited, 0, stderr());
    const unknown = spawnService([
      ...['--models', join(directory, 'models'), '--listen', `unix:${socket}`],
      ...['--model', 'loop', '--model', 'lop'],
    ]);
    assert.equal(await unknown.exited, 1);
    assert.equal(
      unknown.stderr(),
      `outrider serve: model directory ${directory}/models: found 'loop', 'other', expected 'lop'\n`,
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
    const answers = wrong.map(async ([args, says]) => {
      const { exited, stderr } = spawnService(args);
      assert.equal(await exited, 2, stderr());
      assert.match(stderr(), says);
      assert.match(stderr(), /usage: serve --models DIR/);
    });
    await Promise.all(answers);
  });

  it('loses no good call to requests of 10 MB that hold millions of empty fields', async () => {
    const { child, stderr } = await start();
    const peakMb = () =>
      Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024;
    const { ModelInfer } = protocols().inference;
    const hostile = new TestClient(`unix:${socket}`);
    const beforeMb = peakMb();
    let lost = 0;
    let good = 0;
    let done = false;
    const traffic = Array.from({ length: 4 }, async () => {
      while (!done) {
        await count(client, 100, Date.now() + 1000).catch(() => lost++);
        good++;
      }
    });
    // Inputs whose contents are there and empty: four bytes for an object of a kilobyte.
    const empties = Buffer.alloc(10_000_000, Buffer.from([0x2a, 0x02, 0x2a, 0x00]));
    for (let i = 0; i < 6; i++) {
      const { code, details } = await failure(hostile.bytes(ModelInfer, empties));
      assert.equal(code, 3, details);
      assert.equal(details, 'request: inputs: found 4097 or more, expected at most 4096');
    }
    done = true;
    await Promise.all(traffic);
    hostile.close();
    assert.equal(lost, 0, `${lost} of ${good} good calls were lost\n${stderr()}`);
    assert.ok(good >= 100, `${good}`);
    // The messages themselves, as they were received: 10 MB each, and what the transport makes of them.
    assert.ok(peakMb() - beforeMb < 200, `${beforeMb.toFixed(0)} MB, then ${peakMb().toFixed(0)} MB`);
    assert.equal(child.exitCode, null);
  });

  it('keeps handles and memory after 1,000 bad requests, cancelled and expired calls', async () => {
    const { child } = await start();
    const measure = () => {
      const proc = `/proc/${child.pid}`;
      const rssKb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`${proc}/status`, 'utf8'))?.[1]);
      return { handles: readdirSync(`${proc}/fd`).length, rssMb: rssKb / 1024 };
    };
    const { ModelInfer } = protocols().inference;
    const big = Buffer.alloc(100_000, 0xff);
    const bad = async (i: number) => {
      const kinds = [
        () => client.bytes(ModelInfer, big),
        () => client.infer({ model_name: 'nobody', raw_input_contents: [big] }),
        () =>
          client.infer({
            model_name: 'loop',
            inputs: [{ name: 'n', datatype: 'INT64', shape: [3] }],
            raw_input_contents: [big],
          }),
        () => count(client, 1000, Date.now() + 1),
      ];
      await kinds[i % kinds.length]!().catch(() => undefined);
    };
    const round = async () => {
      for (let i = 0; i < 1000; i += 20) await Promise.all(Array.from({ length: 20 }, (_, n) => bad(i + n)));
    };
    await round();
    const before = measure();
    await round();
    const after = measure();
    assert.equal(after.handles, before.handles);
    assert.ok(
      after.rssMb - before.rssMb < 40,
      `${before.rssMb.toFixed(0)} MB, then ${after.rssMb.toFixed(0)} MB`,
    );
    assert.equal((await count(client, 5)).model_name, 'loop');
  });
});

describe('the address a model server listens on', () => {
  it('is host:port, [v6]:port or unix:/path', () => {
    assert.deepEqual(parseListen('localhost:0'), { kind: 'tcp', host: 'localhost', port: 0 });
    assert.deepEqual(parseListen('[::1]:8500'), { kind: 'tcp', host: '[::1]', port: 8500 });
    assert.deepEqual(parseListen('unix:/run/m.sock'), { kind: 'unix', path: '/run/m.sock' });
    assert.deepEqual(parseListen('unix:///run/m.sock'), { kind: 'unix', path: '/run/m.sock' });
  });

  it('is refused when it is anything else, or a path longer than the kernel takes', () => {
    for (const text of ['', ':80', 'host', 'host:', 'host:x', 'unix:', 'unix:relative', '::1:80', 'a b:1']) {
      assert.throws(() => parseListen(text), /expected host:port or unix:\/path/, text);
    }
    assert.throws(() => parseListen(`unix:/${'x'.repeat(107)}`), /108 bytes, expected 107 at most/);
  });
});
