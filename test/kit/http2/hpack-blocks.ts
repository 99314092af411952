// Shared by the HPACK tests: bytes in and out, and the usual decoder.

import { Decoder, type DecoderOptions } from '../../../sidecar/http2/hpack/decoder.js';
import type { HeaderField } from '../../../sidecar/http2/hpack/field.js';
import type { HeaderBlock } from '../../../sidecar/http2/hpack/header-list.js';
import { huffmanEncode, huffmanLength } from '../../../sidecar/http2/hpack/huffman.js';
import { type Field, integer } from './hpack-lite.js';

export type { Field as Pair } from './hpack-lite.js';

export function hex(text: string): Buffer {
  return Buffer.from(text.replace(/\s+/g, ''), 'hex');
}

export function newDecoder(options: Partial<DecoderOptions> = {}): Decoder {
  return new Decoder({ maxTableBytes: 4096, maxListBytes: 65_536, maxFields: 1000, ...options });
}

/** Decodes one block, which may be given in parts. */
export function decode(decoder: Decoder, ...parts: readonly Uint8Array[]): HeaderBlock {
  const buffer = Buffer.concat(parts);
  return decoder.decode(buffer, 0, buffer.length);
}

export function pair(field: HeaderField): Field {
  return [field.name, field.value];
}

/** Every field of a block: the stable ones first. */
export function fieldsOf(block: HeaderBlock): HeaderField[] {
  return [...block.stable.toFields(), ...block.extras];
}

export function pairsOf(block: HeaderBlock): Field[] {
  return fieldsOf(block).map(pair);
}

/** By name, then by value. */
export function sorted(pairs: readonly Field[]): Field[] {
  return [...pairs].sort();
}

interface Literal {
  /** 0x00 (without indexing, the default), 0x10 (never indexed) or 0x40 (with indexing). */
  readonly first?: number;
  /** A number: the index of the name. */
  readonly name: string | number;
  readonly value: string;
  readonly huffman?: boolean;
}

/** A literal representation. */
export function literal({ first = 0x00, name, value, huffman = false }: Literal): Buffer {
  const named =
    typeof name === 'number'
      ? integer(name, first === 0x40 ? 6 : 4, first)
      : Buffer.concat([Buffer.from([first]), text(name, huffman)]);
  return Buffer.concat([named, text(value, huffman)]);
}

export function text(value: string, huffman: boolean): Buffer {
  if (!huffman) return Buffer.concat([integer(value.length, 7), Buffer.from(value, 'latin1')]);
  const bytes = Buffer.alloc(value.length * 4);
  const end = huffmanEncode(value, bytes, 0);
  return Buffer.concat([integer(huffmanLength(value), 7, 0x80), bytes.subarray(0, end)]);
}
