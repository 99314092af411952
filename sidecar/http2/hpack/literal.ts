import { sliceBytes } from './bytes.js';
import { HpackError } from './errors.js';
import { FieldError, HeaderField, isBlank, isUnsafe, MAX_CACHED_VALUE_BYTES, textFault } from './field.js';
import { fieldCache, nameCache } from './field-cache.js';
import { huffmanBytes, huffmanDecode } from './huffman.js';
import { type Cursor, readInteger } from './integer.js';
import { MAX_CACHED_NAME_BYTES, type Name, nameOf, Volatility } from './name.js';
import { STATIC_FIELDS, staticIndexOf } from './static-table.js';
import { Token } from './tokens.js';

/** Varying values up to this length, such as timeouts, are decoded at once, bytes. */
const READ_AT_ONCE = 8;

/** Reads a literal name (RFC 7541 section 5.2) at the cursor. Throws HpackError if it is truncated or badly coded. */
export function readName(buffer: Buffer, cursor: Cursor, end: number): Name {
  const huffman = isHuffman(buffer, cursor, end);
  const length = readInteger(buffer, cursor, end, 0x7f);
  const start = cursor.at;
  if (length > end - start) throw new HpackError('truncated name');
  cursor.at = start + length;
  if (length > MAX_CACHED_NAME_BYTES) return nameOf(decodeText(buffer, start, start + length, huffman));
  const context = huffman ? 1 : 0;
  const known = nameCache.find(context, buffer, start, start + length);
  if (known !== null) return known;
  const name = nameOf(decodeText(buffer, start, start + length, huffman));
  nameCache.add(context, buffer, start, start + length, name);
  return name;
}

/** Reads a literal value: from the cache where bytes are likely to repeat, else checked and kept encoded. Throws HpackError. */
export function readValue(
  buffer: Buffer,
  cursor: Cursor,
  end: number,
  name: Name,
  neverIndexed: boolean,
): HeaderField {
  const huffman = isHuffman(buffer, cursor, end);
  const length = readInteger(buffer, cursor, end, 0x7f);
  const start = cursor.at;
  if (length > end - start) throw new HpackError('truncated value');
  cursor.at = start + length;
  const varies = name.volatility === Volatility.varying && length > 0;
  if (neverIndexed || varies || length > MAX_CACHED_VALUE_BYTES)
    return varyingField(buffer, start, start + length, name, huffman, neverIndexed);
  const context = name.id * 2 + (huffman ? 1 : 0);
  const known = fieldCache.find(context, buffer, start, start + length);
  if (known !== null) return known;
  const field = steadyField(name, decodeText(buffer, start, start + length, huffman));
  fieldCache.add(context, buffer, start, start + length, field);
  return field;
}

function isHuffman(buffer: Buffer, cursor: Cursor, end: number): boolean {
  return cursor.at < end && buffer[cursor.at]! >= 0x80;
}

function decodeText(buffer: Buffer, start: number, end: number, huffman: boolean): string {
  if (!huffman) return sliceBytes(buffer, start, end);
  return sliceBytes(huffmanBytes(), 0, decodeBytes(buffer, start, end) >> 1);
}

function decodeBytes(buffer: Buffer, start: number, end: number): number {
  const decoded = huffmanDecode(buffer, start, end);
  if (decoded < 0) throw new HpackError('invalid Huffman code');
  return decoded;
}

function steadyField(name: Name, value: string): HeaderField {
  const index = name.staticIndex === 0 ? 0 : staticIndexOf(name.text, value);
  if (index > 0) return STATIC_FIELDS[index]!;
  return new HeaderField(name, value, value.length, textFault(name, value), false, null, false);
}

function varyingField(
  buffer: Buffer,
  start: number,
  end: number,
  name: Name,
  huffman: boolean,
  neverIndexed: boolean,
): HeaderField {
  if (name.token === Token.te) {
    const value = decodeText(buffer, start, end, huffman);
    return new HeaderField(name, value, value.length, textFault(name, value), neverIndexed, null, false);
  }
  if (!huffman) {
    const fault = bytesFault(buffer, start, end, holdsUnsafe(buffer, start, end));
    const text = sliceBytes(buffer, start, end);
    return new HeaderField(name, text, text.length, fault, neverIndexed, text, false);
  }
  const decoded = decodeBytes(buffer, start, end);
  const length = decoded >> 1;
  const bytes = huffmanBytes();
  const fault = bytesFault(bytes, 0, length, (decoded & 1) !== 0);
  // Short ones are numbers that are read anyway. An encoding longer than the value is not passed on.
  if (length <= READ_AT_ONCE || end - start > length)
    return new HeaderField(name, sliceBytes(bytes, 0, length), length, fault, neverIndexed, null, false);
  return new HeaderField(name, null, length, fault, neverIndexed, sliceBytes(buffer, start, end), true);
}

function holdsUnsafe(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte <= 13 && isUnsafe(byte)) return true;
  }
  return false;
}

function bytesFault(bytes: Uint8Array, start: number, end: number, unsafe: boolean): number {
  if (unsafe) return FieldError.value;
  if (start === end) return FieldError.ok;
  return isBlank(bytes[start]!) || isBlank(bytes[end - 1]!) ? FieldError.whitespace : FieldError.ok;
}
