/**
 * A real model service behind a real sidecar: what gets it killed, what does not, and what its calls are told. The model
 * counts as far as it is told, which takes a microsecond a step: its usual run is short, and any run can be long.
 */

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { ServiceError } from '@grpc/grpc-js';
import type { ModelReport } from '../../sidecar/admin/view.js';
import { TestClient } from '../services/harness.js';
import { admin, OUTRIDER, type Outcome, outcomeOf, Scratch, startOutrider } from '../support/outrider.js';
import { isRunning, until } from '../support/processes.js';
import { putLoopModel } from '../support/tiny-models.js';

/** Longer than anything that was ever suspicious: ten usual runs, a second, two unanswered health checks. */
const LONG_MS = 7_000;

describe('a model service behind its sidecar', function () {
  this.timeout(90_000);

  let scratch: Scratch;
  let child: ChildProcess;
  let outcome: Promise<Outcome>;
  let address: string;
  let client: TestClient;
  let log: string;

  before(async () => {
    scratch = new Scratch();
    putLoopModel(join(scratch.path, 'models'));
  });
  after(() => scratch.remove());

  const socket = () => join(scratch.path, 'model.sock');

  beforeEach(async () => {
    const file = {
      service: 'loop',
      admin: '127.0.0.1:0',
      inbound: {
        listen: '127.0.0.1:0',
        mtls: 'off',
        local: `unix:${socket()}`,
        intentions: [{ from: '*', to: 'loop', action: 'allow' }],
        routes: [{ methods: ['*'], kind: 'unary', timeout: '120s' }],
      },
    };
    const path = scratch.write('sidecar.yaml', JSON.stringify(file));
    const serve = [...OUTRIDER, 'serve', '--models', join(scratch.path, 'models'), '--exit-with-stdin'];
    child = startOutrider(['sidecar', '-c', path, '--', ...serve]);
    outcome = outcomeOf(child);
    log = '';
    child.stdout!.on('data', (part: string) => {
      log += part;
    });
    child.stderr!.on('data', (part: string) => {
      log += part;
    });
    address = await until('it listens', () => /admin on (127\.0\.0\.1:\d+)/.exec(log)?.[1]);
    client = new TestClient(/inbound on (127\.0\.0\.1:\d+)/.exec(log)![1]!);
    await untilReady();
  });

  afterEach(async () => {
    client.close();
    child.kill('SIGTERM');
    const forced = setTimeout(() => child.kill('SIGKILL'), 15_000);
    await outcome;
    clearTimeout(forced);
  });

  const model = async (): Promise<ModelReport> => JSON.parse((await admin(address, '/endpoints')).body).model;
  const untilReady = () => until('the model is ready', async () => (await model()).state === 'ready', 30_000);

  async function count(steps: number, deadlineMs = 60_000): Promise<void> {
    const raw = Buffer.alloc(8);
    raw.writeBigInt64LE(BigInt(Math.round(steps)));
    const inputs = [{ name: 'n', datatype: 'INT64', shape: [] }];
    await client.infer(
      { model_name: 'loop', inputs, raw_input_contents: [raw] },
      { deadline: Date.now() + deadlineMs },
    );
  }

  /** Steps that take so long here and now, and many short runs before: the model's usual run is a millisecond. */
  async function stepsFor(ms: number): Promise<number> {
    for (let i = 0; i < 50; i++) await count(500);
    const probe = 300_000;
    const fromMs = performance.now();
    await count(probe);
    return (probe * ms) / (performance.now() - fromMs);
  }

  const failureOf = (call: Promise<unknown>): Promise<ServiceError> =>
    call.then(
      () => assert.fail('the call succeeded'),
      (error: ServiceError) => error,
    );
  const reasonOf = (error: ServiceError) => error.metadata.get('outrider-reason')[0];

  it('is not killed for a long run among short ones, whose watcher thread beats meanwhile', async () => {
    const steps = await stepsFor(LONG_MS);
    const { pid } = await model();
    const fromMs = performance.now();
    const long = count(steps);
    const beats = await listen(`${socket()}.w`, 5);
    await long;
    const tookMs = performance.now() - fromMs;
    assert.ok(tookMs > 5_000, `the run took ${tookMs.toFixed(0)} ms, too short to show anything`);
    const { pid: after, restarts, state } = await model();
    assert.deepEqual([after, restarts, state], [pid, 0, 'ready']);
    const running = beats.filter((beat) => beat.running !== null);
    assert.ok(running.length >= 3, JSON.stringify(beats));
    assert.ok(running.at(-1)!.running!.forMs > running[0]!.running!.forMs);
    assert.ok(running[0]!.running!.deadlineInMs! > 50_000);
  });

  for (const when of ['idle', 'at work'] as const) {
    it(`is replaced soon when it is stopped while ${when}, and no call is implicated`, async () => {
      const steps = await stepsFor(1_000);
      const { pid } = await model();
      const call = when === 'idle' ? undefined : failureOf(count(20 * steps));
      if (call !== undefined) await until('it runs', async () => (await running()) > 0);
      process.kill(pid!, 'SIGSTOP');
      const fromMs = performance.now();
      await until('it is killed', () => !isRunning(pid!), 20_000);
      const killedMs = performance.now() - fromMs;
      assert.match(log, /the process has been stopped \(state T\) for \d\.\d s/);
      if (call !== undefined) assert.equal(reasonOf(await call), 'connection-lost');
      await untilReady();
      console.log(`      killed after ${(killedMs / 1000).toFixed(1)} s`);
      assert.ok(killedMs < (when === 'idle' ? 9_000 : 7_000), `killed after ${killedMs.toFixed(0)} ms`);
    });
  }

  for (const [signal, reason] of [
    ['SIGSEGV', 'model-crashed'],
    ['SIGKILL', 'connection-lost'],
  ] as const) {
    it(`tells a call that ran when ${signal} ended the process: ${reason}`, async () => {
      const steps = await stepsFor(1_000);
      const { pid } = await model();
      const call = failureOf(count(20 * steps));
      await until('it runs', async () => (await running()) > 0);
      process.kill(pid!, signal);
      const failure = await call;
      assert.equal(reasonOf(failure), reason);
      assert.equal(failure.metadata.get('outrider-unprocessed').length, 0);
      await untilReady();
    });
  }

  async function running(): Promise<number> {
    return JSON.parse((await admin(address, '/endpoints')).body).queue.running;
  }
});

interface Beat {
  readonly runs: number;
  readonly running: { readonly forMs: number; readonly deadlineInMs: number | null } | null;
}

/** So many beats of a watcher thread. */
function listen(path: string, count: number): Promise<Beat[]> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(path).setEncoding('utf8');
    socket.on('error', reject);
    socket.on('data', (part: string) => {
      text += part;
      const lines = text.split('\n').slice(0, -1);
      if (lines.length < count) return;
      socket.destroy();
      resolve(lines.map((line) => JSON.parse(line) as Beat));
    });
  });
}
