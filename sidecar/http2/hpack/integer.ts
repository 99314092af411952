import { HpackError } from './errors.js';

/** Position of a decoder in a block; readers move it. */
export class Cursor {
  at = 0;
}

const MOST_SHIFT = 21;

/**
 * Reads an integer (RFC 7541 section 5.1) whose prefix is the bits of `mask` in the byte at the cursor, and moves the cursor
 * past it. Throws HpackError when it does not end before `end`, and above 2^28 + 254 or five bytes: nothing accepted here is
 * that long, and the bound keeps the arithmetic in small integers.
 */
export function readInteger(buffer: Uint8Array, cursor: Cursor, end: number, mask: number): number {
  let at = cursor.at;
  if (at >= end) throw new HpackError('truncated integer');
  let value = buffer[at++]! & mask;
  if (value === mask) {
    for (let shift = 0; ; shift += 7) {
      if (at >= end) throw new HpackError('truncated integer');
      const byte = buffer[at++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) break;
      if (shift === MOST_SHIFT) throw new HpackError('integer too long');
    }
  }
  cursor.at = at;
  return value;
}

/** Writes an integer with the prefix bits of `mask`, and the bits above them from `first`; returns the position after it. */
export function writeInteger(
  out: Uint8Array,
  at: number,
  first: number,
  mask: number,
  value: number,
): number {
  if (value < mask) {
    out[at] = first | value;
    return at + 1;
  }
  out[at++] = first | mask;
  let rest = value - mask;
  while (rest >= 0x80) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}
