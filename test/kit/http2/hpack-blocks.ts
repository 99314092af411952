// Shared by the HPACK tests: octets in and out, and the usual decoder.

import { Decoder, type DecoderOptions } from '../../../sidecar/http2/hpack/decoder.js';
import type { HeaderField } from '../../../sidecar/http2/hpack/field.js';
import { type HeaderBlock, StableList } from '../../../sidecar/http2/hpack/header-list.js';
import { huffmanEncode, huffmanLength } from '../../../sidecar/http2/hpack/huffman.js';
import { writeInteger } from '../../../sidecar/http2/hpack/integer.js';

export type Pair = readonly [name: string, value: string];

export function hex(text: string): Buffer {
  return Buffer.from(text.replace(/\s+/g, ''), 'hex');
}

export function newDecoder(options: Partial<DecoderOptions> = {}): Decoder {
  return new Decoder({ maxTableBytes: 4096, maxListBytes: 65_536, maxFields: 1000, ...options });
}

export function decode(decoder: Decoder, block: Uint8Array): HeaderBlock {
  const buffer = Buffer.from(block);
  return decoder.decode(buffer, 0, buffer.length);
}

export function pair(field: HeaderField): Pair {
  return [field.name, field.value];
}

/** Every field of a block: the stable ones first. */
export function fieldsOf(block: HeaderBlock): HeaderField[] {
  return [...block.stable.toFields(), ...block.extras];
}

export function pairsOf(block: HeaderBlock): Pair[] {
  return fieldsOf(block).map(pair);
}

export function sorted(pairs: readonly Pair[]): Pair[] {
  return [...pairs].sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0));
}

export function listOf(fields: readonly HeaderField[]): StableList {
  return fields.reduce((list, field) => list.with(field), StableList.root());
}

/** A literal representation; `first` is 0x00, 0x10 or 0x40; the name is literal unless an index below the prefix is given. */
export function literal(options: {
  first: number;
  name: string | number;
  value: string;
  huffman?: boolean;
}): Buffer {
  const parts: Buffer[] = [];
  if (typeof options.name === 'number')
    parts.push(integer(options.first, options.first === 0x40 ? 0x3f : 0x0f, options.name));
  else parts.push(Buffer.from([options.first]), text(options.name, options.huffman === true));
  parts.push(text(options.value, options.huffman === true));
  return Buffer.concat(parts);
}

export function integer(first: number, mask: number, value: number): Buffer {
  const octets = Buffer.alloc(8);
  return octets.subarray(0, writeInteger(octets, 0, first, mask, value));
}

export function text(value: string, huffman: boolean): Buffer {
  if (!huffman) return Buffer.concat([integer(0, 0x7f, value.length), Buffer.from(value, 'latin1')]);
  const octets = Buffer.alloc(value.length * 4 + 8);
  const end = huffmanEncode(value, octets, writeInteger(octets, 0, 0x80, 0x7f, huffmanLength(value)));
  return octets.subarray(0, end);
}
