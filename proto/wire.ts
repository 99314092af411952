/**
 * Protocol Buffers on the wire, read strictly: fields follow each other and end exactly where their message does, and a known
 * field has the wire type of its declaration. The library takes a known field by its declaration whatever the wire type
 * says, so that what it reads could be something else than what was counted.
 * Encoding: https://protobuf.dev/programming-guides/encoding
 */

import { isUtf8 } from 'node:buffer';

/** Bytes that are no message. One line. */
export class WireError extends Error {}

/** A message that holds more than is taken. One line: which field, what was found, what is allowed. */
export class LimitError extends Error {}

/** The last three bits of a tag. Groups (3 and 4) are not used by any message here. */
export const WireType = { VARINT: 0, FIXED64: 1, LENGTH: 2, FIXED32: 5 } as const;

/** 64 bits, 7 in each byte. */
const MAX_VARINT_BYTES = 10;

/** Reads one message from start to end, and the messages inside it in place. */
export class WireReader {
  readonly bytes: Buffer;
  at = 0;
  /** Where the message being read ends. */
  end: number;
  /** Number and wire type of the tag read last. */
  field = 0;
  wireType = 0;
  /** Lower and upper 32 bits, unsigned, of the number read last. */
  low = 0;
  high = 0;
  private readonly maxFields: number;
  private fields = 0;

  /** `maxFields`: fields that `next` may read in all, at every level. */
  constructor(bytes: Uint8Array, maxFields = Number.POSITIVE_INFINITY) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.end = bytes.byteLength;
    this.maxFields = maxFields;
  }

  /** Reads the next tag of the message; false at its end. */
  next(): boolean {
    if (this.at >= this.end) return false;
    this.countField();
    this.tag();
    return true;
  }

  /** Throws a LimitError when it is called more than `maxFields` times. */
  countField(): void {
    this.fields++;
    if (this.fields > this.maxFields) atMost(this.fields, this.maxFields, 'fields in all');
  }

  /** Reads a tag without counting it; the message has not ended. */
  tag(): void {
    const start = this.at;
    const tag = this.length();
    this.field = tag >>> 3;
    this.wireType = tag & 7;
    if (this.field === 0) throw new WireError(`field number 0 at byte ${start}`);
  }

  /** Throws unless the field has the wire type that `name` is declared with. */
  require(wireType: number, name: string): void {
    if (this.wireType === wireType) return;
    throw new WireError(`${name} at byte ${this.at}: found wire type ${this.wireType}, expected ${wireType}`);
  }

  /** Passes over the field. */
  skip(): void {
    switch (this.wireType) {
      case WireType.VARINT:
        this.varint64();
        return;
      case WireType.FIXED64:
        this.advance(8);
        return;
      case WireType.LENGTH:
        this.advance(this.length());
        return;
      case WireType.FIXED32:
        this.advance(4);
        return;
      default:
        // Groups are not used by any message here, and 6 and 7 are nothing.
        throw new WireError(`wire type ${this.wireType} at byte ${this.at}`);
    }
  }

  /** Makes the field's bytes the message being read; returns the end to `leave` with. */
  enter(name: string): number {
    this.require(WireType.LENGTH, name);
    const length = this.length();
    const outer = this.end;
    if (length > outer - this.at) this.cutOff();
    this.end = this.at + length;
    return outer;
  }

  leave(outer: number): void {
    this.end = outer;
  }

  /** The field's bytes, not copied. */
  view(name: string): Buffer {
    this.require(WireType.LENGTH, name);
    const length = this.length();
    this.advance(length);
    return this.bytes.subarray(this.at - length, this.at);
  }

  text(name: string): string {
    this.require(WireType.LENGTH, name);
    const length = this.length();
    this.advance(length);
    const { bytes, at } = this;
    const known = knownText(bytes, at - length, at);
    if (known !== undefined) return known;
    const own = bytes.subarray(at - length, at);
    if (!isUtf8(own)) throw new WireError(`${name} before byte ${at}: found bytes that are not UTF-8`);
    return remembered(own, own.toString('utf8'));
  }

  double(name: string): number {
    this.require(WireType.FIXED64, name);
    this.advance(8);
    return this.bytes.readDoubleLE(this.at - 8);
  }

  /** Reads a number into `low` and `high`. */
  varint64(): void {
    const { bytes, end } = this;
    let { at } = this;
    let low = 0;
    let high = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      if (at >= end) this.cutOff();
      const byte = bytes[at++]!;
      const bits = byte & 0x7f;
      if (i < 4) low |= bits << (7 * i);
      else if (i === 4) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (7 * i - 32);
      if (byte < 0x80) {
        this.at = at;
        this.low = low >>> 0;
        this.high = high >>> 0;
        return;
      }
    }
    throw new WireError(`the number at byte ${this.at} is longer than ${MAX_VARINT_BYTES} bytes`);
  }

  advance(count: number): void {
    if (count > this.end - this.at) this.cutOff();
    this.at += count;
  }

  private length(): number {
    this.varint64();
    if (this.high !== 0) throw new WireError(`found 2^32 or more before byte ${this.at}`);
    return this.low;
  }

  private cutOff(): never {
    throw new WireError(`the field at byte ${this.at} is cut off by the end of its message at ${this.end}`);
  }
}

/**
 * Short texts that were read lately, by a hash of their bytes: models, tensors and datatypes have the same names in every
 * request, and comparing costs less than decoding.
 */
const texts: string[] = new Array<string>(256).fill('');
/** Bytes; longer texts are decoded each time. */
const LONGEST_KNOWN = 32;

/** The text of `bytes[start, end)` if it was read lately and is ASCII. */
function knownText(bytes: Buffer, start: number, end: number): string | undefined {
  if (start === end) return '';
  if (end - start > LONGEST_KNOWN) return undefined;
  const text = texts[slotOf(bytes, start, end)]!;
  if (text.length !== end - start) return undefined;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[start + i]) return undefined;
  return text;
}

/** Text with as many characters as bytes is ASCII. */
function remembered(bytes: Buffer, text: string): string {
  if (bytes.length <= LONGEST_KNOWN && text.length === bytes.length)
    texts[slotOf(bytes, 0, bytes.length)] = text;
  return text;
}

function slotOf(bytes: Buffer, start: number, end: number): number {
  return (bytes[start]! * 7 + bytes[end - 1]! * 31 + (end - start) * 13) & 255;
}

/** Throws a LimitError that names the field when `count` is over `limit`. */
export function atMost(count: number, limit: number, name: string): void {
  if (count > limit) throw new LimitError(`${name}: found ${count} or more, expected at most ${limit}`);
}

/** The number just read as decimal digits; with a `name`, it is read first, as the field of that name. */
export function signed(reader: WireReader, name?: string): string {
  if (name !== undefined) readVarintField(reader, name);
  const { low, high } = reader;
  return high === 0 ? String(low) : String((BigInt(high | 0) << 32n) | BigInt(low));
}

/** A varint field as an unsigned decimal, exact up to 2^64 − 1. Throws where the field has another wire type. */
export function unsigned(reader: WireReader, name: string): string {
  readVarintField(reader, name);
  const { low, high } = reader;
  return high === 0 ? String(low) : String((BigInt(high) << 32n) | BigInt(low));
}

function readVarintField(reader: WireReader, name: string): void {
  reader.require(WireType.VARINT, name);
  reader.varint64();
}

/** Throws a WireError unless `bytes` is a row of complete top-level fields. */
export function requireWholeFields(bytes: Uint8Array): void {
  const reader = new WireReader(bytes);
  while (reader.next()) reader.skip();
}
