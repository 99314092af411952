/**
 * As much of Protocol Buffers as four small messages need: fields written one after the other and read back. No schema,
 * no library; whoever uses it knows the field numbers.
 */

/** Bytes of a message in the making. */
export class MessageWriter {
  private readonly parts: Uint8Array[] = [];

  /** A string field; an empty one is left out, as the third syntax does. */
  text(field: number, value: string): this {
    return value === '' ? this : this.bytes(field, Buffer.from(value));
  }

  bytes(field: number, value: Uint8Array): this {
    this.parts.push(varint(BigInt(field * 8 + 2)), varint(BigInt(value.length)), value);
    return this;
  }

  message(field: number, value: MessageWriter): this {
    return this.bytes(field, value.finish());
  }

  /** A packed repeated int64. */
  integers(field: number, values: readonly number[]): this {
    return values.length === 0
      ? this
      : this.bytes(field, Buffer.concat(values.map((value) => varint(BigInt(value)))));
  }

  finish(): Buffer {
    return Buffer.concat(this.parts);
  }
}

/** One field as it stands on the wire: numbers of wire type 0 as unsigned, everything else as its bytes. */
export type Field =
  | { readonly number: number; readonly type: 'varint'; readonly value: bigint }
  | { readonly number: number; readonly type: 'bytes' | 'fixed32' | 'fixed64'; readonly value: Buffer };

/** Every field in its order. Throws a RangeError when the bytes are no message. */
export function* fieldsOf(bytes: Buffer): Generator<Field> {
  const cursor = { at: 0 };
  while (cursor.at < bytes.length) {
    const tag = Number(readVarint(bytes, cursor));
    const number = Math.floor(tag / 8);
    const type = tag & 7;
    if (type === 0) yield { number, type: 'varint', value: readVarint(bytes, cursor) };
    else if (type === 1) yield { number, type: 'fixed64', value: take(bytes, cursor, 8) };
    else if (type === 5) yield { number, type: 'fixed32', value: take(bytes, cursor, 4) };
    else if (type === 2) {
      const length = Number(readVarint(bytes, cursor));
      yield { number, type: 'bytes', value: take(bytes, cursor, length) };
    } else throw new RangeError(`wire type ${type} is nothing`);
  }
}

/** The numbers of a packed field. */
export function varintsOf(bytes: Buffer): bigint[] {
  const cursor = { at: 0 };
  const numbers: bigint[] = [];
  while (cursor.at < bytes.length) numbers.push(readVarint(bytes, cursor));
  return numbers;
}

function readVarint(bytes: Buffer, cursor: { at: number }): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = bytes[cursor.at];
    if (byte === undefined) throw new RangeError('the message is cut off');
    cursor.at += 1;
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return BigInt.asUintN(64, value);
  }
  throw new RangeError('a number is longer than 10 bytes');
}

function take(bytes: Buffer, cursor: { at: number }, length: number): Buffer {
  const from = cursor.at;
  if (length > bytes.length - from) throw new RangeError('the message is cut off');
  cursor.at = from + length;
  return bytes.subarray(from, from + length);
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}
