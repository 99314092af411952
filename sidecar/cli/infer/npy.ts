import { type Datatype, type Elements, elementBytes } from '../../../proto/datatypes.js';
import { decodeRaw } from '../../../proto/tensors.js';

const kinds: Readonly<Record<string, Datatype>> = {
  '|b1': 'BOOL',
  '|u1': 'UINT8',
  '|i1': 'INT8',
  '<u2': 'UINT16',
  '<u4': 'UINT32',
  '<u8': 'UINT64',
  '<i2': 'INT16',
  '<i4': 'INT32',
  '<i8': 'INT64',
  '<f2': 'FP16',
  '<f4': 'FP32',
  '<f8': 'FP64',
};

/**
 * Parses NumPy's .npy format, versions 1 to 3, as far as a tensor needs it: C order, little-endian,
 * no objects. Source: numpy.lib.format ("NPY format").
 *
 * @throws Error that states what was found and what is expected.
 */
export function parseNpy(bytes: Buffer, expected: Datatype): { dims: number[]; data: Elements } {
  const wide = bytes[6]! >= 2;
  const start = wide ? 12 : 10;
  if (bytes.length < start) throw new Error('the .npy header is cut off');
  const end = start + (wide ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8));
  const header = bytes.subarray(start, end).toString('latin1');
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1];
  if (descr === undefined || shape === undefined) throw new Error('the .npy header has no descr or shape');
  if (/'fortran_order':\s*True/.test(header))
    throw new Error('found Fortran order, expected C order (numpy.ascontiguousarray)');
  const datatype = kinds[descr];
  if (datatype !== expected) throw new Error(`found dtype '${descr}', expected ${expected}`);
  const dims = shape
    .split(',')
    .map((d) => d.trim())
    .filter(Boolean)
    .map(Number);
  const count = dims.reduce((product, d) => product * d, 1);
  const body = bytes.subarray(end);
  if (body.length !== count * elementBytes(datatype))
    throw new Error(
      `found ${body.length} bytes of data, expected ${count * elementBytes(datatype)} for shape (${shape})`,
    );
  return { dims, data: decodeRaw(body, datatype, count, '.npy') };
}
