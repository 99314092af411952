/** What answers the requests of one loaded model: a network alone, or a module around it. */

import type { Tensor, TensorSpec } from '../../../proto/datatypes.js';
import type { RpcError } from '../rpc.js';
import type { Answer, Job } from './job.js';
import type { RunTimes } from './statistics.js';

/** One input of a model: `optional` where a request may leave it out. */
export interface InputSpec extends TensorSpec {
  readonly optional?: boolean;
}

/** What an executor answered, and how long its parts took. */
export interface Executed {
  readonly answers: readonly (Answer | RpcError)[];
  readonly times: RunTimes;
}

/** What an executor needs of a job. */
export type ExecutedJob = Pick<Job, 'inputs' | 'wanted' | 'parameters' | 'deadlineMs'> & Partial<Job>;

/** A loaded model. */
export interface Executor {
  readonly inputs: readonly InputSpec[];
  readonly outputs: readonly TensorSpec[];
  /** `code` may take any parameters, and puts requests together itself. */
  readonly kind: 'network' | 'code';
  /** Whether it can only answer with a stream. */
  readonly streamsOnly: boolean;
  fits(head: ExecutedJob, job: ExecutedJob): boolean;
  /** Rejects when the run as a whole failed. */
  execute(jobs: readonly ExecutedJob[]): Promise<Executed>;
  stream?(job: ExecutedJob): AsyncIterator<Answer>;
  /** Gives the memory back. No run may be under way. */
  release(): Promise<void>;
}

/** Inputs in the order of the model's; undefined where an optional one is left out. */
export type GivenTensors = readonly (Tensor | undefined)[];

/** The outputs for these inputs, in the order of the model's, outside any queue. */
export async function runOnce(executor: Executor, inputs: GivenTensors): Promise<readonly Tensor[]> {
  const [outputs] = await runTogether(executor, [inputs]);
  if (outputs instanceof Error) throw outputs;
  return outputs!;
}

/** The same for several requests in one run. */
export async function runTogether(
  executor: Executor,
  requests: readonly GivenTensors[],
): Promise<readonly (readonly Tensor[] | Error)[]> {
  const wanted = executor.outputs.map((_, i) => i);
  const jobs = requests.map((inputs): ExecutedJob => {
    return { inputs, wanted, parameters: {}, deadlineMs: Number.POSITIVE_INFINITY };
  });
  const { answers } = await executor.execute(jobs);
  return answers.map((answer) => (answer instanceof Error ? answer : answer.outputs));
}
