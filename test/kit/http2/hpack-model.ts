// A plain model of RFC 7541, written without a thought for speed and sharing nothing with the product but the static table's
// contents and the code lengths: the tests hold the real codec against it.

import { huffmanEncode, huffmanLength } from '../../../sidecar/http2/hpack/huffman.js';
import { STATIC_FIELDS } from '../../../sidecar/http2/hpack/static-table.js';

export interface ModelField {
  readonly name: string;
  readonly value: string;
  readonly neverIndexed: boolean;
}

export class ModelTable {
  entries: { name: string; value: string }[] = [];
  limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  get bytes(): number {
    return this.entries.reduce((sum, entry) => sum + entry.name.length + entry.value.length + 32, 0);
  }

  add(name: string, value: string): void {
    this.entries.unshift({ name, value });
    this.evict();
  }

  evict(): void {
    while (this.entries.length > 0 && this.bytes > this.limit) this.entries.pop();
  }

  at(index: number): { name: string; value: string } {
    const entry = index <= 61 ? STATIC_FIELDS[index] : this.entries[index - 62];
    if (index === 0 || entry === undefined) throw new Error(`model: no index ${index}`);
    return { name: entry.name, value: entry.value };
  }
}

/** Code of each symbol as a string of bits, taken from what the encoder writes for it alone. */
const CODES = new Map<string, number>(
  Array.from({ length: 256 }, (_, symbol) => {
    const out = Buffer.alloc(4);
    const end = huffmanEncode(String.fromCharCode(symbol), out, 0);
    const bits = [...out.subarray(0, end)].map((octet) => octet.toString(2).padStart(8, '0')).join('');
    let length = bits.length - 7;
    while (huffmanLength(String.fromCharCode(symbol).repeat(8)) !== length) length++;
    return [bits.slice(0, length), symbol];
  }),
);

function modelHuffman(octets: Uint8Array): string {
  const bits = [...octets].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  let value = '';
  let code = '';
  for (const bit of bits) {
    code += bit;
    const symbol = CODES.get(code);
    if (symbol === undefined) continue;
    value += String.fromCharCode(symbol);
    code = '';
  }
  if (code.length > 7 || code.includes('0')) throw new Error('model: bad padding');
  return value;
}

export class ModelDecoder {
  readonly table: ModelTable;
  maxTableBytes: number;
  /** Sizes told by the block decoded last. */
  updates: number[] = [];
  #octets: Uint8Array = new Uint8Array();
  #at = 0;

  constructor(maxTableBytes: number) {
    this.table = new ModelTable(maxTableBytes);
    this.maxTableBytes = maxTableBytes;
  }

  decode(octets: Uint8Array): ModelField[] {
    this.#octets = octets;
    this.#at = 0;
    this.updates = [];
    const fields: ModelField[] = [];
    while (this.#at < octets.length) {
      const field = this.#representation(fields.length === 0);
      if (field !== null) fields.push(field);
    }
    return fields;
  }

  #representation(first: boolean): ModelField | null {
    const octet = this.#peek();
    if ((octet & 0x80) !== 0) return { ...this.table.at(this.#integer(7)), neverIndexed: false };
    if ((octet & 0x40) !== 0) {
      const field = this.#literal(6);
      this.table.add(field.name, field.value);
      return { ...field, neverIndexed: false };
    }
    if ((octet & 0x20) !== 0) {
      const size = this.#integer(5);
      if (!first || this.updates.length === 2 || size > this.maxTableBytes)
        throw new Error('model: bad size update');
      this.updates.push(size);
      this.table.limit = size;
      this.table.evict();
      return null;
    }
    return { ...this.#literal(4), neverIndexed: (octet & 0x10) !== 0 };
  }

  #literal(prefix: number): { name: string; value: string } {
    const index = this.#integer(prefix);
    const name = index === 0 ? this.#string() : this.table.at(index).name;
    return { name, value: this.#string() };
  }

  #string(): string {
    const huffman = (this.#peek() & 0x80) !== 0;
    const length = this.#integer(7);
    const octets = this.#octets.subarray(this.#at, this.#at + length);
    if (octets.length !== length) throw new Error('model: truncated');
    this.#at += length;
    return huffman ? modelHuffman(octets) : Buffer.from(octets).toString('latin1');
  }

  #integer(prefix: number): number {
    const most = 2 ** prefix - 1;
    let value = this.#next() & most;
    if (value < most) return value;
    for (let place = 1; ; place *= 128) {
      const octet = this.#next();
      value += (octet % 128) * place;
      if (octet < 128) return value;
      if (place >= 128 ** 3) throw new Error('model: integer too long');
    }
  }

  #peek(): number {
    const octet = this.#octets[this.#at];
    if (octet === undefined) throw new Error('model: truncated');
    return octet;
  }

  #next(): number {
    const octet = this.#peek();
    this.#at++;
    return octet;
  }
}
