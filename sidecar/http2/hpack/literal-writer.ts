import { sliceBytes, writeBytes } from './bytes.js';
import type { HeaderField } from './field.js';
import { huffmanEncode, huffmanLength } from './huffman.js';
import { writeInteger } from './integer.js';
import type { Name } from './name.js';

/** First byte and, for the index that follows, prefix mask: RFC 7541 6.2.1–6.2.3. */
export const Representation = {
  withoutIndexing: 0x00,
  neverIndexed: 0x10,
  withIndexing: 0x40,
} as const;

/**
 * Writes `field` as a literal (RFC 7541 section 6.2), its name by `nameIndex` or, if that is 0, as a literal too; returns the
 * position after it. Strings are Huffman-coded when that is shorter; encoded bytes from a peer are passed on unchanged.
 */
export function fieldLiteral(
  field: HeaderField,
  representation: number,
  nameIndex: number,
  out: Buffer,
  at: number,
): number {
  const mask = representation === Representation.withIndexing ? 0x3f : 0x0f;
  let end = writeInteger(out, at, representation, mask, nameIndex);
  if (nameIndex === 0) {
    const literal = field.info.literal ?? nameLiteral(field.info);
    out.set(literal, end);
    end += literal.length;
  }
  const wire = field.wire;
  if (wire === null) return writeValue(field, out, end);
  end = writeInteger(out, end, field.wireIsHuffman ? 0x80 : 0, 0x7f, wire.length);
  return writeBytes(wire, out, end);
}

function nameLiteral(name: Name): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(name.text.length + 6);
  const end = writeText(name.text, bytes, 0);
  name.literal = new Uint8Array(bytes.subarray(0, end));
  return name.literal;
}

function writeValue(field: HeaderField, out: Buffer, at: number): number {
  const value = field.value;
  const end = writeText(value, out, at);
  // Kept from the second time on: constants are sent again, most generated fields are not.
  if (field.written) keepWire(field, huffmanLength(value), out, end);
  field.written = true;
  return end;
}

function keepWire(field: HeaderField, coded: number, out: Buffer, end: number): void {
  field.wireIsHuffman = coded < field.value.length;
  field.wire = field.wireIsHuffman ? sliceBytes(out, end - coded, end) : field.value;
}

function writeText(text: string, out: Buffer, at: number): number {
  const coded = huffmanLength(text);
  if (coded < text.length) return huffmanEncode(text, out, writeInteger(out, at, 0x80, 0x7f, coded));
  return writeBytes(text, out, writeInteger(out, at, 0, 0x7f, text.length));
}
