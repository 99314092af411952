/**
 * The block `golden` of a model.yaml, made by running the model once: on the inputs that the card has, else on zeros. What
 * it prints is what the model says now; whether that is right, only its maker knows.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor, TensorSpec } from '../../../proto/datatypes.js';
import { fromValues } from '../../../proto/tensors.js';
import { type GivenInputs, goldenInputsIn } from './card.js';
import { elementAt } from './golden.js';
import type { Found } from './repository.js';
import { ModelSession } from './session.js';

/** Longer lists are blocks of numbers. */
const MAX_LIST = 12;
const PER_LINE = 14;

/** Text to put into model.yaml. Rejects with the reason when the model cannot be loaded or run. */
export async function goldenBlock({ directory }: Found): Promise<string> {
  const given = inputsIn(join(directory, 'model.yaml'));
  const session = await ModelSession.load(join(directory, 'model.onnx'));
  try {
    const inputs = session.inputs.map((spec) => tensorOf(spec, given[spec.name]));
    const outputs = await session.run(
      inputs,
      session.outputs.map((_, i) => i),
    );
    const isZero = session.inputs.some(({ name }) => given[name] === undefined);
    return [
      `golden:${isZero ? ' # of zeros, which prove little: put a real input in, and make this again' : ''}`,
      '  tolerance: 0.0001',
      '  inputs:',
      ...session.inputs.flatMap(({ name }, i) => [
        `    ${JSON.stringify(name)}:`,
        `      shape: [${inputs[i]!.dims.join(', ')}]`,
        ...valueLines(inputs[i]!),
      ]),
      '  outputs:',
      ...session.outputs.flatMap(({ name }, i) => [
        `    ${JSON.stringify(name)}:`,
        ...valueLines(outputs[i]!),
      ]),
      '',
    ].join('\n');
  } finally {
    await session.release();
  }
}

function inputsIn(file: string): GivenInputs {
  return existsSync(file) ? goldenInputsIn(readFileSync(file, 'utf8')) : {};
}

function tensorOf({ name, datatype, shape }: TensorSpec, given: GivenInputs[string] | undefined): Tensor {
  const dims = given?.shape ?? shape.map((size) => Math.max(1, size));
  const count = dims.reduce((product, size) => product * size, 1);
  const none = datatype === 'BYTES' ? '' : datatype === 'BOOL' ? false : 0;
  const values = (given?.values ?? new Array(count).fill(none)) as Parameters<typeof fromValues>[0];
  if (values.length !== count)
    throw new Error(`golden: input '${name}': found ${values.length} values, expected ${count}`);
  return { datatype, dims, data: fromValues(values, datatype, `golden: input '${name}'`) };
}

function valueLines(tensor: Tensor): string[] {
  const words = Array.from({ length: tensor.data.length }, (_, i) => wordOf(elementAt(tensor, i)));
  if (words.length <= MAX_LIST || tensor.datatype === 'BYTES') return [`      values: [${words.join(', ')}]`];
  const lines: string[] = [];
  for (let i = 0; i < words.length; i += PER_LINE)
    lines.push(`        ${words.slice(i, i + PER_LINE).join(' ')}`);
  return ['      values: |', ...lines];
}

/** With the digits that single precision has. */
function wordOf(element: number | bigint | string): string {
  if (typeof element === 'string') return JSON.stringify(element);
  if (typeof element === 'bigint') return String(element);
  if (!Number.isFinite(element)) throw new Error(`golden: the model gives ${element}, which proves nothing`);
  return String(Number(element.toPrecision(7)));
}
