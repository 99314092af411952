import type { Datatype, Tensor } from '../../../proto/datatypes.js';
import type { TensorMetadata } from '../../../proto/messages.js';
import { fromValues } from '../../../proto/tensors.js';
import { CommandFailure, oneLine } from '../failure.js';
import { fitShape } from './shape.js';

type Leaf = number | string | boolean;

/**
 * A value written as text: JSON, nested by dimension (`5`, `[5]`, `[[1,2],[3,4]]`), or with its shape
 * (`{"shape":[1],"values":[5]}`). For BYTES, whatever is no JSON list, text or object with values is
 * itself the text.
 *
 * @throws CommandFailure(2) that says what was found and what is expected.
 */
export function tensorOfText(
  text: string,
  tensor: TensorMetadata & { readonly datatype: Datatype },
  where: string,
): Tensor {
  const { datatype } = tensor;
  const given = parsed(text, tensor, where);
  const { shape, values } = withShape(given, where);
  const flat: Leaf[] = [];
  const nesting = flatten(values, flat, where);
  try {
    const dims = shape ?? fitShape(nesting, flat.length, tensor);
    if (shape !== undefined) requireShape(shape, flat.length, tensor);
    return { datatype, dims, data: fromValues(flat, datatype, where) };
  } catch (error) {
    throw usage(oneLine(error));
  }
}

function parsed(text: string, { name, datatype }: TensorMetadata, where: string): unknown {
  // 64-bit integers would be rounded by JSON, so they are quoted first.
  const wide = datatype === 'INT64' || datatype === 'UINT64';
  try {
    const value = JSON.parse(wide ? text.replace(/(?<=^|[[,:\s])-?\d+(?=$|[\],}\s])/g, '"$&"') : text);
    const isStructured = Array.isArray(value) || typeof value === 'string' || hasValues(value);
    return datatype !== 'BYTES' || isStructured ? value : text;
  } catch {
    if (datatype === 'BYTES') return text;
    throw usage(
      `${where}: found ${shorten(text)}, expected JSON, for example '${name}=[0, 1]'; a file of plain values ends in .bin or .raw`,
    );
  }
}

function hasValues(value: unknown): value is { values: unknown; shape?: unknown } {
  return (
    typeof value === 'object' && value !== null && Object.hasOwn(value, 'values') && !Array.isArray(value)
  );
}

function withShape(given: unknown, where: string): { shape?: number[]; values: unknown } {
  if (!hasValues(given)) return { values: given };
  const { shape, values, ...others } = given;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw usage(`${where}: found the key "${unknown}", expected shape and values`);
  if (shape === undefined) return { values };
  const dims = Array.isArray(shape) ? shape.map(Number) : [Number.NaN];
  if (dims.some((d) => !Number.isSafeInteger(d) || d < 0))
    throw usage(`${where}: found shape ${shorten(JSON.stringify(shape))}, expected a list of sizes`);
  return { shape: dims, values };
}

function requireShape(
  shape: readonly number[],
  count: number,
  { name, shape: declared }: TensorMetadata,
): void {
  const wanted = declared.map(Number);
  const product = shape.reduce((sum, d) => sum * d, 1);
  if (product !== count)
    throw new Error(
      `input '${name}': found ${count} values, expected ${product} for shape [${shape.join(',')}]`,
    );
  if (shape.length !== wanted.length || wanted.some((d, i) => d >= 0 && d !== shape[i]))
    throw new Error(`input '${name}': found shape [${shape.join(',')}], expected [${wanted.join(',')}]`);
}

/** Appends the leaves in order; returns the dimensions of the nesting. */
function flatten(value: unknown, into: Leaf[], where: string): number[] {
  if (!Array.isArray(value)) {
    if (typeof value !== 'number' && typeof value !== 'string' && typeof value !== 'boolean')
      throw usage(
        `${where}: found ${shorten(JSON.stringify(value) ?? 'nothing')}, expected numbers, text, true or false`,
      );
    into.push(value);
    return [];
  }
  const inner = value.map((v) => flatten(v, into, where).join());
  if (new Set(inner).size > 1)
    throw usage(`${where}: found rows of different lengths, expected a full array`);
  return [value.length, ...(inner[0] ?? '').split(',').filter(Boolean).map(Number)];
}

/** Bytes that are no text would reach the terminal as control sequences. */
function shorten(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u0008\u000e-\u001f\u007f-\u009f\ufffd]/.test(text)) return 'binary data';
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function usage(message: string): CommandFailure {
  return new CommandFailure(message, 2);
}
