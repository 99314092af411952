/** The outputs of one answer of ModelInfer, read from the bytes that were sent: for a reader of answers afterwards. */

import { type Datatype, type Elements, isDatatype } from '../../../proto/datatypes.js';
import type { InferTensor } from '../../../proto/messages.js';
import { decodeRaw, fromContents, TensorError } from '../../../proto/tensors.js';
import type { InferAnswer } from '../../codec/inference.js';

const MAX_NAME = 60;

/** One output tensor of an answer, decoded. */
export interface Output {
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: Elements;
  /** Elements that it has in all, where `data` is a sample of them. */
  readonly of?: number;
}

/** Elements of a tensor of this shape. Throws a TensorError where it is none. */
export function elementsIn(shape: readonly number[]): number {
  const count = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(count) || shape.some((size) => !(Number.isSafeInteger(size) && size >= 0)))
    throw new TensorError('has no shape that there is');
  return count;
}

/** The `i`-th output. Throws a TensorError that says in a few words what no output may be. */
export function outputOf(
  { datatype, shape, contents }: InferTensor,
  { raw }: InferAnswer,
  i: number,
): Output {
  if (!isDatatype(datatype)) throw new TensorError('has no datatype that there is');
  const sizes = shape.map(Number);
  const count = elementsIn(sizes);
  const bytes = raw[i];
  try {
    const data =
      bytes === undefined
        ? fromContents(contents ?? {}, datatype, count, 'output')
        : decodeRaw(bytes, datatype, count, 'output');
    return { datatype, shape: sizes, data };
  } catch (error) {
    if (!(error instanceof TensorError)) throw error;
    throw new TensorError('does not fit its shape');
  }
}

/** What comes from the model, cut and fit for one line. */
export function cut(name: string): string {
  return name.slice(0, MAX_NAME);
}

/** A name of an output, in quotes. */
export function shown(name: string): string {
  return JSON.stringify(cut(name));
}
