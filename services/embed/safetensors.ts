/**
 * Reads a safetensors file: 8 bytes with the length of its header (little-endian), the header as JSON, and the bytes of
 * all tensors, little-endian and row-major.
 */

const LENGTH_BYTES = 8;
/** As the format's own reader has it: a longer header is refused. */
const MAX_HEADER_BYTES = 100_000_000;

/** A tensor in single precision. */
export interface FloatTensor {
  readonly shape: readonly number[];
  /** A view into the file. */
  readonly bytes: Uint8Array;
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** The tensors of a file, by name. */
export class Safetensors {
  private readonly entries: Readonly<Record<string, Entry>>;
  private readonly data: Uint8Array;

  /** Throws an Error when `file` is no safetensors file. */
  constructor(file: Uint8Array) {
    const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    const length = file.length < LENGTH_BYTES ? -1 : Number(view.getBigUint64(0, true));
    if (length < 2 || length > MAX_HEADER_BYTES || length > file.length - LENGTH_BYTES)
      throw new Error(`no safetensors: found a header of ${length} bytes in a file of ${file.length}`);
    const header = Buffer.from(file.buffer, file.byteOffset + LENGTH_BYTES, length);
    this.entries = JSON.parse(header.toString()) as Record<string, Entry>;
    this.data = file.subarray(LENGTH_BYTES + length);
  }

  /** Throws an Error when the tensor is not there, is not F32, or lies outside the file. */
  get(name: string): FloatTensor {
    const entry = this.entries[name];
    if (entry === undefined) throw new Error(`safetensors: there is no tensor ${name}`);
    const { dtype, shape, data_offsets: offsets } = entry;
    if (dtype !== 'F32') throw new Error(`safetensors: ${name} is ${dtype}, expected F32`);
    const [start, end] = offsets;
    const expected = 4 * shape.reduce((product, size) => product * size, 1);
    if (end - start !== expected || start < 0 || end > this.data.length)
      throw new Error(
        `safetensors: ${name} has bytes ${start} to ${end} of ${this.data.length}, expected ${expected} of them`,
      );
    return { shape, bytes: this.data.subarray(start, end) };
  }

  /** Whether there is a tensor of this name. */
  has(name: string): boolean {
    return Object.hasOwn(this.entries, name);
  }

  /** A copy of the numbers. */
  floats(name: string): Float32Array {
    const { bytes } = this.get(name);
    return new Float32Array(new Uint8Array(bytes).buffer);
  }
}
