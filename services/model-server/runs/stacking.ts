/** Several requests as one run of a network: their tensors stacked along the first dimension, and its outputs cut apart. */

import type { NumericArrayConstructor, Tensor } from '../../../proto/datatypes.js';
import type { ExecutedJob } from './executor.js';
import { type Answer, rowsOf } from './job.js';

/** A network that takes one tensor for each of its inputs and gives one for each of `wanted`. */
export interface Network {
  readonly outputCount: number;
  run(inputs: readonly Tensor[], wanted: readonly number[]): Promise<Tensor[]>;
}

/** Runs the jobs as one batch. Rejects when the network fails, or gives another number of rows than it was given. */
export async function runStacked(network: Network, jobs: readonly ExecutedJob[]): Promise<Answer[]> {
  if (jobs.length === 1) {
    const { inputs, wanted } = jobs[0]!;
    return [{ outputs: await network.run(inputs as readonly Tensor[], wanted) }];
  }
  const all = Array.from({ length: network.outputCount }, (_, i) => i);
  const count = jobs.reduce((sum, job) => sum + rowsOf(job), 0);
  const outputs = await network.run(combine(jobs), all);
  // Rows that depend on values: which of them is whose answer cannot be told.
  if (outputs.some(({ dims }) => dims[0] !== count)) throw new Error('another number of rows came out');
  let row = 0;
  return jobs.map((job) => {
    const rows = rowsOf(job);
    const own = job.wanted.map((i) => slice(outputs[i]!, row, rows));
    row += rows;
    return { outputs: own };
  });
}

/** The same size in every dimension but the first, which all inputs of a job share: rows are matched by their place. */
export function sameRowShape(head: ExecutedJob, job: ExecutedJob): boolean {
  const headRows = rowsOf(head);
  const rows = rowsOf(job);
  for (let t = 0; t < job.inputs.length; t++) {
    const dims = job.inputs[t]?.dims;
    const others = head.inputs[t]?.dims;
    if (dims === undefined || others === undefined) return false;
    if (dims[0] !== rows || others[0] !== headRows) return false;
    for (let i = 1; i < dims.length; i++) if (dims[i] !== others[i]) return false;
  }
  return true;
}

/** Stacks the jobs' inputs along the first dimension. */
export function combine(jobs: readonly Pick<ExecutedJob, 'inputs'>[]): Tensor[] {
  const stacks = jobs.map((job) => job.inputs as readonly Tensor[]);
  return stacks[0]!.map(({ datatype, dims, data }, t) => {
    const parts = stacks.map((inputs) => inputs[t]!);
    let rows = 0;
    for (const part of parts) rows += part.dims[0]!;
    const stacked = [rows, ...dims.slice(1)];
    if (Array.isArray(data))
      return { datatype, dims: stacked, data: parts.flatMap((p) => p.data as string[]) };
    let length = 0;
    for (const part of parts) length += part.data.length;
    const { buffer } = Buffer.allocUnsafeSlow(length * data.BYTES_PER_ELEMENT);
    const out = new (data.constructor as NumericArrayConstructor)(buffer, 0, length);
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
  const dims = [...tensor.dims];
  let perRow = 1;
  for (let i = 1; i < dims.length; i++) perRow *= dims[i]!;
  dims[0] = rows;
  const from = start * perRow;
  const to = from + rows * perRow;
  const data = Array.isArray(tensor.data) ? tensor.data.slice(from, to) : tensor.data.subarray(from, to);
  return { datatype: tensor.datatype, dims, data };
}
