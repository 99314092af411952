/** A model that is an ONNX file and nothing else: requests are stacked, run and cut apart. */

import type { Tensor, TensorSpec } from '../../../proto/datatypes.js';
import { datatypeInfo, type NumericArrayConstructor } from '../../../proto/datatypes.js';
import type { Executed, ExecutedJob, Executor, InputSpec } from '../runs/executor.js';
import type { Answer } from '../runs/job.js';
import { runStacked, sameRowShape } from '../runs/stacking.js';
import type { ModelSession } from './session.js';

/** An output whose value is the input of the next request of the same sequence. */
export interface StateLink {
  readonly input: string;
  readonly output: string;
}

/** Implicit state (Triton's `sequence_batching.state`): the linked tensors are no part of what callers see. */
export class NetworkExecutor implements Executor {
  readonly inputs: readonly InputSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly kind = 'network';
  readonly streamsOnly = false;
  private readonly visibleInputs: readonly number[];
  private readonly visibleOutputs: readonly number[];
  private readonly links: readonly { readonly input: number; readonly output: number }[];

  /** Throws an Error when a link names what the network lacks, or a state without a fixed size. */
  constructor(
    private readonly session: ModelSession,
    links: readonly StateLink[],
    private readonly now: () => number,
  ) {
    this.links = links.map(({ input, output }) => ({
      input: indexOf(session.inputs, input, 'input'),
      output: indexOf(session.outputs, output, 'output'),
    }));
    const isLinked = (side: 'input' | 'output', i: number) => this.links.some((link) => link[side] === i);
    this.visibleInputs = indices(session.inputs).filter((i) => !isLinked('input', i));
    this.visibleOutputs = indices(session.outputs).filter((i) => !isLinked('output', i));
    this.inputs = this.visibleInputs.map((i) => session.inputs[i]!);
    this.outputs = this.visibleOutputs.map((i) => session.outputs[i]!);
  }

  /** Requests with a state run alone: the state has the rows of its own sequence. */
  fits(head: ExecutedJob, job: ExecutedJob): boolean {
    return this.links.length === 0 && sameRowShape(head, job);
  }

  async execute(jobs: readonly ExecutedJob[]): Promise<Executed> {
    const began = this.now();
    let inferBegan = began;
    let inferEnded = began;
    const network = {
      outputCount: this.outputs.length,
      run: async (inputs: readonly Tensor[], wanted: readonly number[]): Promise<Tensor[]> => {
        inferBegan = this.now();
        const outputs = await this.session.run(inputs, wanted);
        inferEnded = this.now();
        return outputs;
      },
    };
    const answers =
      this.links.length === 0
        ? await runStacked(network, jobs)
        : [await this.runWithState(jobs[0]!, network.run)];
    const times = {
      inputMs: inferBegan - began,
      inferMs: inferEnded - inferBegan,
      outputMs: this.now() - inferEnded,
    };
    return { answers, times };
  }

  release(): Promise<void> {
    return this.session.release();
  }

  private async runWithState(
    job: ExecutedJob,
    run: (inputs: readonly Tensor[], wanted: readonly number[]) => Promise<Tensor[]>,
  ): Promise<Answer> {
    const before = job.sequence?.state as readonly Tensor[] | undefined;
    const inputs = new Array<Tensor>(this.session.inputs.length);
    this.visibleInputs.forEach((at, i) => {
      inputs[at] = job.inputs[i]!;
    });
    this.links.forEach(({ input }, i) => {
      inputs[input] = before?.[i] ?? zeros(this.session.inputs[input]!);
    });
    const wanted = [
      ...job.wanted.map((i) => this.visibleOutputs[i]!),
      ...this.links.map(({ output }) => output),
    ];
    const outputs = await run(inputs, wanted);
    if (job.sequence !== undefined) job.sequence.state = outputs.slice(job.wanted.length);
    return { outputs: outputs.slice(0, job.wanted.length) };
  }
}

function indices(list: readonly unknown[]): number[] {
  return list.map((_, i) => i);
}

function indexOf(specs: readonly TensorSpec[], name: string, kind: string): number {
  const at = specs.findIndex((spec) => spec.name === name);
  if (at >= 0) return at;
  const there = specs.map((spec) => `'${spec.name}'`).join(', ');
  throw new Error(`sequence.state: found ${kind} '${name}', expected one of ${there}`);
}

/** The state before the first request; a dimension of any size is 1. */
function zeros({ name, datatype, shape }: TensorSpec): Tensor {
  const dims = shape.map((size) => (size < 0 ? 1 : size));
  const count = dims.reduce((product, size) => product * size, 1);
  const Array_ = datatypeInfo(datatype).array as NumericArrayConstructor | undefined;
  if (Array_ === undefined)
    throw new Error(`sequence.state: input '${name}' is ${datatype}, expected numbers`);
  return { datatype, dims, data: new Array_(count) };
}
