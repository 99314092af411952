/**
 * InferTensorContents out of bytes, into typed arrays: numbers as they are, without a JavaScript value for each. First the
 * elements are counted, then arrays of that size are filled, so that memory is bounded before any is taken.
 */

import type { NumericArrayConstructor } from './datatypes.js';
import type { DecodedContents } from './messages.js';
import { atMost, LimitError, WireError, type WireReader, WireType } from './wire.js';

/** What the contents of one request may hold; more is a LimitError. */
export const contentsLimits = {
  /** Bytes of all numbers of a request once decoded: the largest tensor that can be received raw. */
  bytes: 64 * 1024 * 1024,
  /** Elements of all `bytes_contents` of a request, and of a raw BYTES tensor: each becomes a string of its own. */
  texts: 262_144,
} as const;

interface NumberField {
  readonly name: keyof DecodedContents;
  readonly wireType: 0 | 1 | 5;
  readonly array: NumericArrayConstructor;
}

const { VARINT, FIXED32, FIXED64, LENGTH } = WireType;
/** By field number. */
const numberFields: readonly (NumberField | undefined)[] = [
  undefined,
  { name: 'bool_contents', wireType: VARINT, array: Uint8Array },
  { name: 'int_contents', wireType: VARINT, array: Int32Array },
  { name: 'int64_contents', wireType: VARINT, array: BigInt64Array },
  { name: 'uint_contents', wireType: VARINT, array: Uint32Array },
  { name: 'uint64_contents', wireType: VARINT, array: BigUint64Array },
  { name: 'fp32_contents', wireType: FIXED32, array: Float32Array },
  { name: 'fp64_contents', wireType: FIXED64, array: Float64Array },
];
const BYTES_FIELD = 8;
const BYTES_NAME = 'bytes_contents';

/** For one request, whose contents share the limits. */
export class InferContentsDecoder {
  private readonly reader: WireReader;
  private bytes = 0;
  private texts = 0;

  constructor(reader: WireReader) {
    this.reader = reader;
  }

  /** The contents in the field whose tag was read last. `where` names it. */
  decode(where: string): DecodedContents {
    const { reader } = this;
    const outer = reader.enter(where);
    const start = reader.at;
    const counts = this.count(where);
    reader.at = start;
    const contents = fill(reader, counts);
    reader.leave(outer);
    return contents;
  }

  /** Elements of each field by its number. Reads to the end; what it accepts, `fill` can read, but for numbers too long. */
  private count(where: string): number[] {
    const { reader } = this;
    const counts = new Array<number>(BYTES_FIELD + 1).fill(0);
    while (reader.at < reader.end) {
      reader.tag();
      if (reader.field === BYTES_FIELD) {
        if (reader.wireType !== LENGTH) reader.require(LENGTH, `${where}.${BYTES_NAME}`);
        reader.skip();
        if (++this.texts > contentsLimits.texts)
          atMost(this.texts, contentsLimits.texts, `${where}.${BYTES_NAME}`);
        counts[BYTES_FIELD]!++;
        continue;
      }
      const field = numberFields[reader.field];
      if (field === undefined || reader.wireType === LENGTH) reader.countField();
      if (field === undefined) reader.skip();
      else counts[reader.field]! += this.countNumbers(field, where);
    }
    return counts;
  }

  private countNumbers(field: NumberField, where: string): number {
    const { reader } = this;
    let count = 1;
    if (reader.wireType === LENGTH) {
      count = countPacked(reader, field, where);
    } else {
      if (reader.wireType !== field.wireType) reader.require(field.wireType, `${where}.${field.name}`);
      reader.skip();
    }
    this.bytes += count * field.array.BYTES_PER_ELEMENT;
    if (this.bytes > contentsLimits.bytes) {
      throw new LimitError(
        `${where}.${field.name}: found contents of ${this.bytes} bytes or more once decoded, expected at most ${contentsLimits.bytes} in all`,
      );
    }
    return count;
  }
}

function countPacked(reader: WireReader, field: NumberField, where: string): number {
  const bytes = reader.view(`${where}.${field.name}`);
  if (field.wireType === VARINT) {
    let count = 0;
    for (let i = 0; i < bytes.length; i++) if (bytes[i]! < 0x80) count++;
    if (bytes.length > 0 && bytes[bytes.length - 1]! >= 0x80)
      throw new WireError(`${where}.${field.name} before byte ${reader.at}: the last number is cut off`);
    return count;
  }
  if (bytes.length % field.array.BYTES_PER_ELEMENT !== 0) {
    throw new WireError(
      `${where}.${field.name} before byte ${reader.at}: found ${bytes.length} bytes, expected a multiple of ${field.array.BYTES_PER_ELEMENT}`,
    );
  }
  return bytes.length / field.array.BYTES_PER_ELEMENT;
}

/** Reads the message once more; assumes a little-endian host, as the runtime does. */
function fill(reader: WireReader, counts: readonly number[]): DecodedContents {
  const contents: DecodedContents = {};
  const sinks = numberFields.map((field, number) => {
    const count = counts[number]!;
    return field === undefined || count === 0 ? undefined : new Sink(field, count, contents);
  });
  if (counts[BYTES_FIELD]! > 0) contents.bytes_contents = [];
  while (reader.at < reader.end) {
    reader.tag();
    const sink = sinks[reader.field];
    if (sink !== undefined) sink.take(reader);
    else if (reader.field === BYTES_FIELD)
      (contents.bytes_contents as Uint8Array[]).push(reader.view(BYTES_NAME));
    else reader.skip();
  }
  return contents;
}

/** The array of one field while it is filled. */
class Sink {
  private readonly field: NumberField;
  private readonly size: number;
  private readonly bytes: Uint8Array;
  private readonly words: Uint32Array;
  /** Bytes filled. */
  private at = 0;

  constructor(field: NumberField, count: number, into: DecodedContents) {
    this.field = field;
    this.size = field.array.BYTES_PER_ELEMENT;
    const buffer = new ArrayBuffer(count * this.size);
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer, 0, this.size === 1 ? 0 : buffer.byteLength / 4);
    Object.assign(into, { [field.name]: new field.array(buffer, 0, count) });
  }

  take(reader: WireReader): void {
    if (reader.wireType !== LENGTH) {
      this.one(reader);
      return;
    }
    const outer = reader.enter(this.field.name);
    if (this.field.wireType === VARINT) while (reader.at < reader.end) this.one(reader);
    else this.copy(reader, reader.end - reader.at);
    reader.leave(outer);
  }

  private one(reader: WireReader): void {
    if (this.field.wireType !== VARINT) {
      this.copy(reader, this.size);
      return;
    }
    reader.varint64();
    if (this.size === 1) this.bytes[this.at] = (reader.low | reader.high) === 0 ? 0 : 1;
    else {
      const word = this.at >>> 2;
      this.words[word] = reader.low;
      if (this.size === 8) this.words[word + 1] = reader.high;
    }
    this.at += this.size;
  }

  private copy(reader: WireReader, length: number): void {
    const start = reader.at;
    reader.advance(length);
    this.bytes.set(reader.bytes.subarray(start, reader.at), this.at);
    this.at += length;
  }
}
