/**
 * The proof that a loaded model is the one its card describes: its golden input goes through the very session that will
 * serve, and the answer must match. Where the card declares batching, a row in a batch must give what it gives alone.
 */

import { fromHalf, type NumericArrayConstructor, type Tensor } from '../../../proto/datatypes.js';
import { goldenData } from '../../../proto/golden-values.js';
import type { ModelSession } from '../network/session.js';
import { type Executor, type GivenTensors, type InputSpec, runOnce, runTogether } from '../runs/executor.js';
import { combine, slice } from '../runs/stacking.js';
import type { Card } from './card.js';

/** What a proof needs of a loaded model. */
export interface ProvableSession extends Pick<ModelSession, 'outputs' | 'run'> {
  readonly inputs: readonly InputSpec[];
  /** Given by a model in code, which takes several requests instead of stacked rows. */
  readonly runTogether?: (
    requests: readonly GivenTensors[],
  ) => Promise<readonly (readonly Tensor[] | Error)[]>;
}

/** A loaded model as the proof sees it. */
export function provable(executor: Executor): ProvableSession {
  return {
    inputs: executor.inputs,
    outputs: executor.outputs,
    run: async (inputs) => [...(await runOnce(executor, inputs))],
    ...(executor.kind === 'code'
      ? { runTogether: (requests: readonly GivenTensors[]) => runTogether(executor, requests) }
      : {}),
  };
}

/** Throws an Error that names the output, the element, what was found and what was expected. */
export async function proveGolden(session: ProvableSession, card: Card): Promise<void> {
  const inputs = goldenInputs(session, card);
  const all = session.outputs.map((_, i) => i);
  const outputs = await session.run(inputs as readonly Tensor[], all);
  for (const [name, { values }] of Object.entries(card.golden.outputs)) {
    const at = session.outputs.findIndex((o) => o.name === name);
    if (at < 0) throw new Error(`golden: the model has no output '${name}'`);
    const { datatype } = session.outputs[at]!;
    const data = goldenData(values, datatype, `golden: output '${name}'`);
    compare(
      outputs[at]!,
      { datatype, dims: [values.length], data },
      card.golden.tolerance,
      `golden: output '${name}'`,
    );
  }
  if (card.batching !== undefined && card.batching.max_batch > 1) {
    const single = { inputs: inputs as readonly Tensor[], single: outputs, tolerance: card.golden.tolerance };
    await proveBatching(session, single);
  }
}

function goldenInputs(session: ProvableSession, card: Card): (Tensor | undefined)[] {
  const extra = Object.keys(card.golden.inputs).find((name) => !session.inputs.some((i) => i.name === name));
  if (extra !== undefined) throw new Error(`golden: the model has no input '${extra}'`);
  return session.inputs.map(({ name, datatype, shape, optional }) => {
    const given = card.golden.inputs[name];
    if (given === undefined && optional) return undefined;
    if (given === undefined) throw new Error(`golden: input '${name}' is missing`);
    const where = `golden: input '${name}'`;
    const count = given.shape.reduce((product, d) => product * d, 1);
    if (count !== given.values.length) {
      throw new Error(
        `${where}: found ${given.values.length} values, expected ${count} for shape [${given.shape.join(',')}]`,
      );
    }
    if (given.shape.length !== shape.length || shape.some((d, i) => d >= 0 && d !== given.shape[i])) {
      throw new Error(`${where}: found shape [${given.shape.join(',')}], expected [${shape.join(',')}]`);
    }
    return { datatype, dims: given.shape, data: goldenData(given.values, datatype, where) };
  });
}

/** What goes into a run and what came out of it alone. */
export interface SingleRun {
  readonly inputs: readonly Tensor[];
  readonly single: readonly Tensor[];
  readonly tolerance: number;
}

/** Runs the request twice in one batch, with another one in between. Throws an Error unless each gives what it gave alone. */
export async function proveBatching(
  session: ProvableSession,
  { inputs, single, tolerance }: SingleRun,
): Promise<void> {
  if (session.runTogether !== undefined) {
    await proveRequestsApart(session, { inputs, single, tolerance });
    return;
  }
  const wrong = [...session.inputs, ...session.outputs].find((spec) => spec.shape[0] !== -1);
  if (wrong !== undefined) {
    throw new Error(
      `batching: '${wrong.name}' has shape [${wrong.shape.join(',')}], expected a first dimension of any size`,
    );
  }
  const rows = inputs[0]?.dims[0] ?? 0;
  if (rows === 0 || inputs.some((t) => t.dims[0] !== rows)) {
    throw new Error('batching: the golden inputs must have the same number of rows, one at least');
  }
  // Another row in between shows whether rows see each other.
  const outputs = await session.run(
    combine([{ inputs }, { inputs: inputs.map(blank) }, { inputs }]),
    single.map((_, i) => i),
  );
  outputs.forEach((output, o) => {
    const where = `batching: output '${session.outputs[o]!.name}'`;
    if (output.dims[0] !== 3 * rows) {
      throw new Error(
        `${where}: found ${output.dims[0]} rows, expected ${3 * rows}: the model does not keep rows apart`,
      );
    }
    for (const start of [0, 2 * rows]) compare(slice(output, start, rows), single[o]!, tolerance, where);
  });
}

/** Another request in between shows whether requests see each other. */
async function proveRequestsApart(
  { outputs: specs, runTogether: run }: ProvableSession,
  { inputs, single, tolerance }: SingleRun,
): Promise<void> {
  const between = inputs.map((tensor) => tensor && blank(tensor));
  const answers = await run!([inputs, between, inputs]);
  for (const outputs of [answers[0]!, answers[2]!]) {
    if (outputs instanceof Error) throw outputs;
    outputs.forEach((output, o) => {
      compare(output, single[o]!, tolerance, `batching: output '${specs[o]!.name}'`);
    });
  }
}

/** The same shape with nothing in it: zeros, or empty text. */
function blank({ datatype, dims, data }: Tensor): Tensor {
  if (Array.isArray(data)) return { datatype, dims, data: data.map(() => '') };
  const zeros = new (data.constructor as NumericArrayConstructor)(data.length);
  return { datatype, dims, data: zeros };
}

function compare(found: Tensor, expected: Tensor, tolerance: number, where: string): void {
  if (found.data.length !== expected.data.length) {
    throw new Error(`${where}: found ${found.data.length} elements, expected ${expected.data.length}`);
  }
  for (let i = 0; i < expected.data.length; i++) {
    const f = elementAt(found, i);
    const e = elementAt(expected, i);
    if (f === e || (Number.isNaN(f) && Number.isNaN(e))) continue;
    const near =
      typeof f === 'number' &&
      typeof e === 'number' &&
      Math.abs(f - e) <= tolerance * Math.max(1, Math.abs(e));
    if (!near) throw new Error(`${where}, element ${i}: found ${f}, expected ${e} (tolerance ${tolerance})`);
  }
}

/** As a number where it is one. */
export function elementAt(tensor: Tensor, index: number): number | bigint | string {
  const element = tensor.data[index]!;
  return tensor.datatype === 'FP16' ? fromHalf(element as number) : element;
}
