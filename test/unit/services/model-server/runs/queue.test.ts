import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import type { Tensor } from '../../../../../proto/datatypes.js';
import { protocols } from '../../../../../proto/load.js';
import { heldOut } from '../../../../../services/digits/dataset.js';
import type { RpcError } from '../../../../../services/model-server/rpc.js';
import type { Answer, Job, Runner } from '../../../../../services/model-server/runs/job.js';
import { InferenceQueue } from '../../../../../services/model-server/runs/queue.js';
import { runStacked, sameRowShape } from '../../../../../services/model-server/runs/stacking.js';
import { ModelStats } from '../../../../../services/model-server/runs/statistics.js';
import { packageRoot } from '../../../../kit/process/package-root.js';
import {
  failure,
  type Harness,
  startHarness,
  temporaryDirectory,
} from '../../../../kit/service/model-server.js';
import { jobOf, QueueBench, runnerOf } from '../../../../kit/service/queue-jobs.js';
import { putLoopModel } from '../../../../kit/service/tiny-models.js';

const NEVER = Number.POSITIVE_INFINITY;

function tensorOf(values: readonly number[], dims: readonly number[] = [values.length, 1]): Tensor {
  return { datatype: 'FP32', dims, data: Float32Array.from(values) };
}

/** A network that is run alone or stacked. */
abstract class NetworkRunner implements Runner {
  readonly maxBatch: number = 1;
  readonly outputCount = 1;
  readonly maxDelayMs = 0;
  readonly preferredRows = [];
  readonly concurrency = 1;
  readonly stats = new ModelStats();
  readonly fits = sameRowShape;
  abstract readonly name: string;

  execute(jobs: readonly Job[]): Promise<Answer[]> {
    return runStacked(this, jobs);
  }

  abstract run(inputs: readonly Tensor[]): Promise<Tensor[]>;
}

/** Notes its runs in order with those of other models; each takes its time on the bench's clock. */
class TimedRunner extends NetworkRunner {
  constructor(
    readonly name: string,
    private readonly bench: Bench,
    private readonly runMs: number,
    private readonly order: string[],
    private readonly then: () => void = () => {},
  ) {
    super();
  }

  async run(inputs: readonly Tensor[]): Promise<Tensor[]> {
    this.order.push(this.name);
    this.bench.runMs += this.runMs;
    this.then();
    return [...inputs];
  }
}

/** Doubles its rows; a run lasts until it is released. */
class ScriptedRunner extends NetworkRunner {
  readonly name = 'scripted';
  /** Rows of each run, in order. */
  readonly runs: number[][] = [];
  private readonly releases: (() => void)[] = [];

  constructor(
    override readonly maxBatch: number,
    private readonly held = false,
  ) {
    super();
  }

  async run(inputs: readonly Tensor[]): Promise<Tensor[]> {
    const { dims, data } = inputs[0]!;
    const values = Array.from(data as Float32Array);
    this.runs.push(values);
    if (this.held) await new Promise<void>((resolve) => this.releases.push(resolve));
    if (values.includes(-1)) throw new Error('minus one');
    return [
      tensorOf(
        values.map((v) => 2 * v),
        dims,
      ),
    ];
  }

  release(): void {
    this.releases.shift()?.();
  }
}

interface Ended {
  error: RpcError | undefined;
  values: number[];
}

class Bench {
  now = 1000;
  /** The clock by which runs are measured. */
  runMs = 0;
  readonly queue = new InferenceQueue({ wallNow: () => this.now, runNow: () => this.runMs });

  job(
    runner: Runner,
    values: number[],
    deadlineMs = NEVER,
    shape?: number[],
  ): Job & { ended: Promise<Ended> } {
    let resolve: (ended: Ended) => void = () => undefined;
    const ended = new Promise<Ended>((r) => {
      resolve = r;
    });
    const inputs = [tensorOf(values, shape)];
    const done: Job['done'] = (error, answer) =>
      resolve({
        error,
        values: (answer?.outputs ?? []).flatMap((o) => Array.from(o.data as Float32Array)),
      });
    const job = { runner, inputs, wanted: [0], parameters: {}, deadlineMs, done, ended };
    this.queue.submit(job);
    return job;
  }

  /** Jobs of one value each. */
  jobs(runner: Runner, values: readonly number[]) {
    return values.map((value) => this.job(runner, [value]));
  }

  /** Until everything that could run has begun to. */
  async settle(): Promise<void> {
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Lets the run that is held end, and what follows begin. */
  async release(runner: ScriptedRunner): Promise<void> {
    runner.release();
    await this.settle();
  }
}

const endsOf = (jobs: readonly { ended: Promise<Ended> }[]) => Promise.all(jobs.map(({ ended }) => ended));
const valuesOf = async (jobs: readonly { ended: Promise<Ended> }[]) =>
  (await endsOf(jobs)).map(({ values }) => values);

function scripted(maxBatch: number, how?: 'held') {
  return { bench: new Bench(), runner: new ScriptedRunner(maxBatch, how === 'held') };
}

/** Runners on one bench, and the order in which they run. */
function timed() {
  const [bench, order]: [Bench, string[]] = [new Bench(), []];
  const runner = (name: string, runMs: number, then?: () => void) =>
    new TimedRunner(name, bench, runMs, order, then);
  return { bench, order, runner };
}

describe('the inference queue', () => {
  it('runs one at a time, in order of arrival, when the model declares no batch', async () => {
    const { bench, runner } = scripted(1);
    assert.deepEqual(await valuesOf(bench.jobs(runner, [1, 2, 3])), [[2], [4], [6]]);
    assert.deepEqual(runner.runs, [[1], [2], [3]]);
  });

  it('runs together what waited while another ran, and gives each caller its own rows', async () => {
    const { bench, runner } = scripted(8, 'held');
    const first = bench.job(runner, [1]);
    await bench.settle();
    const later = [[2], [3, 4], [5]].map((values) => bench.job(runner, values));
    await bench.release(runner);
    runner.release();
    assert.deepEqual(await valuesOf(later), [[4], [6, 8], [10]]);
    await first.ended;
    assert.deepEqual(runner.runs, [[1], [2, 3, 4, 5]]);
    assert.deepEqual(bench.queue.counters, { runs: 2, jobs: 4, expired: 0, withdrawn: 0 });
  });

  it('waits for turns of the event loop that bring more, and stops at the first that brings none', async () => {
    const { bench, runner } = scripted(8);
    const jobs = [bench.job(runner, [1])];
    // One more in each of the next three turns, then silence.
    for (let turn = 2; turn <= 4; turn++) {
      await new Promise<void>((resolve) => process.nextTick(resolve));
      jobs.push(bench.job(runner, [turn]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await endsOf(jobs);
    assert.equal(runner.runs.length, 1);
    assert.deepEqual(runner.runs[0], [1, 2, 3, 4]);
  });

  it('never combines more rows than max_batch, nor other shapes or other models', async () => {
    const bench = new Bench();
    const runner = new ScriptedRunner(3);
    const other = new ScriptedRunner(3);
    const jobs = [
      bench.job(runner, [1, 2]),
      bench.job(runner, [3, 4]),
      bench.job(runner, [5]),
      bench.job(runner, [6, 7], undefined, [1, 2]),
      bench.job(other, [8]),
      bench.job(runner, [9, 10, 11, 12]),
    ];
    await endsOf(jobs);
    assert.deepEqual(runner.runs, [
      [1, 2, 5],
      [3, 4],
      [6, 7],
      [9, 10, 11, 12],
    ]);
    assert.deepEqual(other.runs, [[8]]);
  });

  it('never combines more requests than max_batch, of which some have no rows', async () => {
    for (const [maxBatch, runs] of [
      [1, [[], [], [5], []]],
      [3, [[5], []]],
    ] as const) {
      const { bench, runner } = scripted(maxBatch);
      const jobs = [[], [], [5], []].map((values) => bench.job(runner, values));
      assert.deepEqual(await valuesOf(jobs), [[], [], [10], []]);
      assert.deepEqual(runner.runs, runs);
    }
  });

  describe('when one is refused whose time is up', () => {
    /** A model that runs, and a job behind that run whose deadline has passed. */
    function busy() {
      const bench = new QueueBench();
      const runner = runnerOf();
      bench.submit(jobOf(runner));
      const late = (done: Job['done']) => jobOf(runner, 1, { deadlineMs: bench.clock.wallNow(), done });
      return { bench, runner, late };
    }

    it('runs what its caller sends then', async () => {
      const { bench, runner, late } = busy();
      const next = jobOf(runner, 7);
      bench.submit(late(() => bench.submit(next)));
      await bench.settle();
      assert.deepEqual([next.answered, runner.stats.pending], [[7], 0]);
    });

    it('does not run what its caller withdraws then', async () => {
      const { bench, runner, late } = busy();
      const other = jobOf(runner, 7);
      bench.submit(
        late(() => bench.queue.withdraw(other)),
        other,
      );
      await bench.settle();
      const { success, fail, cancelled, pending } = runner.stats;
      assert.deepEqual([success.count, fail.count, cancelled, pending, other.answered], [1, 1, 1, 0, []]);
    });
  });

  it('counts the wait of a request once that ran again alone after its batch failed', async () => {
    const { bench, runner } = scripted(8);
    await endsOf(bench.jobs(runner, [1, -1, 3]));
    assert.deepEqual(
      [runner.stats.queue.count, runner.stats.success.count, runner.stats.fail.count],
      [3, 2, 1],
    );
  });

  it('does not run a job whose deadline passed while it waited', async () => {
    const { bench, runner } = scripted(8, 'held');
    const first = bench.job(runner, [1]);
    await bench.settle();
    const late = bench.job(runner, [2], 1050);
    const patient = bench.job(runner, [3], 2000);
    bench.now = 1050;
    runner.release();
    await first.ended;
    const { error } = await late.ended;
    assert.equal(error?.code, status.DEADLINE_EXCEEDED);
    assert.match(error!.message, /not run/);
    await bench.settle();
    runner.release();
    assert.deepEqual((await patient.ended).values, [6]);
    assert.deepEqual(runner.runs, [[1], [3]]);
    assert.equal(bench.queue.counters.expired, 1);
  });

  it('checks deadlines again before each single run after a batch failed', async () => {
    const { bench, runner } = scripted(8, 'held');
    const jobs = [bench.job(runner, [-1]), bench.job(runner, [2], 1050)];
    await bench.settle();
    await bench.release(runner); // the batch fails
    bench.now = 1060;
    runner.release(); // the first alone fails
    const [bad, late] = await endsOf(jobs);
    assert.equal(bad!.error?.code, status.INTERNAL);
    assert.equal(late!.error?.code, status.DEADLINE_EXCEEDED);
    assert.deepEqual(runner.runs, [[-1, 2], [-1]]);
  });

  it('forgets a job that was withdrawn, and lets one that runs finish', async () => {
    const { bench, runner } = scripted(1, 'held');
    const [running, waiting, last] = bench.jobs(runner, [1, 2, 3]);
    await bench.settle();
    bench.queue.withdraw(waiting!);
    bench.queue.withdraw(running!);
    await bench.release(runner);
    await running!.ended;
    runner.release();
    await last!.ended;
    assert.deepEqual(runner.runs, [[1], [3]]);
    assert.equal(bench.queue.counters.withdrawn, 1);
  });

  it('counts a run that fails after its caller has gone as cancelled, and one that ends well as a success', async () => {
    const { bench, runner } = scripted(1, 'held');
    for (const value of [-1, 1]) {
      const job = bench.job(runner, [value]);
      await bench.settle();
      bench.queue.withdraw(job);
      await bench.release(runner);
    }
    const { success, fail, cancelled, pending } = runner.stats;
    assert.deepEqual([success.count, fail.count, cancelled, pending], [1, 0, 1, 0]);
  });

  it('hears of a cancellation that arrived during a run before it chooses the next job', async () => {
    const { bench, runner } = scripted(1, 'held');
    const [running, gone] = bench.jobs(runner, [1, 2]);
    await bench.settle();
    runner.release();
    // As a reset read in the turn after the run is.
    setImmediate(() => bench.queue.withdraw(gone!));
    await running!.ended;
    await bench.settle();
    assert.deepEqual(runner.runs, [[1]]);
  });
});

describe('a batch of several callers', () => {
  /** `y` has a row for each row of `x` that is positive, so that rows depend on values. */
  class FilteringRunner extends ScriptedRunner {
    override async run(inputs: readonly Tensor[]): Promise<Tensor[]> {
      const values = Array.from(inputs[0]!.data as Float32Array);
      this.runs.push(values);
      return [tensorOf(values.filter((value) => value > 0))];
    }
  }

  it('gives no caller the rows of another when another number of rows comes out than went in', async () => {
    const bench = new Bench();
    const runner = new FilteringRunner(8);
    assert.deepEqual(await valuesOf(bench.jobs(runner, [-1, 2, 3])), [[], [2], [3]]);
    assert.deepEqual(runner.runs, [[-1, 2, 3], [-1], [2], [3]]);
  });

  it('combines no request whose inputs have different numbers of rows', async () => {
    const bench = new Bench();
    const seen: number[][] = [];
    const runner = new (class extends NetworkRunner {
      readonly name = 'two';
      override readonly maxBatch = 8;
      async run(inputs: readonly Tensor[]) {
        seen.push(inputs.map((tensor) => tensor.dims[0]!));
        return [inputs[0]!];
      }
    })();
    const tensor = (rows: number) => tensorOf(new Array(rows).fill(0));
    const ended = [1, 2, 1].map(
      (rows) =>
        new Promise<void>((resolve) => {
          const inputs = [tensor(rows), tensor(1)];
          bench.queue.submit({
            runner,
            inputs,
            wanted: [0],
            parameters: {},
            deadlineMs: NEVER,
            done: () => resolve(),
          });
        }),
    );
    await Promise.all(ended);
    assert.deepEqual(seen, [
      [2, 2],
      [2, 1],
    ]);
  });

  it('does not run a job again alone whose caller has gone while the batch failed', async () => {
    const { bench, runner } = scripted(8, 'held');
    const [bad, gone, last] = bench.jobs(runner, [-1, 2, 3]);
    await bench.settle();
    bench.queue.withdraw(gone!);
    await bench.release(runner); // the batch fails
    await bench.release(runner);
    await bad!.ended;
    runner.release();
    assert.deepEqual((await last!.ended).values, [6]);
    assert.deepEqual(runner.runs, [[-1, 2, 3], [-1], [3]]);
  });

  it('goes on when an answer cannot be sent, and says so to its caller', async () => {
    const { bench, runner } = scripted(1);
    const errors: (RpcError | undefined)[] = [];
    const done: Job['done'] = (error) => {
      errors.push(error);
      if (error === undefined) throw new RangeError('too long');
    };
    bench.queue.submit({
      runner,
      inputs: [tensorOf([1])],
      wanted: [0],
      parameters: {},
      deadlineMs: NEVER,
      done,
    });
    const next = bench.job(runner, [2]);
    assert.deepEqual((await next.ended).values, [4]);
    assert.equal(errors[1]?.code, status.INTERNAL);
    assert.match(errors[1]!.message, /model 'scripted': its answer cannot be sent: too long/);
  });
});

describe('turns of several models in one process', () => {
  it('gives one run at most of a slow model between two of another that waits', async () => {
    const { bench, order, runner } = timed();
    const eight = new Array<number>(8).fill(0);
    await endsOf([runner('S', 1000), runner('q', 3)].flatMap((each) => bench.jobs(each, eight)));
    // The slow one was first; then the other has its eight, which take less than one run of it.
    assert.equal(order.join(''), 'SqqqqqqqqSSSSSSS');
  });

  it('alternates with a caller that sends one call after the other', async () => {
    const { bench, order, runner } = timed();
    let left = 4;
    const quick: Runner = runner('q', 3, () => {
      if (--left > 0) setImmediate(() => ended.push(bench.job(quick, [0]).ended));
    });
    const jobs = bench.jobs(runner('S', 1000), [0, 0, 0, 0, 0, 0]);
    const ended = [bench.job(quick, [0]).ended];
    await endsOf(jobs);
    await Promise.all(ended);
    assert.ok(!/SS.*q/.test(order.join('')), order.join(''));
    assert.equal(order.filter((name) => name === 'q').length, 4);
  });

  it('gives models of equal runs equal turns, and one that was idle no more than that', async () => {
    const { bench, order, runner } = timed();
    const [a, b] = [runner('a', 10), runner('b', 10)];
    await endsOf(bench.jobs(a, [0, 0, 0, 0, 0]));
    await endsOf([0, 0, 0, 0].flatMap(() => [bench.job(a, [0]), bench.job(b, [0])]));
    assert.ok(!/aaa|bbb/.test(order.slice(5).join('')), order.join(''));
    assert.equal(order.slice(5, 9).filter((name) => name === 'a').length, 2);
  });

  it('ends a turn by runs too short for the clock', async () => {
    const { bench, order, runner } = timed();
    await endsOf([runner('a', 0), runner('b', 0)].flatMap((each) => bench.jobs(each, [0, 0, 0])));
    assert.equal(order.join(''), 'ababab');
  });

  it('gives the others their turn between the single runs after a batch that failed', async () => {
    const { bench, order, runner } = timed();
    const failing = new ScriptedRunner(8);
    const jobs = bench.jobs(failing, [-1, 2, 3]);
    const others = bench.jobs(
      runner('q', 1, () => order.push(String(failing.runs.length))),
      [0, 0, 0],
    );
    const ended = await endsOf(jobs);
    await endsOf(others);
    assert.deepEqual(failing.runs, [[-1, 2, 3], [-1], [2], [3]]);
    assert.equal(ended[0]!.error?.code, status.INTERNAL);
    assert.deepEqual(await valuesOf(jobs.slice(1)), [[4], [6]]);
    assert.ok(order.includes('1'), `after how many runs of the batch the other ran: ${order.join(' ')}`);
  });

  it('does not run what expires while its batch is gathered', async () => {
    const { bench, runner } = scripted(8);
    const late = bench.job(runner, [1], 1050);
    const patient = bench.job(runner, [2]);
    bench.now = 1050; // while the queue reads turns of the event loop for more
    assert.equal((await late.ended).error?.code, status.DEADLINE_EXCEEDED);
    assert.deepEqual((await patient.ended).values, [4]);
    assert.deepEqual(runner.runs, [[2]]);
  });
});

describe('batches and deadlines of a real server', () => {
  let models: string;
  let harness: Harness;

  before(async () => {
    models = temporaryDirectory();
    putLoopModel(models);
  });
  after(() => rmSync(models, { recursive: true }));
  afterEach(() => harness.stop());

  /** `n` turns of a loop. */
  const requestOf = (n: number, model = 'loop') => ({
    model_name: model,
    inputs: [{ name: 'n', datatype: 'INT64', shape: [] }],
    raw_input_contents: [Buffer.from(BigInt64Array.of(BigInt(n)).buffer)],
  });
  const count = (n: number, deadlineMs = NEVER) =>
    harness.client.infer(requestOf(n), { deadline: Date.now() + deadlineMs });

  it('does not run what expired behind a slow run', async () => {
    harness = await startHarness(models);
    const slow = count(200_000); // about a quarter of a second
    const expired = await Promise.all([1, 2, 3].map((ms) => failure(count(1, 20 + ms))));
    await slow;
    for (const { code } of expired) assert.equal(code, 4);
    assert.equal(harness.server.counters.jobs, 1);
  });

  it('gives a quick model its turn after one run of a slow one', async () => {
    const shared = temporaryDirectory();
    for (const name of ['slow', 'quick']) putLoopModel(shared, name);
    harness = await startHarness(shared);
    const order: string[] = [];
    const call = async (model: string, n: number) => {
      await harness.client.infer(requestOf(n, model));
      order.push(model);
    };
    // All on one connection, so that they arrive in this order.
    const calls = Array.from({ length: 4 }, () => call('slow', 100_000));
    for (let i = 0; i < 4; i++) calls.push(call('quick', 10));
    await Promise.all(calls);
    rmSync(shared, { recursive: true });
    // Calls are read a few per turn of the event loop: the first slow run may end before the quick ones are in.
    assert.ok(order.lastIndexOf('quick') <= 5, order.join(' '));
  });

  it('drops a call from the queue when its caller cancels it', async () => {
    harness = await startHarness(models);
    const { ModelInfer } = protocols().inference;
    const slow = [count(100_000), count(100_000)];
    const cancelled = Array.from({ length: 3 }, () => {
      return new Promise<number>((resolve) => {
        const call = harness.client.client.makeUnaryRequest(
          ModelInfer.path,
          ModelInfer.requestSerialize,
          ModelInfer.responseDeserialize,
          requestOf(5),
          (error) => resolve(error?.code ?? 0),
        );
        // The slow runs hold the thread before and after the cancellations arrive.
        setImmediate(() => setImmediate(() => call.cancel()));
      });
    });
    assert.deepEqual(await Promise.all(cancelled), [1, 1, 1]);
    await Promise.all(slow);
    await count(1);
    assert.equal(harness.server.counters.jobs, 3);
  });

  it('answers batched requests with exactly what single ones get', async () => {
    harness = await startHarness(join(packageRoot, 'services/digits/models'));
    const digits = heldOut().slice(0, 64);
    const ask = async (pixels: Float32Array) => {
      const answer = await harness.client.infer({
        model_name: 'digits',
        inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 784] }],
        raw_input_contents: [new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength)],
      });
      return Buffer.from(answer.raw_output_contents[0]!).toString('hex');
    };
    const singles: string[] = [];
    for (const { pixels } of digits) singles.push(await ask(pixels));
    const alone = { ...harness.server.counters };
    assert.equal(alone.runs, 64);
    const together = await Promise.all(digits.map(({ pixels }) => ask(pixels)));
    const { runs, jobs } = harness.server.counters;
    assert.equal(jobs - alone.jobs, 64);
    assert.ok(runs - alone.runs < 32, `${runs - alone.runs} runs for 64 requests`);
    assert.deepEqual(together, singles);
  });
});
