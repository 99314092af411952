/** Triton's classification extension: an output as its k largest elements, each as text `value:index:label`. */

import { type Datatype, fromHalf, type Tensor } from '../../../proto/datatypes.js';
import type { ModelInferRequest } from '../../../proto/messages.js';
import { invalidArgument } from '../rpc.js';
import { parameterValue } from './parameters.js';

/** How many classes each output in `outputs` is asked for; undefined: as the tensor that it is. */
export function classCounts(
  model: string,
  outputs: ModelInferRequest['outputs'],
): readonly (number | undefined)[] {
  return (outputs ?? []).map(({ name, parameters }) => {
    if (parameters === undefined || !Object.hasOwn(parameters, 'classification')) return undefined;
    const value = parameterValue(parameters['classification']!);
    const count = typeof value === 'bigint' ? Number(value) : Number.NaN;
    if (count === 0) return undefined;
    if (Number.isSafeInteger(count) && count > 0) return count;
    throw invalidArgument(
      `model '${model}', output '${name}': found classification ${String(value).slice(0, 100)}, expected an integer from 1`,
    );
  });
}

/** What one output is classified with. */
export interface Classification {
  readonly count: number;
  /** Of the last dimension; none: only value and index are told. */
  readonly labels: readonly string[] | undefined;
  /** The first dimension is the batch. */
  readonly isBatched: boolean;
}

/** Text of shape [k], or [rows, k] for a batch; the largest first, the lower index first of those that are equal. */
export function classify(tensor: Tensor, { count, labels, isBatched }: Classification): Tensor {
  const rows = isBatched ? (tensor.dims[0] ?? 1) : 1;
  const perRow = rows === 0 ? 0 : tensor.data.length / rows;
  const k = Math.min(count, perRow);
  const data: string[] = [];
  for (let row = 0; row < rows; row++) {
    const values = Array.from({ length: perRow }, (_, i) => valueAt(tensor, row * perRow + i));
    const order = values.map((_, i) => i).sort((a, b) => compare(values[b]!, values[a]!) || a - b);
    for (const index of order.slice(0, k)) {
      const label = labels?.[index];
      data.push(
        `${textOf(values[index]!, tensor.datatype)}:${index}${label === undefined ? '' : `:${label}`}`,
      );
    }
  }
  return { datatype: 'BYTES', dims: isBatched ? [rows, k] : [k], data };
}

function valueAt({ datatype, data }: Tensor, index: number): number | bigint {
  const element = data[index] as number | bigint;
  return datatype === 'FP16' ? fromHalf(element as number) : element;
}

/** NaN comes last. */
function compare(a: number | bigint, b: number | bigint): number {
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : -1;
  if (Number.isNaN(b)) return 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** As Triton writes it (`std::to_string`): of floating-point outputs six digits after the point, integers as they are. */
function textOf(value: number | bigint, datatype: Datatype): string {
  if (typeof value === 'bigint' || !FLOATS.has(datatype)) return String(value);
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  // From 10^21 on toFixed gives an exponent; such numbers are integers.
  return Math.abs(value) < 1e21 ? value.toFixed(6) : `${BigInt(value)}.000000`;
}

const FLOATS: ReadonlySet<Datatype> = new Set<Datatype>(['FP16', 'BF16', 'FP32', 'FP64']);
