/**
 * Requests of texts as the rows of one run: a model in code is given several requests at once, each of any number of texts,
 * and answers each with its own rows.
 */

import type { NumericArray, Tensor } from '../../proto/datatypes.js';
import type { ModelAnswer, ModelRequest, Tensors } from '../model-server/code/model-code.js';

/** The rows of several requests, in their order. */
export class Rows {
  /** All texts, one a row. */
  readonly texts: readonly string[];
  /** How many of them belong to each request. */
  private readonly counts: readonly number[];

  private constructor(lists: readonly (readonly string[])[]) {
    this.texts = lists.flat();
    this.counts = lists.map(({ length }) => length);
  }

  /** @param input a BYTES input of shape [-1] that each request has. */
  static of(requests: readonly ModelRequest[], input: string): Rows {
    return new Rows(requests.map(({ inputs }) => inputs[input]!.data as string[]));
  }

  /** Of a list with an element for each row: those of one request. */
  of<T>(request: number, list: readonly T[]): readonly T[] {
    const start = this.counts.slice(0, request).reduce((sum, count) => sum + count, 0);
    return list.slice(start, start + this.counts[request]!);
  }

  /** Cuts outputs of a row for each text into the answers of the requests. */
  answers(outputs: Tensors): ModelAnswer[] {
    let start = 0;
    return this.counts.map((count) => {
      const from = start;
      start += count;
      const own = Object.entries(outputs).map(([name, tensor]) => [name, part(tensor, from, count)]);
      return { outputs: Object.fromEntries(own) as Tensors };
    });
  }
}

function part({ datatype, dims, data }: Tensor, start: number, count: number): Tensor {
  const width = dims.slice(1).reduce((product, size) => product * size, 1);
  const [from, to] = [start * width, (start + count) * width];
  const own = Array.isArray(data) ? data.slice(from, to) : (data.slice(from, to) as NumericArray);
  return { datatype, dims: [count, ...dims.slice(1)], data: own };
}
