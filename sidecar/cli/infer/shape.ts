import type { NumericArrayConstructor, Tensor } from '../../../proto/datatypes.js';
import type { TensorMetadata } from '../../../proto/messages.js';

/**
 * The declared shape that takes these elements: the given one where the rank fits, else the one
 * any-size dimension is solved for.
 *
 * @param dims of the values as they are given; empty for plain bytes and for a single value.
 * @throws Error that names the input, what was found and what is expected.
 */
export function fitShape(dims: readonly number[], count: number, tensor: TensorMetadata): number[] {
  const declared = tensor.shape.map(Number);
  const matches = (wanted: readonly number[]) =>
    dims.length === wanted.length && wanted.every((d, i) => d < 0 || d === dims[i]);
  if (matches(declared)) return [...dims];
  const nested = dims.reduce((product, d) => product * d, 1) === count; // plain bytes come without dimensions
  const [first = 0, ...others] = declared;
  if (nested && (first === -1 || first === 1) && matches(others)) return [1, ...dims]; // one row
  // [784] or [28,28] for [-1,784]: as many rows as the values fill.
  const fixed = declared.reduce((product, d) => (d < 0 ? product : product * d), 1);
  const open = declared.filter((d) => d < 0).length;
  const rest = count / fixed;
  if (open <= 1 && Number.isInteger(rest) && rest > 0 && (open === 1 || rest === 1))
    return declared.map((d) => (d < 0 ? rest : d));
  throw new Error(
    `input '${tensor.name}': found ${count} values in shape [${dims.join(',')}], expected shape [${declared.join(',')}]`,
  );
}

/**
 * Several values of one input as the rows of one tensor.
 *
 * @throws Error when the input has no dimension for rows, or the rows differ in size.
 */
export function stacked(rows: readonly Tensor[], { name, shape }: TensorMetadata): Tensor {
  const [head] = rows as readonly [Tensor, ...Tensor[]];
  if (rows.length === 1) return head;
  if (Number(shape[0]) !== -1)
    throw new Error(
      `input '${name}': found ${rows.length} values, expected one: its shape [${shape}] has no free first dimension`,
    );
  const sizeOf = ({ dims }: Tensor): string => dims.slice(1).join(',');
  const other = rows.findIndex((row) => sizeOf(row) !== sizeOf(head));
  if (other > 0)
    throw new Error(
      `input '${name}': found rows of [${sizeOf(head)}] and of [${sizeOf(rows[other]!)}], expected one size in a batch`,
    );
  const dims = [rows.reduce((sum, row) => sum + row.dims[0]!, 0), ...head.dims.slice(1)];
  const { datatype, data } = head;
  if (Array.isArray(data)) return { datatype, dims, data: rows.flatMap((row) => row.data as string[]) };
  const all = new (data.constructor as NumericArrayConstructor)(dims.reduce((product, d) => product * d, 1));
  let at = 0;
  for (const row of rows) {
    (all as Float32Array).set(row.data as Float32Array, at);
    at += row.data.length;
  }
  return { datatype, dims, data: all };
}
