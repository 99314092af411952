// Integers with a prefix (RFC 7541 5.1). Values above 2^28 + 254 and encodings of more than five octets are errors:
// nothing this relay accepts is that long, and a bound keeps all arithmetic in small integers.

import { HpackError } from './errors.js';

/** Where a decoder stands in a block; readers move it. */
export class Cursor {
  at = 0;
}

const MOST_SHIFT = 21;

/**
 * Reads the integer whose prefix is the bits of `mask` in the octet at the cursor; moves the cursor past it.
 * Throws HpackError when it does not end before `end` or is too long.
 */
export function readInteger(buffer: Uint8Array, cursor: Cursor, end: number, mask: number): number {
  let at = cursor.at;
  if (at >= end) throw new HpackError('truncated integer');
  let value = buffer[at++]! & mask;
  if (value === mask) {
    for (let shift = 0; ; shift += 7) {
      if (at >= end) throw new HpackError('truncated integer');
      const octet = buffer[at++]!;
      value += (octet & 0x7f) << shift;
      if (octet < 0x80) break;
      if (shift === MOST_SHIFT) throw new HpackError('integer too long');
    }
  }
  cursor.at = at;
  return value;
}

/** Writes `value` with the prefix bits of `mask`, the bits above them from `first`; returns the position after it. */
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
