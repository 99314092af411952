/** Models and jobs as the inference queue sees them, without a server and a network. */

import type { Tensor } from '../../../proto/datatypes.js';
import type { RpcError } from '../../../services/model-server/rpc.js';
import type { Answer, AnswerStream, Job, Runner } from '../../../services/model-server/runs/job.js';
import { InferenceQueue } from '../../../services/model-server/runs/queue.js';
import { ModelStats } from '../../../services/model-server/runs/statistics.js';
import { ManualClock } from '../time/manual-clock.js';

/** FP32 of shape [values.length, 1]. */
export function column(...values: number[]): Tensor {
  return { datatype: 'FP32', dims: [values.length, 1], data: Float32Array.from(values) };
}

/** A model that answers with its first input, one job a run, unless `more` says otherwise. */
export function runnerOf(more: Partial<Runner> = {}): Runner {
  return {
    name: 'm',
    maxBatch: 1,
    maxDelayMs: 0,
    preferredRows: [],
    concurrency: 1,
    stats: new ModelStats(),
    fits: () => true,
    execute: async (jobs) => jobs.map(({ inputs }): Answer => ({ outputs: [inputs[0]!] })),
    ...more,
  };
}

/** A job that notes what its caller is told. */
export interface NotedJob extends Job {
  /** First values of the answers. */
  readonly answered: number[];
  readonly errors: RpcError[];
  /** How often it was told its end, with or without an error. */
  ends: number;
}

/** A job of one value that has no deadline, unless `more` says otherwise. */
export function jobOf(runner: Runner, value = 1, more: Partial<Job> = {}): NotedJob {
  const answered: number[] = [];
  const errors: RpcError[] = [];
  const job: NotedJob = {
    runner,
    inputs: [column(value)],
    wanted: [0],
    parameters: {},
    deadlineMs: Number.POSITIVE_INFINITY,
    answered,
    errors,
    ends: 0,
    done: (error, answer) => {
      if (answer !== undefined) answered.push(Number(answer.outputs[0]!.data[0]));
      if (error !== undefined) errors.push(error);
      if (answer === undefined || job.streams === undefined) job.ends += 1;
    },
    ...more,
  };
  return job;
}

/** A caller of a stream that reads, or does not. */
export class Caller implements AnswerStream {
  writable = true;
  private listener: (() => void) | undefined;

  onWritable(listener: () => void): void {
    this.listener = listener;
  }

  reads(): void {
    this.writable = true;
    this.listener?.();
    this.listener = undefined;
  }
}

/** Something that ends when the test says so. */
export class Gate {
  private open: (() => void) | undefined;

  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.open = resolve;
    });
  }

  release(): void {
    this.open?.();
  }
}

/** A queue on a manual clock. */
export class QueueBench {
  readonly clock = new ManualClock();
  readonly queue = new InferenceQueue({
    wallNow: () => this.clock.wallNow(),
    runNow: () => this.clock.now(),
    later: (ms, then) => {
      const timer = this.clock.after(ms, then);
      return () => timer.cancel();
    },
  });

  submit(...jobs: Job[]): void {
    for (const job of jobs) this.queue.submit(job);
  }

  /** Until everything that could run has run. */
  async settle(): Promise<void> {
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  }
}
