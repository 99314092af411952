/**
 * The block `golden` of a model.yaml as text: what a model says now of some inputs. Whether that is right, only its maker knows.
 */

import type { Datatype, Tensor, TensorSpec } from '../../../proto/datatypes.js';
import { elementAt } from '../models/golden.js';

/** Longer lists are blocks of numbers. */
const MAX_LIST = 12;
const PER_LINE = 14;
/** Outputs beyond this are left out where there are smaller ones: what is compared has to be read first. */
const MAX_OUTPUT = 20_000;

/** What goes in and comes out, and what the model declares of it. */
export interface Run {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Undefined where an optional input is left out. */
  readonly given: readonly (Tensor | undefined)[];
  readonly results: readonly Tensor[];
}

/** YAML text. Throws an Error when the results prove nothing: all empty, or not numbers. */
export function goldenText(run: Run, comment: string, tolerance = 1e-4): string {
  const compared = comparedOutputs(run);
  return [
    `golden:${comment === '' ? '' : ` # ${comment}`}`,
    `  tolerance: ${tolerance}`,
    '  inputs:',
    ...run.inputs.flatMap(({ name }, i) => {
      const tensor = run.given[i];
      if (tensor === undefined) return [];
      const shape = `      shape: [${tensor.dims.join(', ')}]`;
      return [`    ${JSON.stringify(name)}:`, shape, ...valueLines(tensor)];
    }),
    '  outputs:',
    ...compared.flatMap((i) => [
      `    ${JSON.stringify(run.outputs[i]!.name)}:`,
      ...valueLines(run.results[i]!),
    ]),
    '',
  ].join('\n');
}

/** Indices of the outputs that the block holds: those of moderate size, else the smallest. */
function comparedOutputs({ outputs, results }: Run): number[] {
  const filled = outputs.map((_, i) => i).filter((i) => results[i]!.data.length > 0);
  if (filled.length === 0) throw new Error('golden: every output is empty, which proves nothing');
  const moderate = filled.filter((i) => results[i]!.data.length <= MAX_OUTPUT);
  if (moderate.length > 0) return moderate;
  return [filled.reduce((a, b) => (results[b]!.data.length < results[a]!.data.length ? b : a))];
}

function valueLines(tensor: Tensor): string[] {
  const { datatype } = tensor;
  const words = Array.from({ length: tensor.data.length }, (_, i) => wordOf(elementAt(tensor, i), datatype));
  if (words.length <= MAX_LIST || datatype === 'BYTES')
    return [`      values: [${words.map(listed).join(', ')}]`];
  const lines: string[] = [];
  for (let i = 0; i < words.length; i += PER_LINE)
    lines.push(`        ${words.slice(i, i + PER_LINE).join(' ')}`);
  return ['      values: |', ...lines];
}

/** Exactly, but numbers of single precision with the digits that it has. */
function wordOf(element: number | bigint | string, datatype: Datatype): string {
  if (typeof element === 'string') return JSON.stringify(element);
  if (typeof element === 'bigint') return String(element);
  if (!Number.isFinite(element)) throw new Error(`golden: the model gives ${element}, which proves nothing`);
  return String(Number.isInteger(element) || datatype === 'FP64' ? element : Number(element.toPrecision(7)));
}

/** YAML would round an integer beyond ±2^53; in quotes it is taken as it is. */
function listed(word: string): string {
  return /^-?\d+$/.test(word) && !Number.isSafeInteger(Number(word)) ? `"${word}"` : word;
}
