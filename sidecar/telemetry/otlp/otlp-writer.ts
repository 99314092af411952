import { varintLength, writeVarint } from './varint.js';

/** KeyValue.key and value, AnyValue.string_value, as tags: number × 8 + wire type. */
const KEY = 0x0a;
const VALUE = 0x12;
const STRING = 0x0a;

const FIRST_ROOM = 4 * 1024;
const WORD = 0x1_0000_0000;
/** Of a tag (two bytes at most here) and a length. */
const HEAD_BYTES = 12;
/** Of a UTF-16 code unit in UTF-8. */
const UNIT_BYTES = 3;

/**
 * Protobuf messages within messages, for what is written once in a while. A message gets one byte for its length, and is
 * moved if it needs more. Text becomes valid UTF-8, whatever it holds: a decoder refuses a whole request for one string.
 */
export class OtlpWriter {
  private bytes = Buffer.allocUnsafe(FIRST_ROOM);
  private at = 0;

  /** Bytes written since the last `take`. */
  get length(): number {
    return this.at;
  }

  /** A message begins. @returns what `close` needs. */
  open(tag: number): number {
    this.reserve(HEAD_BYTES);
    this.tag(tag);
    return ++this.at;
  }

  /** The message ends. */
  close(from: number): void {
    const length = this.at - from;
    const lengthBytes = varintLength(length);
    this.reserve(lengthBytes);
    this.bytes.copyWithin(from - 1 + lengthBytes, from, this.at);
    this.at += lengthBytes - 1;
    writeVarint(this.bytes, from - 1, length);
  }

  text(tag: number, value: string): void {
    const from = this.open(tag);
    this.reserve(UNIT_BYTES * value.length);
    this.at += this.bytes.write(value, this.at, 'utf8');
    this.close(from);
  }

  /** A KeyValue whose value is a text. */
  attribute(tag: number, name: string, value: string): void {
    const from = this.open(tag);
    this.text(KEY, name);
    const inner = this.open(VALUE);
    this.text(STRING, value);
    this.close(inner);
    this.close(from);
  }

  /** A whole number from 0 on. */
  varint(tag: number, value: number): void {
    this.reserve(HEAD_BYTES);
    this.tag(tag);
    this.at = writeVarint(this.bytes, this.at, value);
  }

  double(tag: number, value: number): void {
    this.reserve(HEAD_BYTES);
    this.tag(tag);
    this.at = this.bytes.writeDoubleLE(value, this.at);
  }

  /** A fixed64 that is a whole number of at most 53 bits. */
  fixed(tag: number, value: number): void {
    this.reserve(HEAD_BYTES);
    this.tag(tag);
    this.whole(value);
  }

  /** A fixed64 of nanoseconds. @param ms since 1970; microseconds of it count. */
  nanoseconds(tag: number, ms: number): void {
    this.reserve(HEAD_BYTES);
    this.tag(tag);
    const us = Math.round(ms * 1_000);
    const low = (us % WORD) * 1_000;
    this.words(low % WORD, Math.floor(us / WORD) * 1_000 + Math.floor(low / WORD));
  }

  /** Packed fixed64, whole numbers. */
  fixeds(tag: number, values: readonly number[]): void {
    const from = this.open(tag);
    this.reserve(8 * values.length);
    for (const value of values) this.whole(value);
    this.close(from);
  }

  /** Packed doubles. */
  doubles(tag: number, values: readonly number[]): void {
    const from = this.open(tag);
    this.reserve(8 * values.length);
    for (const value of values) this.at = this.bytes.writeDoubleLE(value, this.at);
    this.close(from);
  }

  /** What has been written; the writer is empty after that. */
  take(): Buffer {
    const taken = Buffer.from(this.bytes.subarray(0, this.at));
    this.at = 0;
    return taken;
  }

  private whole(value: number): void {
    this.words(value % WORD, Math.floor(value / WORD));
  }

  private words(low: number, high: number): void {
    this.at = this.bytes.writeUInt32LE(low, this.at);
    this.at = this.bytes.writeUInt32LE(high, this.at);
  }

  private tag(tag: number): void {
    this.at = writeVarint(this.bytes, this.at, tag);
  }

  private reserve(more: number): void {
    const least = this.at + more;
    if (least <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(least, 2 * this.bytes.length));
    this.bytes.copy(larger, 0, 0, this.at);
    this.bytes = larger;
  }
}
