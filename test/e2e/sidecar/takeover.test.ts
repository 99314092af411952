/**
 * A sidecar before an application is followed by another process under load: by its admin port, by SIGUSR2, and under a
 * service manager that holds its sockets.
 */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Client, credentials } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import { STOCK_CHANNEL } from '../../../sidecar/cli/chaos/protocol/call.js';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { Load, REQUEST, type SentCall } from '../../drills/faults/load.js';
import { Model } from '../../drills/faults/model.js';
import { HOLD } from '../../drills/faults/open-streams.js';
import { callByGo, MODEL_INFER, type Outcome } from '../../kit/interop/go.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { freePort } from '../../kit/process/free-port.js';
import { admin, outputOf, outrider } from '../../kit/process/outrider.js';
import { isRunning, processesWith, until } from '../../kit/process/processes.js';
import { SidecarProcess } from '../../kit/process/sidecars.js';
import { toolOrSkip } from '../../kit/process/tools.js';

const PER_SECOND = 200;
/** Where how many there are does not matter. */
const FEW_PER_SECOND = 50;
/** Eight at a time take seconds, in which a sidecar is followed several times. */
const GO_CALLS = 3_000;

describe('a sidecar that another takes over from', function () {
  this.timeout(90_000);

  const scratch = scratchForEach();
  let model: Model;
  let load: Load | undefined;
  let adminPort: number;
  let observePort: number;
  const pids = new Set<number>();

  beforeEach(async () => {
    adminPort = await freePort();
    observePort = await freePort();
    model = await Model.start({ serviceMs: 5 });
  });

  afterEach(async () => {
    await load?.stop();
    load = undefined;
    for (const pid of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    pids.clear();
    await model.kill();
  });

  const write = (listen: string, more = ''): string =>
    scratch.write(
      'sidecar.yaml',
      `service: web
admin: 127.0.0.1:${adminPort}
observe: 127.0.0.1:${observePort}
outbound:
  upstreams:
    far: { listen: "${listen}", tls: plaintext, endpoints: ["127.0.0.1:${model.port}"] }
${more}`,
    );

  interface Started {
    readonly pid: number;
    readonly admin: string;
    readonly far: string;
  }

  /** Starts one with `before` before its command line and `more` in its file; resolves with where it listens. */
  async function start(listen = '127.0.0.1:0', before: readonly string[] = [], more = ''): Promise<Started> {
    const onStart = ({ pid }: SidecarProcess) => pids.add(pid);
    const sidecar = await SidecarProcess.start(write(listen, more), { before, onStart });
    const far = writeAddress(sidecar.address('upstream far'));
    return { pid: sidecar.pid, admin: sidecar.adminAddress, far };
  }

  const ownerOf = (pid: number, before: number): Promise<true> =>
    until(`process ${before} has ended`, () => !isRunning(before) && isRunning(pid));
  const pidIn = (text: string): number => {
    const pid = Number(/process (\d+) accepts/.exec(text)?.[1]);
    pids.add(pid);
    return pid;
  };
  /** Asks for a takeover; resolves with the successor, which need not be alone yet. */
  const follow = async ({ admin: address }: Started): Promise<number> => {
    const { status, body } = await admin(address, '/takeover', 'POST');
    assert.equal(status, 200, body);
    return pidIn(body);
  };
  /** The same from `before`, until that has ended. */
  const takeOver = async (first: Started, before = first.pid): Promise<number> => {
    const pid = await follow(first);
    await ownerOf(pid, before);
    return pid;
  };
  const takeOverTimes = async (first: Started, times: number): Promise<void> => {
    let before = first.pid;
    for (let i = 0; i < times; i++) before = await takeOver(first, before);
  };

  const begin = async (target: string, perSecond = FEW_PER_SECOND): Promise<Load> => {
    load = await Load.start({ target, perSecond, deadlineMs: 10_000, channel: STOCK_CHANNEL });
    return load;
  };

  it('loses no call of 200 a second, several times in a row', async () => {
    const first = await start();
    const calls = await begin(first.far, PER_SECOND);
    const fromMs = performance.now();
    await takeOverTimes(first, Math.min(10, runs(3)));
    assertNoneFailed(await calls.between(fromMs, performance.now()));
    const observed = `127.0.0.1:${observePort}`;
    assert.equal(
      (await admin(observed, '/ready')).status,
      200,
      'the last one has the read-only listener too',
    );
    assert.equal((await admin(observed, '/drain', 'POST')).status, 404);
  });

  it('does not wait for an upstream that is down here as well', async () => {
    const down = `127.0.0.1:${await freePort()}`;
    const more = `    down: { listen: "127.0.0.1:0", tls: plaintext, endpoints: ["${down}"] }\n`;
    const first = await start('127.0.0.1:0', [], more);
    await takeOver(first);
    assert.equal((await admin(first.admin, '/ready')).status, 503);
  });

  it('finishes a stream that is open, as long as that lasts', async () => {
    const first = await start();
    const client = new Client(first.far, credentials.createInsecure());
    const { path, requestSerialize, responseDeserialize } = HOLD;
    const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    let echoes = 0;
    let ending: number | undefined;
    stream.on('data', () => echoes++).on('error', () => {});
    stream.on('status', ({ code }) => {
      ending = code;
    });
    stream.write(Buffer.from('before'));
    await until('it is open', () => echoes === 1);
    const successor = await follow(first);
    stream.write(Buffer.from('meanwhile'));
    await until('it goes on', () => echoes === 2);
    await begin(first.far);
    assert.ok(isRunning(first.pid), 'the predecessor waits for it');
    stream.end();
    await until('it ends', () => ending !== undefined);
    assert.equal(ending, 0);
    await ownerOf(successor, first.pid);
    client.close();
  });

  it('loses no call of a Python client', async function () {
    const python = await toolOrSkip(this, 'python');
    const first = await start();
    const { requestSerialize } = protocols().inference.ModelInfer;
    const request = requestSerialize(REQUEST).toString('base64');
    const { child, said } = startPython(python, PYTHON_CALLER, first.far, request);
    await until('it calls', () => said.stdout.includes('calling'));
    await takeOverTimes(first, 3);
    child.stdin!.end('enough\n');
    const [, sent, failed] = await until('it is done', () => /(\d+) sent, (\d+) failed/.exec(said.stdout));
    assert.ok(Number(sent) > 50, said.stdout);
    assert.equal(failed, '0', said.stdout);
  });

  if (EFFORT > 1)
    it('loses no call of a Go client with eight in flight', async function () {
      const go = await toolOrSkip(this, 'go-client');
      const first = await start();
      const target = { kind: 'tcp', host: '127.0.0.1', port: Number(first.far.split(':')[1]) } as const;
      const run = { method: MODEL_INFER, calls: GO_CALLS, width: 8, floats: 64 };
      let outcome: Outcome | undefined;
      const called = callByGo(go, target, run, 40_000).then((found) => {
        outcome = found;
      });
      let before = first.pid;
      let takeovers = 0;
      while (outcome === undefined && takeovers < 20) {
        before = await takeOver(first, before);
        takeovers++;
      }
      await called;
      const said = `${takeovers} takeovers: ${outcome!.samples.join('; ')}`;
      assert.deepEqual(outcome!.byCode, { OK: GO_CALLS }, said);
      assert.ok(takeovers >= 2);
    });

  it('is asked by the command line with the token of its file, and by SIGUSR2; a Unix socket keeps its path', async () => {
    const path = join(scratch.path, 'far.sock');
    const token = scratch.write('token', 'no-guess-of-20-signs\n');
    const first = await start(`unix:${path}`, [], `admin_token_file: ${token}\n`);
    assert.equal((await admin(first.admin, '/takeover', 'POST')).status, 401, 'and by no other');
    const calls = await begin(`unix:${path}`);
    const fromMs = performance.now();
    const file = join(scratch.path, 'sidecar.yaml');
    const { code, stdout, stderr } = await outrider(['sidecar', '-c', file, '--takeover']);
    assert.equal(code, 0, stderr);
    const second = pidIn(stdout);
    await ownerOf(second, first.pid);
    process.kill(second, 'SIGUSR2');
    const third = await until('a third runs', () => sidecars().find((pid) => pid !== second));
    pids.add(third);
    await ownerOf(third, second);
    assertNoneFailed(await calls.between(fromMs, performance.now()));
  });

  it('goes on when its successor cannot, and says why', async () => {
    const first = await start();
    const calls = await begin(first.far);
    const fromMs = performance.now();
    write('127.0.0.1:0', 'colour: blue\n');
    const { status, body } = await admin(first.admin, '/takeover', 'POST');
    assert.deepEqual([status, body], [503, 'the successor ended with 1; its log says why\n']);
    assert.deepEqual(sidecars(), [first.pid]);
    write('127.0.0.1:0');
    await takeOver(first);
    assertNoneFailed(await calls.between(fromMs, performance.now()));
  });

  it('leaves a socket whose address has changed, and its successor listens at the new one', async () => {
    const first = await start();
    const port = await freePort();
    write(`127.0.0.1:${port}`);
    await takeOver(first);
    await begin(`127.0.0.1:${port}`);
    await assert.rejects(fetch(`http://${first.far}/`), (error: Error) =>
      /ECONNREFUSED/.test(String((error.cause as Error | undefined)?.message)),
    );
  });

  it('takes its sockets from a service manager, and is followed by another there', async function () {
    const activate = 'systemd-socket-activate';
    if (spawnSync(activate, ['--version']).status !== 0) {
      process.stderr.write(`\nSKIPPING sockets of a service manager: there is no ${activate}\n`);
      this.skip();
    }
    const port = await freePort();
    const target = `127.0.0.1:${port}`;
    const pass = [activate, '-l', target, '-l', `127.0.0.1:${adminPort}`, '--fdname=upstream.far:admin'];
    const started = start('127.0.0.1:9', pass); // its own address is not looked at
    // It starts the program at the first connection, which waits meanwhile.
    const early = await until('the first call is answered', () => begin(target).catch(() => undefined));
    const first = await started;
    assert.equal(first.far, target);
    const fromMs = performance.now();
    await takeOver(first);
    assertNoneFailed(await early.between(fromMs, performance.now()));
  });

  it('tells systemd which process the service is now', async function () {
    const python = spawnSync('python3', ['--version']).status === 0;
    if (!python || spawnSync('systemd-notify', ['--version']).status !== 0) {
      process.stderr.write('\nSKIPPING what systemd is told: there is no systemd-notify\n');
      this.skip();
    }
    const path = join(scratch.path, 'notify');
    const { said } = startPython('python3', PYTHON_MANAGER, path);
    const hears = (pid: number) => () => new RegExp(`READY=1 MAINPID=${pid}$`, 'm').test(said.stdout);
    await until('the manager listens', () => said.stdout.includes('listening'));
    const first = await start('127.0.0.1:0', ['env', `NOTIFY_SOCKET=${path}`]);
    await until('it is ready', hears(first.pid));
    const successor = await follow(first);
    await until('the successor is', hears(successor));
    await ownerOf(successor, first.pid);
  });

  function startPython(python: string, program: string, ...args: readonly string[]) {
    const child = spawn(python, ['-c', program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    pids.add(child.pid!);
    return { child, said: outputOf(child) };
  }

  /** Those that run from this test's file. */
  function sidecars(): number[] {
    return processesWith(join(scratch.path, 'sidecar.yaml'));
  }
});

/** Calls as fast as one thread does until a line comes on standard input. */
const PYTHON_CALLER = `
import base64, sys, threading, grpc
channel = grpc.insecure_channel(sys.argv[1])
infer = channel.unary_unary('/inference.GRPCInferenceService/ModelInfer')
request = base64.b64decode(sys.argv[2])
enough = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), enough.set()), daemon=True).start()
sent, failures = 0, []
while not enough.is_set():
    sent += 1
    try:
        infer(request, timeout=5)
    except grpc.RpcError as error:
        failures.append(error.details())
    if sent == 5: print('calling', flush=True)
print(f'{sent} sent, {len(failures)} failed', failures[:3], flush=True)
`;

/** Prints what comes to a notification socket, in one line each. */
const PYTHON_MANAGER = `
import socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1])
print('listening', flush=True)
while True:
    print(' '.join(manager.recv(4096).decode().split()), flush=True)
`;

import { EFFORT, runs } from '../../kit/mocha/effort.js';

function assertNoneFailed(calls: readonly SentCall[]): void {
  const failed = calls.filter(({ failure }) => failure !== undefined);
  const first = failed
    .slice(0, 3)
    .map(({ failure, startMs, endMs }) => `${failure} at ${startMs} after ${endMs - startMs}`);
  assert.equal(failed.length, 0, `${failed.length} of ${calls.length} failed: ${first.join('; ')}`);
}
