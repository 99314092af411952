import { Wire } from '../field-cursor.js';

const NOTHING = Buffer.alloc(0);
/** 64 bits, 7 in each byte. */
const MAX_VARINT_BYTES = 10;

/**
 * Reads the fields of messages in a buffer, for many messages one after the other: no object is made for a message. `FieldCursor` reads one that
 * lies in pieces.
 */
export class FieldScanner {
  /** The field that was read last: its tag in parts, its number if it is a varint, and its content. */
  protected number = 0;
  protected wire = 0;
  protected value = 0;
  protected start = 0;
  protected end = 0;
  protected buffer: Buffer = NOTHING;
  private at = 0;

  /** Keeps no buffer. */
  protected leave(): void {
    this.buffer = NOTHING;
  }

  /** Reads the field at `at`, which ends by `limit`. Of a varint its content is the varint. */
  protected readField(at: number, limit: number): boolean {
    this.at = at;
    if (!this.readVarint(limit) || this.value >= 2 ** 32) return false;
    this.number = this.value >>> 3;
    this.wire = this.value & 7;
    if (this.number === 0) return false;
    this.start = this.at;
    let bytes = 0;
    if (this.wire === Wire.fixed64) bytes = 8;
    else if (this.wire === Wire.fixed32) bytes = 4;
    else if (this.wire === Wire.varint || this.wire === Wire.bytes) {
      if (!this.readVarint(limit)) return false;
      if (this.wire === Wire.bytes) {
        bytes = this.value;
        this.start = this.at;
      }
    } else return false;
    this.end = this.at + bytes;
    return this.end <= limit;
  }

  /** Beyond 2^53 not exact. */
  private readVarint(limit: number): boolean {
    const { buffer } = this;
    let value = 0;
    let unit = 1;
    for (let i = 0; i < MAX_VARINT_BYTES; i++, unit *= 128) {
      if (this.at >= limit) return false;
      const byte = buffer[this.at++]!;
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) {
        this.value = value;
        return true;
      }
    }
    return false;
  }
}
