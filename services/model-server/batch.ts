/**
 * What runs next. One inference at a time: a run blocks this thread, and everything else waits for it anyway.
 * Requests that arrived meanwhile form the next batch where the model's card declares one. The socket hands them over a
 * few per turn of the event loop, so turns are read until the batch is full or a turn brought nothing.
 * A job whose caller has gone or whose deadline has passed is never run. No retries, no limits: that is the mesh's work.
 */

import type { NumericArrayConstructor, Tensor } from '../../proto/datatypes.js';
import { messageOf, RpcError, status } from './rpc.js';

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

export interface Job {
  readonly runner: Runner;
  readonly inputs: readonly Tensor[];
  readonly wanted: readonly number[];
  /** Epoch ms; Infinity when the caller set none. */
  readonly deadlineMs: number;
  /** Called once, unless the job is withdrawn first. */
  readonly done: (error: RpcError | undefined, outputs: readonly Tensor[]) => void;
}

export interface QueueCounters {
  runs: number;
  /** Jobs that ran; divided by `runs` it is the mean batch. */
  jobs: number;
  expired: number;
  withdrawn: number;
}

export class InferenceQueue {
  readonly counters: QueueCounters = { runs: 0, jobs: 0, expired: 0, withdrawn: 0 };
  private readonly waiting: Job[] = [];
  private readonly wallNow: () => number;
  private working = false;

  /** `wallNow`: epoch ms, the clock of the deadlines. */
  constructor(wallNow: () => number) {
    this.wallNow = wallNow;
  }

  submit(job: Job): void {
    this.waiting.push(job);
    if (!this.working) void this.work();
  }

  /** The caller has gone: the job is forgotten, unless it is running already. */
  withdraw(job: Job): void {
    const at = this.waiting.indexOf(job);
    if (at < 0) return;
    this.waiting.splice(at, 1);
    this.counters.withdrawn++;
  }

  private async work(): Promise<void> {
    this.working = true;
    while (this.waiting.length > 0) {
      const { maxBatch } = this.waiting[0]!.runner;
      if (maxBatch > 1) await this.gather(maxBatch);
      const batch = this.take();
      if (batch.length > 0) await this.runAll(batch);
      // What came in while the thread was held: who has gone, above all.
      if (this.waiting.length > 0) await nextTurn();
    }
    this.working = false;
  }

  /** Reads turns of the event loop until the head's batch is full or a turn brought no further job for it. */
  private async gather(maxBatch: number): Promise<void> {
    const runner = this.waiting[0]?.runner;
    let before = this.countFor(runner);
    while (before < maxBatch) {
      await nextTurn();
      const now = this.countFor(runner);
      if (now <= before) return;
      before = now;
    }
  }

  private countFor(runner: Runner | undefined): number {
    let count = 0;
    for (const job of this.waiting) if (job.runner === runner) count++;
    return count;
  }

  /** The head of the queue and what may run with it, in order of arrival; expired jobs are answered here. */
  private take(): Job[] {
    const batch: Job[] = [];
    const now = this.wallNow();
    let rows = 0;
    for (let i = 0; i < this.waiting.length; ) {
      const job = this.waiting[i]!;
      if (job.deadlineMs <= now) {
        this.waiting.splice(i, 1);
        this.expire(job);
        continue;
      }
      const head = batch[0];
      const jobRows = rowsOf(job);
      if (head !== undefined && !(rows + jobRows <= head.runner.maxBatch && fits(head, job))) {
        i++;
        continue;
      }
      this.waiting.splice(i, 1);
      batch.push(job);
      rows += jobRows;
      if (rows >= job.runner.maxBatch) break;
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

  private async runAll(batch: readonly Job[]): Promise<void> {
    if (batch.length === 1) {
      await this.runOne(batch[0]!);
      return;
    }
    const { runner } = batch[0]!;
    const all = Array.from({ length: runner.outputCount }, (_, i) => i);
    let outputs: Tensor[];
    try {
      outputs = await runner.run(combine(batch), all);
    } catch {
      // One request's values may have failed the others': each gets its own answer.
      for (const job of batch) await this.runOne(job);
      return;
    }
    this.counters.runs++;
    this.counters.jobs += batch.length;
    let row = 0;
    for (const job of batch) {
      const rows = rowsOf(job);
      const own = job.wanted.map((i) => slice(outputs[i]!, row, rows));
      row += rows;
      job.done(undefined, own);
    }
  }

  private async runOne(job: Job): Promise<void> {
    if (job.deadlineMs <= this.wallNow()) {
      this.expire(job);
      return;
    }
    this.counters.runs++;
    this.counters.jobs++;
    let outputs: Tensor[];
    try {
      outputs = await job.runner.run(job.inputs, job.wanted);
    } catch (error) {
      const failed = `model '${job.runner.name}': inference failed: ${messageOf(error)}`;
      job.done(error instanceof RpcError ? error : new RpcError(status.INTERNAL, failed), []);
      return;
    }
    job.done(undefined, outputs);
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function rowsOf(job: Job): number {
  return job.inputs[0]?.dims[0] ?? 1;
}

/** Same model, and the same size in every dimension but the first. */
function fits(head: Job, job: Job): boolean {
  if (job.runner !== head.runner) return false;
  return job.inputs.every((tensor, t) => {
    const other = head.inputs[t]!;
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
