/** A model in code as the queue sees it: jobs become requests by name, and what comes back is checked. */

import type { Tensor, TensorSpec } from '../../../proto/datatypes.js';
import { invalidArgument, messageOf, RpcError, status } from '../rpc.js';
import type { Executed, ExecutedJob, Executor, InputSpec } from '../runs/executor.js';
import type { Answer } from '../runs/job.js';
import {
  type CodeTensorSpec,
  type ModelAnswer,
  type ModelCode,
  type ModelRequest,
  RequestError,
  type SequenceState,
  type Tensors,
  UpstreamError,
} from './model-code.js';

/** What the executor needs of the model server. */
export interface CodeExecutorDeps {
  readonly name: string;
  /** Ms of a monotonic clock. */
  readonly now: () => number;
  /** Epoch ms. */
  readonly wallNow: () => number;
  /** Releases the networks that the code has loaded. */
  readonly release: () => Promise<void>;
}

/** A model whose module has been opened. */
export class CodeExecutor implements Executor {
  readonly inputs: readonly InputSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly kind = 'code';
  readonly streamsOnly: boolean;
  readonly stream?: (job: ExecutedJob) => AsyncIterator<Answer>;

  constructor(
    private readonly code: ModelCode,
    private readonly deps: CodeExecutorDeps,
  ) {
    this.inputs = code.inputs.map(withSymbols);
    this.outputs = code.outputs.map(withSymbols);
    this.streamsOnly = code.execute === undefined;
    if (code.stream !== undefined) this.stream = (job) => this.answersOf(job);
  }

  /** The code itself puts requests of any sizes together. */
  fits(): boolean {
    return true;
  }

  async execute(jobs: readonly ExecutedJob[]): Promise<Executed> {
    const { code, deps } = this;
    const began = deps.now();
    if (code.execute === undefined)
      throw new RpcError(
        status.UNIMPLEMENTED,
        `model '${deps.name}' answers with a stream only; expected ModelStreamInfer`,
      );
    const requests = jobs.map((job) => this.request(job));
    let answers: readonly (Answer | RpcError)[];
    const inferBegan = deps.now();
    let inferEnded = inferBegan;
    try {
      const given = await code.execute(requests);
      inferEnded = deps.now();
      answers = this.checked(given, jobs);
      requests.forEach(keepState);
    } catch (error) {
      if (jobs.length > 1) throw error; // each request runs again, from the state before
      requests.forEach(keepState);
      throw this.failure(error);
    } finally {
      for (const request of requests) request.abandon();
    }
    return {
      answers,
      times: {
        inputMs: inferBegan - began,
        inferMs: inferEnded - inferBegan,
        outputMs: deps.now() - inferEnded,
      },
    };
  }

  async release(): Promise<void> {
    try {
      await this.code.close?.();
    } finally {
      await this.deps.release();
    }
  }

  private answersOf(job: ExecutedJob): AsyncIterator<Answer> {
    const request = this.request(job);
    const answers = this.code.stream!(request);
    return {
      next: async (): Promise<IteratorResult<Answer>> => {
        try {
          const next = await answers.next();
          if (next.done) return { done: true, value: undefined };
          const answer = this.select(next.value, job);
          if (answer instanceof RpcError) throw answer;
          return { done: false, value: answer };
        } catch (error) {
          throw this.failure(error);
        } finally {
          keepState(request);
        }
      },
      return: async () => {
        request.abandon();
        await answers.return?.();
        return { done: true, value: undefined };
      },
    };
  }

  private request(job: ExecutedJob): RunningRequest {
    const inputs: Record<string, Tensor> = Object.create(null);
    this.inputs.forEach(({ name }, i) => {
      const tensor = job.inputs[i];
      if (tensor !== undefined) inputs[name] = tensor;
    });
    return new RunningRequest(job, inputs, this.deps.wallNow);
  }

  /** Throws an Error where the code gave no answer for each job. */
  private checked(
    given: readonly (ModelAnswer | Error)[],
    jobs: readonly ExecutedJob[],
  ): (Answer | RpcError)[] {
    if (given.length !== jobs.length)
      throw new Error(`the code gave ${given.length} answers, expected ${jobs.length}`);
    return given.map((answer, i) =>
      answer instanceof Error ? this.failure(answer) : this.select(answer, jobs[i]!),
    );
  }

  /** The outputs that were asked for, in their order; what the code gave wrongly is its own fault. */
  private select(answer: ModelAnswer, job: ExecutedJob): Answer | RpcError {
    const outputs: Tensor[] = [];
    // The code may be JavaScript.
    const given = answer?.outputs as ModelAnswer['outputs'] | undefined;
    if (given === undefined)
      return new RpcError(
        status.INTERNAL,
        `model '${this.deps.name}': its code gave an answer without outputs, expected { outputs: { NAME: tensor } }`,
      );
    for (const i of job.wanted) {
      const spec = this.outputs[i]!;
      const tensor = given[spec.name];
      const problem = tensor === undefined ? 'nothing' : mismatch(tensor, spec);
      if (problem !== '')
        return new RpcError(
          status.INTERNAL,
          `model '${this.deps.name}': its code gave ${problem} for output '${spec.name}', expected ${spec.datatype} [${spec.shape.join(',')}]`,
        );
      outputs.push(tensor!);
    }
    return answer.parameters === undefined ? { outputs } : { outputs, parameters: answer.parameters };
  }

  private failure(error: unknown): RpcError {
    const { name } = this.deps;
    if (error instanceof RpcError) return error;
    if (error instanceof RequestError) return invalidArgument(`model '${name}': ${messageOf(error)}`);
    if (error instanceof UpstreamError) return new RpcError(error.code, messageOf(error));
    return new RpcError(status.INTERNAL, `model '${name}': inference failed: ${messageOf(error)}`);
  }
}

/** A request while the code has it. The signal costs only those that look at it. */
class RunningRequest implements ModelRequest {
  readonly parameters: ModelRequest['parameters'];
  readonly deadlineMs: number;
  readonly sequence: SequenceState | undefined;
  readonly job: ExecutedJob;
  private controller: AbortController | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    job: ExecutedJob,
    readonly inputs: Tensors,
    private readonly wallNow: () => number,
  ) {
    this.job = job;
    this.parameters = job.parameters;
    this.deadlineMs = job.deadlineMs;
    const { sequence, sequenceFlags: flags } = job;
    this.sequence =
      sequence === undefined || flags === undefined ? undefined : { ...flags, state: sequence.state };
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      const controller = new AbortController();
      this.controller = controller;
      const leftMs = this.deadlineMs - this.wallNow();
      if (leftMs <= 0) controller.abort();
      else if (leftMs < 2 ** 31) {
        this.timer = setTimeout(() => controller.abort(), leftMs);
        this.timer.unref();
      }
      this.job.onCancelled?.(() => this.abandon());
    }
    return this.controller.signal;
  }

  header(name: string): string | undefined {
    return this.job.header?.(name);
  }

  /** The caller has gone, or the answer is complete. */
  abandon(): void {
    clearTimeout(this.timer);
    this.controller?.abort();
  }
}

/** What the code has put into its view of the sequence is kept for the next request. */
function keepState(request: RunningRequest): void {
  const { sequence } = request.job;
  if (sequence !== undefined && request.sequence !== undefined) sequence.state = request.sequence.state;
}

function withSymbols(spec: CodeTensorSpec): InputSpec {
  return { ...spec, symbols: spec.shape.map(() => undefined) };
}

/** What is wrong with a tensor; empty: nothing. */
function mismatch({ datatype, dims, data }: Tensor, spec: TensorSpec): string {
  const found = `${datatype} [${dims.join(',')}]`;
  if (datatype !== spec.datatype || dims.length !== spec.shape.length) return found;
  if (spec.shape.some((size, i) => size >= 0 && size !== dims[i])) return found;
  const count = dims.reduce((product, size) => product * size, 1);
  return data.length === count ? '' : `${found} with ${data.length} elements`;
}
