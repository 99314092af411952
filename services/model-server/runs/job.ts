/** What waits in the queue of a model, and what the queue needs of the model that runs it. */

import type { ParameterValue, Tensor } from '../../../proto/datatypes.js';
import type { RpcError } from '../rpc.js';
import type { Sequence, SequenceFlags } from './sequences.js';
import type { ModelStats } from './statistics.js';

/** The outputs that a job asked for, in that order. */
export interface Answer {
  readonly outputs: readonly Tensor[];
  /** Parameters of the response. */
  readonly parameters?: Readonly<Record<string, ParameterValue>>;
}

/** A model as the queue sees it. */
export interface Runner {
  readonly name: string;
  /** Rows that may be combined into one run; 1 = never combine. */
  readonly maxBatch: number;
  /** How long the first job may wait for further ones, ms; 0: for those only that have arrived. */
  readonly maxDelayMs: number;
  /** Numbers of rows, ascending, at which a batch that waits is run at once; empty: at `maxBatch` only. */
  readonly preferredRows: readonly number[];
  /** How many runs may be under way at once: more than 1 only for models that wait for others. */
  readonly concurrency: number;
  readonly stats: ModelStats;
  /** Whether `job` may run together with `head`. */
  fits(head: Job, job: Job): boolean;
  /**
   * An answer for each job, in their order; an RpcError in its place fails that job. Rejects when the run as a whole
   * failed: each job of a batch then gets a run of its own.
   */
  execute(jobs: readonly Job[]): Promise<readonly (Answer | RpcError)[]>;
  /** The answers of a job that has many. */
  stream?(job: Job): AsyncIterator<Answer>;
}

/** One request, decoded and checked. All of its inputs have the datatypes and shapes that the model declares. */
export interface Job {
  readonly runner: Runner;
  /** In the order of the model's inputs; undefined where an optional one was left out. */
  readonly inputs: readonly (Tensor | undefined)[];
  /** Indices of the outputs to answer, in their order. */
  readonly wanted: readonly number[];
  readonly parameters: Readonly<Record<string, ParameterValue>>;
  /** Epoch ms; Infinity when the caller set none. */
  readonly deadlineMs: number;
  /** How long it may wait before it begins, ms; one that has waited for longer is never run. Default: Infinity. */
  readonly queueTimeoutMs?: number;
  /** 1 is the most urgent; 0 and absent come last (Triton's schedule policy extension). */
  readonly priority?: number;
  /** Where it belongs to one: it never runs while another request of it does. */
  readonly sequence?: Sequence | undefined;
  readonly sequenceFlags?: SequenceFlags | undefined;
  /** How long decoding took, ms. */
  readonly decodeMs?: number;
  /** When it was queued, on the clock of the runs; set by the queue. */
  arrivedMs?: number;
  /**
   * The answer, or why there is none. Called once, unless the job is withdrawn first; for a job with `streams`, once for each
   * answer and then once with neither.
   */
  readonly done: (error: RpcError | undefined, answer: Answer | undefined) => void;
  /** Of the request's metadata. */
  readonly header?: (name: string) => string | undefined;
  /** Calls once, when the caller has gone; at once where it has. */
  readonly onCancelled?: (listener: () => void) => void;
  /** Given by a job that takes many answers. */
  readonly streams?: AnswerStream | undefined;
}

/** How a job that has many answers is paced by its caller. */
export interface AnswerStream {
  /** False while the caller does not read: no further answer is made. */
  readonly writable: boolean;
  /** Calls once, when it is writable again. */
  onWritable(listener: () => void): void;
}

/** Rows of a job: the size of the first dimension of its first input; 1 without one. */
export function rowsOf(job: Pick<Job, 'inputs'>): number {
  return job.inputs[0]?.dims[0] ?? 1;
}

/**
 * How many inferences a job is: its rows where the model is batched, else one, as the first dimension is then no batch
 * (Triton's statistics extension, with `max_batch_size` 0).
 */
export function inferencesOf(job: Pick<Job, 'inputs' | 'runner'>): number {
  return job.runner.maxBatch > 1 ? rowsOf(job) : 1;
}

/** What a job takes of `max_batch`: its rows, and one place where it has none, so that a batch is bounded. */
export function placesOf(job: Pick<Job, 'inputs'>): number {
  return Math.max(1, rowsOf(job));
}

/** Whether the job goes before the other, which came earlier. */
export function isMoreUrgent(job: Job, other: Job): boolean {
  return level(job) < level(other);
}

function level({ priority }: Job): number {
  return priority === undefined || priority === 0 ? Number.POSITIVE_INFINITY : priority;
}

/** The latest deadline of the jobs, epoch ms. */
export function latestDeadline(jobs: readonly Job[]): number {
  let latest = 0;
  for (const { deadlineMs } of jobs) latest = Math.max(latest, deadlineMs);
  return latest;
}
