/**
 * A real model service behind a real sidecar: what gets it killed, what does not, and how its calls end. The model
 * counts as far as the request says, which takes a microsecond a step: its usual run is short, and any run can be long.
 */

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { ModelReport } from '../../../sidecar/telemetry/reports.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { OUTRIDER, Scratch } from '../../kit/process/outrider.js';
import { isRunning, until } from '../../kit/process/processes.js';
import { SidecarProcess, TINY_MODEL } from '../../kit/process/sidecars.js';
import { TestClient } from '../../kit/service/model-server.js';
import { putLoopModel } from '../../kit/service/tiny-models.js';

/** Longer than anything that was ever suspicious: ten usual runs, a second, two unanswered health checks. */
const LONG_MS = 6_000;
/** A fifth of a second: what they take says how many a long run needs. */
const PROBE_STEPS = 150_000;
/** More than any test waits for: 10 s on a machine that is four times as fast as usual. */
const ENDLESS_STEPS = 30_000_000;

let scratch: Scratch;
let sidecar: SidecarProcess;

/** A sidecar of `service` that starts its model by `command`; resolves when that is ready, with where it takes calls. */
async function startSidecar(
  service: string,
  command: readonly string[],
  model: object = {},
): Promise<string> {
  const file = {
    service,
    admin: '127.0.0.1:0',
    inbound: {
      listen: '127.0.0.1:0',
      mtls: 'off',
      local: `unix:${socket()}`,
      intentions: [{ from: '*', to: service, action: 'allow' }],
      routes: [{ methods: ['*'], kind: 'unary', timeout: '120s' }],
    },
    model,
  };
  const path = scratch.write('sidecar.yaml', JSON.stringify(file));
  const onStart = (started: SidecarProcess): void => {
    sidecar = started;
  };
  await SidecarProcess.start(path, { model: command, onStart });
  await untilReady();
  return writeAddress(sidecar.address('inbound'));
}

const socket = () => join(scratch.path, 'model.sock');
const model = async (): Promise<ModelReport> => (await sidecar.report()).model!;
const untilReady = () => until('the model is ready', async () => (await model()).state === 'ready', 30_000);
const untilSaid = (what: RegExp) => until('it is said', () => what.test(sidecar.output));

const failureOf = (call: Promise<unknown>): Promise<ServiceError> =>
  call.then(
    () => assert.fail('the call succeeded'),
    (error: ServiceError) => error,
  );
const reasonOf = (error: ServiceError) => error.metadata.get('outrider-reason')[0];

describe('a model service behind its sidecar', function () {
  this.timeout(90_000);

  let client: TestClient;
  /** Length of what the sidecar had said when the test began. */
  let saidBefore: number;

  before(async () => {
    scratch = new Scratch();
    putLoopModel(join(scratch.path, 'models'));
    const serve = [...OUTRIDER, 'serve', '--models', join(scratch.path, 'models'), '--exit-with-stdin'];
    const restart = { base: '100ms', max: '200ms' };
    client = new TestClient(await startSidecar('loop', serve, { restart }));
  });
  after(async () => {
    client?.close();
    await sidecar?.stop(15_000);
    const left = readdirSync(scratch.path).sort();
    scratch.remove();
    assert.deepEqual(left, ['models', 'sidecar.yaml'], 'no socket is left behind');
  });

  beforeEach(async () => {
    saidBefore = sidecar.output.length;
    // The model's usual run is a millisecond.
    for (let i = 0; i < 50; i++) await count(500);
  });

  async function count(steps: number): Promise<void> {
    const raw = Buffer.alloc(8);
    raw.writeBigInt64LE(BigInt(steps));
    const inputs = [{ name: 'n', datatype: 'INT64', shape: [] }];
    await client.infer(
      { model_name: 'loop', inputs, raw_input_contents: [raw] },
      { deadline: Date.now() + 60_000 },
    );
  }

  /** A run that the process does not live to finish; resolves once it runs, with how its call will fail. */
  async function endlessRun(): Promise<{ readonly failure: Promise<ServiceError> }> {
    const failure = failureOf(count(ENDLESS_STEPS));
    await until('it runs', async () => (await running()) > 0);
    return { failure };
  }

  for (const when of ['idle', 'at work'] as const)
    it(`is replaced soon when it is stopped while ${when}, and no call is implicated`, async () => {
      const { pid } = await model();
      const call = when === 'idle' ? undefined : (await endlessRun()).failure;
      process.kill(pid!, 'SIGSTOP');
      const fromMs = performance.now();
      await until('it is killed', () => !isRunning(pid!), 20_000);
      const killedMs = performance.now() - fromMs;
      const stopped = /the process has been stopped \(state T\) for \d\.\d s/;
      await until('it is said', () => stopped.test(sidecar.output.slice(saidBefore)));
      if (call !== undefined) assert.equal(reasonOf(await call), 'connection-lost');
      await untilReplaced(pid!);
      console.log(`      killed after ${(killedMs / 1000).toFixed(1)} s`);
      assert.ok(killedMs < (when === 'idle' ? 9_000 : 7_000), `killed after ${killedMs.toFixed(0)} ms`);
    });

  for (const [signal, reason] of [
    ['SIGSEGV', 'model-crashed'],
    ['SIGKILL', 'connection-lost'],
  ] as const)
    it(`tells a call that ran when ${signal} ended the process: ${reason}`, async () => {
      const { pid } = await model();
      const { failure } = await endlessRun();
      process.kill(pid!, signal);
      const error = await failure;
      assert.equal(reasonOf(error), reason);
      assert.equal(error.metadata.get('outrider-unprocessed').length, 0);
      await untilReplaced(pid!);
    });

  // The last one: from now on, the usual run is no longer a millisecond.
  it('answers a long run among short ones, whose watcher thread beats meanwhile', async () => {
    const before = await model();
    let perStepMs = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 3; i++)
      perStepMs = Math.min(perStepMs, (await timed(count(PROBE_STEPS))) / PROBE_STEPS);
    let tookMs = 0;
    let beats: readonly Beat[] = [];
    // Twice, if other work held up all three probes.
    for (let left = 2; left > 0 && tookMs < LONG_MS; left--) {
      const run = timed(count(Math.ceil((1.1 * LONG_MS) / perStepMs)));
      beats = await beatsDuring(`${socket()}.w`, run);
      tookMs = await run;
      perStepMs *= tookMs / (1.1 * LONG_MS);
    }
    assert.ok(tookMs >= LONG_MS, `the run took ${tookMs.toFixed(0)} ms, too short to show anything`);
    const { pid, restarts, state } = await model();
    assert.deepEqual([pid, restarts, state], [before.pid, before.restarts, 'ready']);
    const runs = beats.flatMap(({ running: run }) => run ?? []);
    assert.ok(runs.length >= 3, JSON.stringify(beats));
    assert.ok(runs.at(-1)!.forMs > runs[0]!.forMs);
    assert.ok(runs[0]!.deadlineInMs! > 50_000);
  });

  const untilReplaced = (pid: number) =>
    until('another process is ready', async () => {
      const { state, pid: now } = await model();
      return state === 'ready' && now !== pid;
    });

  async function running(): Promise<number> {
    return (await sidecar.report()).queue!.running;
  }
});

/** One thread, no watcher, and a health service that answers when that thread has time: most servers are like that. */
describe('a foreign server behind its sidecar', function () {
  this.timeout(90_000);

  let client: Client;

  beforeEach(() => {
    scratch = new Scratch();
  });

  afterEach(async () => {
    client?.close();
    sidecar.child.kill('SIGKILL');
    await sidecar.exited;
    scratch.remove();
  });

  async function start(more: object = {}): Promise<void> {
    client = new Client(await startSidecar('tiny', TINY_MODEL, more), credentials.createInsecure());
    for (let i = 0; i < 20; i++) await call(0, 'rest', 10_000);
  }

  function call(blockMs: number, by: 'rest' | 'cpu', deadlineMs: number): Promise<void> {
    const metadata = new Metadata();
    metadata.set('x-block-ms', String(blockMs));
    metadata.set('x-block-by', by);
    const deadline = Date.now() + deadlineMs;
    const bytes = (each: Buffer) => each;
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null) => (error === null ? resolve() : reject(error));
      client.makeUnaryRequest('/tiny.Tiny/Do', bytes, bytes, Buffer.alloc(0), metadata, { deadline }, done);
    });
  }

  it('is not killed for 8 s without CPU, as on a GPU, nor for seconds with CPU, within the deadline', async () => {
    await start();
    const { pid } = await model();
    await call(8_000, 'rest', 60_000);
    // By day, our own server burns CPU for 6 s, and the next test but one for 4 s after a deadline.
    if (EFFORT > 1) await call(20_000, 'cpu', 60_000);
    const { pid: after, restarts } = await model();
    assert.deepEqual([after, restarts], [pid, 0]);
  });

  it('is replaced when all deadlines have passed and no CPU is used', async () => {
    await start();
    const { pid } = await model();
    await assert.rejects(call(600_000, 'rest', 2_000), /DEADLINE_EXCEEDED/);
    const fromMs = performance.now();
    await until('it is killed', () => !isRunning(pid!), 30_000);
    console.log(`      killed ${((performance.now() - fromMs) / 1000).toFixed(1)} s after the deadline`);
    await untilSaid(/the deadline of all calls under way passed \d+\.\d s ago, no CPU was used for/);
    await untilReady();
  });

  it('is left alone while it burns CPU after the deadline, until longest_run, and then that is said', async () => {
    await start({ longest_run: '4s' });
    const { pid } = await model();
    const long = failureOf(call(600_000, 'cpu', 60_000));
    await assert.rejects(call(0, 'rest', 1_000), /DEADLINE_EXCEEDED/);
    const error = await long;
    assert.deepEqual(error.metadata.get('outrider-reason'), ['model-crashed'], sidecar.output);
    await untilSaid(/no result for ([4-9]|1\d)\.\d s, longer than longest_run \(4\.0 s\)/);
    assert.equal(isRunning(pid!), false);
  });
});

interface Beat {
  readonly runs: number;
  readonly running: { readonly forMs: number; readonly deadlineInMs: number | null } | null;
}

/** How long it takes, ms. */
async function timed(work: Promise<unknown>): Promise<number> {
  const fromMs = performance.now();
  await work;
  return performance.now() - fromMs;
}

/** The beats of a watcher thread until `work` is done; fails when that does. */
async function beatsDuring(path: string, work: Promise<unknown>): Promise<Beat[]> {
  let text = '';
  const socket = connect(path).setEncoding('utf8');
  socket.on('data', (part: string) => {
    text += part;
  });
  const failed = new Promise<never>((_, reject) => void socket.once('error', reject));
  try {
    await Promise.race([work, failed]);
  } finally {
    socket.destroy();
  }
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Beat);
}
