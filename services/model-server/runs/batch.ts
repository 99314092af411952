import type { NumericArrayConstructor, Tensor } from '../../../proto/datatypes.js';
import { messageOf, RpcError, status } from '../rpc.js';
import { NO_RUN_LOG, type RunLog } from './run-log.js';
import { charge, type Lane, Turns } from './turns.js';

/** What a job needs of its model. */
export interface Runner {
  readonly name: string;
  /** Rows that may be combined into one run; 1 = never combine. */
  readonly maxBatch: number;
  /** How many outputs the model has. */
  readonly outputCount: number;
  /** One tensor for each of `wanted`, in that order. */
  run(inputs: readonly Tensor[], wanted: readonly number[]): Promise<Tensor[]>;
}

/** One request, decoded and checked. All of its inputs have the datatypes and shapes that the model declares. */
export interface Job {
  readonly runner: Runner;
  readonly inputs: readonly Tensor[];
  readonly wanted: readonly number[];
  /** Epoch ms; Infinity when the caller set none. */
  readonly deadlineMs: number;
  /** Called once, unless the job is withdrawn first. */
  readonly done: (error: RpcError | undefined, outputs: readonly Tensor[]) => void;
}

/** Since the start of the process. */
export interface QueueCounters {
  runs: number;
  /** Jobs that ran; divided by `runs` it is the mean batch. */
  jobs: number;
  expired: number;
  withdrawn: number;
}

type ModelLane = Lane<Runner, Job>;

/**
 * What runs next. One inference at a time: a run blocks this thread, and everything else waits for it anyway. Models take
 * turns by the time their runs take (turns.ts); one that waits sees one run of another model between two of its own at most.
 * Requests that arrived meanwhile form the next batch where the model's card declares one. The socket hands them over a
 * few per turn of the event loop, so turns are read until the batch is full or a turn brought nothing.
 * A job whose caller has gone or whose deadline has passed is never run. No retries, no limits: that is the mesh's work.
 */
export class InferenceQueue {
  readonly counters: QueueCounters = { runs: 0, jobs: 0, expired: 0, withdrawn: 0 };
  private readonly turns = new Turns<Runner, Job>();
  /** Jobs of a batch that failed: each gets a run of its own. */
  private readonly alone = new WeakSet<Job>();
  /** Jobs whose caller has gone while they ran. */
  private readonly gone = new WeakSet<Job>();
  private readonly wallNow: () => number;
  private readonly runNow: () => number;
  private working = false;

  /**
   * `wallNow`: epoch ms, the clock of the deadlines. `runNow`: ms of a monotonic clock that tells short runs apart. `log`:
   * what runs is noted there.
   */
  constructor(
    wallNow: () => number,
    runNow: () => number,
    private readonly log: RunLog = NO_RUN_LOG,
  ) {
    this.wallNow = wallNow;
    this.runNow = runNow;
  }

  /** Queues the job; where nothing runs, it is next. */
  submit(job: Job): void {
    this.turns.add(job.runner, job);
    if (!this.working) void this.work();
  }

  /** The caller has gone: the job is forgotten, unless it is running already. */
  withdraw(job: Job): void {
    if (this.turns.remove(job.runner, job)) this.counters.withdrawn++;
    else this.gone.add(job);
  }

  private async work(): Promise<void> {
    this.working = true;
    for (let lane = this.turns.next(); lane !== undefined; lane = this.turns.next()) {
      await this.gather(lane);
      const batch = this.take(lane);
      if (batch.length === 1) await this.runOne(lane, batch[0]!);
      else if (batch.length > 1) await this.runAll(lane, batch);
      // What came in while the thread was held, cancellations above all.
      if (this.turns.waiting) await nextTurn();
    }
    this.working = false;
  }

  /** Reads turns of the event loop until the batch is full or a turn brought no further job for it. */
  private async gather({ key, items }: ModelLane): Promise<void> {
    if (key.maxBatch === 1 || (items[0] !== undefined && this.alone.has(items[0]))) return;
    let before = items.length;
    while (before < key.maxBatch) {
      await nextTurn();
      if (items.length <= before) return;
      before = items.length;
    }
  }

  /** The head of the model's queue and what may run with it, in order of arrival; expired jobs are answered here. */
  private take({ key, items }: ModelLane): Job[] {
    const batch: Job[] = [];
    const now = this.wallNow();
    let rows = 0;
    for (let i = 0; i < items.length; ) {
      const job = items[i]!;
      if (job.deadlineMs <= now) {
        items.splice(i, 1);
        this.expire(job);
        continue;
      }
      const head = batch[0];
      const jobRows = rowsOf(job);
      if (
        head !== undefined &&
        !(rows + jobRows <= key.maxBatch && !this.alone.has(job) && fits(head, job))
      ) {
        i++;
        continue;
      }
      items.splice(i, 1);
      batch.push(job);
      rows += jobRows;
      if (rows >= key.maxBatch || this.alone.has(job)) break;
    }
    return batch;
  }

  private expire(job: Job): void {
    this.counters.expired++;
    job.done(
      new RpcError(status.DEADLINE_EXCEEDED, 'deadline exceeded before the model could run; it was not run'),
      [],
    );
  }

  private async runAll(lane: ModelLane, batch: readonly Job[]): Promise<void> {
    const all = Array.from({ length: lane.key.outputCount }, (_, i) => i);
    const count = batch.reduce((sum, job) => sum + rowsOf(job), 0);
    let outputs: Tensor[];
    try {
      outputs = await this.run(lane, combine(batch), all, latestDeadline(batch));
      // Rows that depend on values: which of them is whose answer cannot be told.
      if (outputs.some(({ dims }) => dims[0] !== count)) throw new Error('another number of rows came out');
    } catch {
      this.splitUp(lane, batch);
      return;
    }
    this.counters.runs++;
    this.counters.jobs += batch.length;
    let row = 0;
    for (const job of batch) {
      const rows = rowsOf(job);
      const own = job.wanted.map((i) => slice(outputs[i]!, row, rows));
      row += rows;
      this.answer(job, own);
    }
  }

  /** One request's values may have failed the others': each gets its own run, when its model's turn comes again. */
  private splitUp(lane: ModelLane, batch: readonly Job[]): void {
    const left = batch.filter((job) => !this.gone.has(job));
    for (const job of left) this.alone.add(job);
    lane.items.unshift(...left);
  }

  /** An answer that cannot be made is this job's failure, not the queue's. */
  private answer(job: Job, outputs: readonly Tensor[]): void {
    try {
      job.done(undefined, outputs);
    } catch (error) {
      const failed = `model '${job.runner.name}': its answer cannot be sent: ${messageOf(error)}`;
      job.done(new RpcError(status.INTERNAL, failed), []);
    }
  }

  private async runOne(lane: ModelLane, job: Job): Promise<void> {
    this.counters.runs++;
    this.counters.jobs++;
    let outputs: Tensor[];
    try {
      outputs = await this.run(lane, job.inputs, job.wanted, job.deadlineMs);
    } catch (error) {
      const failed = `model '${job.runner.name}': inference failed: ${messageOf(error)}`;
      job.done(error instanceof RpcError ? error : new RpcError(status.INTERNAL, failed), []);
      return;
    }
    this.answer(job, outputs);
  }

  private async run(
    lane: ModelLane,
    inputs: readonly Tensor[],
    wanted: readonly number[],
    deadlineMs: number,
  ): Promise<Tensor[]> {
    const began = this.runNow();
    this.log.begin(deadlineMs - this.wallNow());
    try {
      return await lane.key.run(inputs, wanted);
    } finally {
      this.log.end();
      charge(lane, this.runNow() - began);
    }
  }
}

function latestDeadline(batch: readonly Job[]): number {
  let latest = 0;
  for (const { deadlineMs } of batch) latest = Math.max(latest, deadlineMs);
  return latest;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function rowsOf(job: Job): number {
  return job.inputs[0]?.dims[0] ?? 1;
}

/** The same size in every dimension but the first, which all inputs of a job share: rows are matched by their place. */
function fits(head: Job, job: Job): boolean {
  return job.inputs.every((tensor, t) => {
    const other = head.inputs[t]!;
    if (tensor.dims[0] !== rowsOf(job) || other.dims[0] !== rowsOf(head)) return false;
    return tensor.dims.every((d, i) => i === 0 || d === other.dims[i]);
  });
}

/** Stacks the jobs' inputs along the first dimension. */
export function combine(jobs: readonly Pick<Job, 'inputs'>[]): Tensor[] {
  return jobs[0]!.inputs.map(({ datatype, dims, data }, t) => {
    const parts = jobs.map((job) => job.inputs[t]!);
    const rows = parts.reduce((sum, part) => sum + part.dims[0]!, 0);
    const stacked = [rows, ...dims.slice(1)];
    if (Array.isArray(data))
      return { datatype, dims: stacked, data: parts.flatMap((p) => p.data as string[]) };
    const length = parts.reduce((sum, part) => sum + part.data.length, 0);
    const out = new (data.constructor as NumericArrayConstructor)(length);
    let at = 0;
    for (const part of parts) {
      (out as Float32Array).set(part.data as Float32Array, at);
      at += part.data.length;
    }
    return { datatype, dims: stacked, data: out };
  });
}

/** `rows` rows from `start`; numbers are not copied. */
export function slice(tensor: Tensor, start: number, rows: number): Tensor {
  const perRow = tensor.dims.slice(1).reduce((product, d) => product * d, 1);
  const from = start * perRow;
  const to = from + rows * perRow;
  const data = Array.isArray(tensor.data) ? tensor.data.slice(from, to) : tensor.data.subarray(from, to);
  return { datatype: tensor.datatype, dims: [rows, ...tensor.dims.slice(1)], data };
}
