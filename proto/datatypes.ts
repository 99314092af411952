/**
 * The datatypes of the Open Inference Protocol: size on the wire, the array that holds them, the typed field that may
 * carry them. One table; nothing here knows of requests or of the runtime.
 */

import type { InferTensorContents } from './messages.js';

/** The datatypes of the protocol, in its spelling. */
export type Datatype =
  | 'BOOL'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'FP16'
  | 'BF16'
  | 'FP32'
  | 'FP64'
  | 'BYTES';

/** FP16 and BF16 are kept as their bit patterns. */
export type NumericArray =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

/** Makes an array of so many zeros, or one over memory that is there. */
export interface NumericArrayConstructor {
  new (length: number): NumericArray;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): NumericArray;
  readonly BYTES_PER_ELEMENT: number;
}

/** Elements of one tensor in row-major order; BYTES are text. */
export type Elements = NumericArray | string[];

/** A tensor in memory: as many elements as its dims hold. */
export interface Tensor {
  readonly datatype: Datatype;
  readonly dims: readonly number[];
  readonly data: Elements;
}

/** A parameter of a request or response, as InferParameter holds it; 64-bit integers as bigint. */
export type ParameterValue = boolean | bigint | number | string;

/** What a model declares of one input or output. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  /** −1: any size. */
  readonly shape: readonly number[];
  /** Names of the dimensions of any size; the same name means the same size. `undefined` where there is none. */
  readonly symbols: readonly (string | undefined)[];
}

/** What the table says of one datatype. */
export interface DatatypeInfo {
  /** undefined for BYTES. */
  readonly array: NumericArrayConstructor | undefined;
  /** Field of InferTensorContents that carries it; undefined where the protocol has raw bytes only. */
  readonly field: keyof InferTensorContents | undefined;
  /** Range of the integers that a wider field carries. */
  readonly range?: readonly [number, number];
}

const table: Readonly<Record<Datatype, DatatypeInfo>> = {
  BOOL: { array: Uint8Array, field: 'bool_contents' },
  UINT8: { array: Uint8Array, field: 'uint_contents', range: [0, 0xff] },
  UINT16: { array: Uint16Array, field: 'uint_contents', range: [0, 0xffff] },
  UINT32: { array: Uint32Array, field: 'uint_contents', range: [0, 0xffffffff] },
  UINT64: { array: BigUint64Array, field: 'uint64_contents' },
  INT8: { array: Int8Array, field: 'int_contents', range: [-0x80, 0x7f] },
  INT16: { array: Int16Array, field: 'int_contents', range: [-0x8000, 0x7fff] },
  INT32: { array: Int32Array, field: 'int_contents', range: [-0x80000000, 0x7fffffff] },
  INT64: { array: BigInt64Array, field: 'int64_contents' },
  FP16: { array: Uint16Array, field: undefined },
  BF16: { array: Uint16Array, field: undefined },
  FP32: { array: Float32Array, field: 'fp32_contents' },
  FP64: { array: Float64Array, field: 'fp64_contents' },
  BYTES: { array: undefined, field: 'bytes_contents' },
};

/** The lists of InferTensorContents, in the order of their field numbers. */
export const contentFields: readonly (keyof InferTensorContents)[] = [
  'bool_contents',
  'int_contents',
  'int64_contents',
  'uint_contents',
  'uint64_contents',
  'fp32_contents',
  'fp64_contents',
  'bytes_contents',
];

/** Whether this is a datatype of the protocol (`FP32`, `INT64`, `BYTES`, …). */
export function isDatatype(name: string): name is Datatype {
  return Object.hasOwn(table, name);
}

/** Size, array and typed field of a datatype. */
export function datatypeInfo(datatype: Datatype): DatatypeInfo {
  return table[datatype];
}

/** Bytes of one element on the wire; 0 for BYTES, whose elements vary. */
export function elementBytes(datatype: Datatype): number {
  return table[datatype].array?.BYTES_PER_ELEMENT ?? 0;
}

const scratch = new DataView(new ArrayBuffer(4));

/** Bits of the half-precision number nearest to `value` (ties to even). */
export function toHalf(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 65,536 and more: infinity
  if (magnitude < 0x38800000) return sign | roundToEven(Math.abs(value) * 2 ** 24); // subnormal, unit 2^−24
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** The number that 16 bits of IEEE 754 binary16 (FP16) stand for. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest === 0.5) return floor % 2 === 0 ? floor : floor + 1;
  return Math.round(value);
}
