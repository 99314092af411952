/**
 * Protocol Buffers for the few small messages that the sidecar itself sends and reads, on @bufbuild/protobuf/wire, of which
 * this is the only importer. What the data plane reads per call has readers of its own (relay/named-model/model-name.ts).
 */

import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** Bytes of a message in the making. */
export class MessageWriter {
  private readonly wire = new BinaryWriter();

  /** A string field; an empty one is left out, as proto3 does. */
  text(field: number, value: string): this {
    if (value !== '') this.wire.tag(field, WireType.LengthDelimited).string(value);
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.wire.tag(field, WireType.LengthDelimited).bytes(value);
    return this;
  }

  /** A uint64 field; 0 is left out, as proto3 does. */
  number(field: number, value: number): this {
    if (value !== 0) this.wire.tag(field, WireType.Varint).uint64(value);
    return this;
  }

  /** A double field; 0 is left out, as proto3 does. */
  double(field: number, value: number): this {
    if (value !== 0) this.wire.tag(field, WireType.Bit64).double(value);
    return this;
  }

  message(field: number, value: MessageWriter): this {
    return this.bytes(field, value.finish());
  }

  /** A packed repeated int64. */
  integers(field: number, values: readonly number[]): this {
    if (values.length === 0) return this;
    this.wire.tag(field, WireType.LengthDelimited).fork();
    for (const value of values) this.wire.int64(value);
    this.wire.join();
    return this;
  }

  /** The message; the writer is empty after that. */
  finish(): Buffer {
    const { buffer, byteOffset, byteLength } = this.wire.finish();
    return Buffer.from(buffer, byteOffset, byteLength);
  }
}

/** One field as it stands on the wire: numbers of wire type 0 as unsigned, everything else as its bytes. */
export type Field =
  | { readonly number: number; readonly type: 'varint'; readonly value: bigint }
  | { readonly number: number; readonly type: 'bytes' | 'fixed32' | 'fixed64'; readonly value: Buffer };

/** Every field in its order, its bytes not copied. @throws RangeError when the bytes are no message, or hold a group. */
export function fieldsOf(bytes: Buffer): Generator<Field> {
  return each(bytes, (reader) => readField(reader, bytes));
}

/** The numbers of a packed field, as unsigned. @throws RangeError when the last one is cut off. */
export function varintsOf(bytes: Buffer): bigint[] {
  return [...each(bytes, (reader) => BigInt(reader.uint64()))];
}

function* each<T>(bytes: Buffer, read: (reader: BinaryReader) => T): Generator<T> {
  const reader = new BinaryReader(bytes);
  try {
    while (reader.pos < reader.len) yield read(reader);
  } catch (error) {
    throw new RangeError((error as Error).message);
  }
}

function readField(reader: BinaryReader, bytes: Buffer): Field {
  const [number, wireType] = reader.tag();
  if (wireType === WireType.Varint) return { number, type: 'varint', value: BigInt(reader.uint64()) };
  if (wireType === WireType.LengthDelimited)
    return { number, type: 'bytes', value: reader.bytes() as Buffer };
  const from = reader.pos;
  reader.skip(wireType);
  const value = bytes.subarray(from, reader.pos);
  if (wireType === WireType.Bit32) return { number, type: 'fixed32', value };
  if (wireType === WireType.Bit64) return { number, type: 'fixed64', value };
  throw new Error(`wire type ${wireType}; expected 0, 1, 2 or 5`);
}
