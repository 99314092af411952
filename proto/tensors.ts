/**
 * One tensor between the wire and memory: raw bytes or typed contents in, raw bytes out.
 * Decoding copies only what is not aligned; encoding copies nothing but text. Every refusal says what was found and
 * what was expected; `where` names the tensor. Assumes a little-endian host, as the runtime does.
 */

import {
  contentFields,
  type Datatype,
  datatypeInfo,
  type Elements,
  type Tensor,
  toHalf,
} from './datatypes.js';
import type { DecodedContents, InferTensorContents } from './messages.js';

/** Bytes or values that do not fit a tensor. The message is one line, fit for the sender. */
export class TensorError extends Error {}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** `count` elements out of `bytes`, which must be exactly that many. */
export function decodeRaw(bytes: Uint8Array, datatype: Datatype, count: number, where: string): Elements {
  const array = datatypeInfo(datatype).array;
  if (array === undefined) return decodeRawText(bytes, count, where);
  const expected = count * array.BYTES_PER_ELEMENT;
  if (bytes.byteLength !== expected) {
    throw new TensorError(
      `${where}: found ${bytes.byteLength} raw bytes, expected ${expected} (${count} × ${array.BYTES_PER_ELEMENT} of ${datatype})`,
    );
  }
  if (datatype === 'BOOL') requireBooleans(bytes, where);
  if (bytes.byteOffset % array.BYTES_PER_ELEMENT === 0)
    return new array(bytes.buffer, bytes.byteOffset, count);
  const copy = alignedCopy(bytes);
  return new array(copy.buffer, copy.byteOffset, count);
}

/** Small copies share a buffer of this size, bytes: one allocation for some of them. */
const SLAB_BYTES = 64 * 1024;
let slab = new ArrayBuffer(SLAB_BYTES);
let slabAt = 0;

/** The same bytes at a multiple of eight. */
function alignedCopy(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  if (length > SLAB_BYTES / 4) {
    const own = Buffer.allocUnsafeSlow(length);
    own.set(bytes);
    return own;
  }
  if (slabAt + length > SLAB_BYTES) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES).buffer;
    slabAt = 0;
  }
  const copy = new Uint8Array(slab, slabAt, length);
  copy.set(bytes);
  slabAt += (length + 7) & ~7;
  return copy;
}

/** `count` elements out of the one typed field that fits `datatype`; the other fields must be empty. */
export function fromContents(
  contents: InferTensorContents | DecodedContents,
  datatype: Datatype,
  count: number,
  where: string,
): Elements {
  const { field } = datatypeInfo(datatype);
  const used = contentFields.filter((f) => (contents[f]?.length ?? 0) > 0);
  if (field === undefined) {
    throw new TensorError(
      `${where}: found ${used[0] ?? 'contents'}, expected raw_input_contents (${datatype} has no typed form)`,
    );
  }
  const wrong = used.find((f) => f !== field);
  if (wrong !== undefined)
    throw new TensorError(`${where}: found ${wrong}, expected ${field} for ${datatype}`);
  const values = contents[field] ?? [];
  if (values.length !== count) {
    throw new TensorError(`${where}: found ${values.length} elements in ${field}, expected ${count}`);
  }
  const { array } = datatypeInfo(datatype);
  if (array !== undefined && values instanceof array) return values;
  return fromValues(values, datatype, where);
}

type Value = number | bigint | string | boolean | Uint8Array;

/** Elements out of plain values: numbers, booleans, decimal strings for 64 bits, text or UTF-8 bytes for BYTES. */
export function fromValues(values: ArrayLike<Value>, datatype: Datatype, where: string): Elements {
  const { array, range } = datatypeInfo(datatype);
  if (array === undefined) {
    return Array.from(values, (v, i) => (v instanceof Uint8Array ? decodeText(v, i, where) : String(v)));
  }
  const out = new array(values.length);
  for (let i = 0; i < values.length; i++) {
    out[i] = toElement(values[i] as Exclude<Value, Uint8Array>, datatype, range, i, where);
  }
  return out;
}

/** The wire form. Numbers are not copied: the buffer is a view of the tensor's memory. */
export function encodeRaw(tensor: Tensor): Uint8Array {
  const { data } = tensor;
  if (!Array.isArray(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let total = 0;
  for (const text of data) total += 4 + Buffer.byteLength(text);
  const out = Buffer.allocUnsafe(total);
  let at = 0;
  for (const text of data) {
    const length = out.write(text, at + 4);
    out.writeUInt32LE(length, at);
    at += 4 + length;
  }
  return out;
}

function decodeRawText(bytes: Uint8Array, count: number, where: string): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Each element takes 4 bytes at least, so an absurd count is refused before anything is allocated for it.
  if (count > bytes.byteLength / 4) {
    throw new TensorError(
      `${where}: found ${bytes.byteLength} raw bytes, expected at least ${count * 4} for ${count} BYTES elements`,
    );
  }
  const out: string[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const length = at + 4 <= bytes.byteLength ? view.getUint32(at, true) : 0;
    if (at + 4 + length > bytes.byteLength) {
      const left = Math.max(0, bytes.byteLength - at - 4);
      throw new TensorError(
        `${where}: BYTES element ${i}: found ${left} bytes left, expected ${length || 'a 4-byte length'}`,
      );
    }
    out.push(decodeText(bytes.subarray(at + 4, at + 4 + length), i, where));
    at += 4 + length;
  }
  if (at !== bytes.byteLength) {
    throw new TensorError(
      `${where}: found ${bytes.byteLength} raw bytes, expected ${at} for ${count} BYTES elements`,
    );
  }
  return out;
}

function decodeText(bytes: Uint8Array, index: number, where: string): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new TensorError(`${where}: BYTES element ${index}: found bytes that are not UTF-8, expected text`);
  }
}

function requireBooleans(bytes: Uint8Array, where: string): void {
  const wrong = bytes.findIndex((b) => b > 1);
  if (wrong >= 0)
    throw new TensorError(`${where}: BOOL element ${wrong}: found ${bytes[wrong]}, expected 0 or 1`);
}

/** undefined: it is none. BigInt() alone would take '', ' 7', '0x10' and true. */
function integerOf(value: Exclude<Value, Uint8Array>): bigint | undefined {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : undefined;
  return typeof value === 'string' && /^-?\d{1,20}$/.test(value) ? BigInt(value) : undefined;
}

function toElement(
  value: Exclude<Value, Uint8Array>,
  datatype: Datatype,
  range: readonly [number, number] | undefined,
  index: number,
  where: string,
): number | bigint {
  const refuse = (expected: string) =>
    new TensorError(`${where}: ${datatype} element ${index}: found ${String(value)}, expected ${expected}`);
  if (datatype === 'INT64' || datatype === 'UINT64') {
    const exact = integerOf(value);
    const fitted = datatype === 'INT64' ? BigInt.asIntN(64, exact ?? 0n) : BigInt.asUintN(64, exact ?? 0n);
    if (fitted === exact) return exact;
    throw refuse('an integer of 64 bits');
  }
  if (datatype === 'BOOL') {
    if (typeof value === 'boolean' || value === 0 || value === 1) return Number(value);
    throw refuse('true or false');
  }
  if (typeof value !== 'number') throw refuse('a number');
  if (range !== undefined && !(Number.isInteger(value) && value >= range[0] && value <= range[1])) {
    throw refuse(`an integer from ${range[0]} to ${range[1]}`);
  }
  return datatype === 'FP16' ? toHalf(value) : value;
}
