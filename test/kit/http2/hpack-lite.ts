/**
 * A small HPACK for tests: literals out (no Huffman, no indexing), everything in.
 *
 * Independent of the product's codec. The encoder never touches the dynamic table, so one block is valid on any
 * connection at any time; the decoder follows RFC 7541 in full, because the peer may use all of it.
 */

export type Field = readonly [name: string, value: string];

const STATIC_NAMES =
  ':authority|:method|:method|:path|:path|:scheme|:scheme|:status|:status|:status|:status|:status|:status|:status|' +
  'accept-charset|accept-encoding|accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|' +
  'cache-control|content-disposition|content-encoding|content-language|content-length|content-location|content-range|' +
  'content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|' +
  'if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|' +
  'refresh|retry-after|server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate';
const STATIC_VALUES: Readonly<Record<number, string>> = {
  2: 'GET',
  3: 'POST',
  4: '/',
  5: '/index.html',
  6: 'http',
  7: 'https',
  8: '200',
  9: '204',
  10: '206',
  11: '304',
  12: '400',
  13: '404',
  14: '500',
  16: 'gzip, deflate',
};
const STATIC: readonly Field[] = STATIC_NAMES.split('|').map((name, i) => [name, STATIC_VALUES[i + 1] ?? '']);

/** Code length in bits of each symbol, RFC 7541 appendix B. The code is canonical, so the lengths determine it. */
const LENGTHS = huffmanLengths();

function huffmanLengths(): number[] {
  const rows = [
    [13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28],
    [28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
    [6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6],
    [5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
    [13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
    [7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
    [15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5],
    [6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
    [20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23],
    [24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
    [22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23],
    [21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
    [26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
    [19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
    [20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23],
    [26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
    [30],
  ];
  return rows.flat();
}

/** Symbol by code; the key is the code with its length in bits above it. */
const CODES = canonicalCodes();

function canonicalCodes(): Map<number, number> {
  const bySize = [...LENGTHS.keys()].sort((a, b) => (LENGTHS[a] as number) - (LENGTHS[b] as number) || a - b);
  const codes = new Map<number, number>();
  let code = 0;
  let size = LENGTHS[bySize[0] as number] as number;
  for (const symbol of bySize) {
    const length = LENGTHS[symbol] as number;
    code *= 2 ** (length - size);
    size = length;
    codes.set(length * 2 ** 32 + code, symbol);
    code += 1;
  }
  return codes;
}

function decodeHuffman(bytes: Buffer): string {
  const out: number[] = [];
  let code = 0;
  let size = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit -= 1) {
      code = code * 2 + ((byte >> bit) & 1);
      size += 1;
      const symbol = CODES.get(size * 2 ** 32 + code);
      if (symbol === undefined) continue;
      out.push(symbol);
      code = 0;
      size = 0;
    }
  }
  return Buffer.from(out).toString('latin1');
}

/** An integer with an N-bit prefix, RFC 7541 section 5.1; `pattern` fills the bits above the prefix. */
export function integer(value: number, prefixBits: number, pattern = 0): Buffer {
  const max = 2 ** prefixBits - 1;
  if (value < max) return Buffer.from([pattern | value]);
  const out = [pattern | max];
  let rest = value - max;
  while (rest >= 128) {
    out.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
  return Buffer.from(out);
}

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value, 'latin1');
  return Buffer.concat([integer(bytes.length, 7), bytes]);
};

/** A literal without indexing (0x00), never indexed (0x10) or with incremental indexing (0x40). */
export function literal(name: string, value: string, pattern: 0x00 | 0x10 | 0x40 = 0x00): Buffer {
  return Buffer.concat([Buffer.from([pattern]), text(name), text(value)]);
}

/** An indexed field: 1–61 static, 62 and up dynamic. */
export const indexed = (index: number): Buffer => integer(index, 7, 0x80);

export const tableSizeUpdate = (size: number): Buffer => integer(size, 5, 0x20);

/** A header block of plain literals. */
export function encode(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => literal(name, value)));
}

/** Decodes header blocks of one connection in order; keeps the dynamic table. Throws on what RFC 7541 forbids. */
export class HpackDecoder {
  readonly #table: Field[] = [];
  #size = 0;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(private maxSize = 4096) {}

  decode(block: Buffer): Field[] {
    this.#bytes = block;
    this.#at = 0;
    const fields: Field[] = [];
    while (this.#at < block.length) {
      const first = block[this.#at] as number;
      if (first & 0x80) {
        fields.push(this.#entry(this.#integer(7)));
      } else if ((first & 0xe0) === 0x20) {
        this.maxSize = this.#integer(5);
        this.#evict();
      } else {
        const keep = (first & 0x40) !== 0;
        const index = this.#integer(keep ? 6 : 4);
        const name = index === 0 ? this.#string() : this.#entry(index)[0];
        const field: Field = [name, this.#string()];
        fields.push(field);
        if (keep) this.#add(field);
      }
    }
    return fields;
  }

  #integer(prefixBits: number): number {
    const max = 2 ** prefixBits - 1;
    let value = (this.#bytes[this.#at++] as number) & max;
    if (value < max) return value;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new Error('HPACK integer cut short');
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  }

  #string(): string {
    const huffman = ((this.#bytes[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    if (this.#at + length > this.#bytes.length) throw new Error('HPACK string cut short');
    const raw = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return huffman ? decodeHuffman(raw) : raw.toString('latin1');
  }

  #entry(index: number): Field {
    const field = index <= STATIC.length ? STATIC[index - 1] : this.#table[index - STATIC.length - 1];
    if (field === undefined) throw new Error(`HPACK index ${index} names nothing`);
    return field;
  }

  #add(field: Field): void {
    this.#table.unshift(field);
    this.#size += field[0].length + field[1].length + 32;
    this.#evict();
  }

  #evict(): void {
    while (this.#size > this.maxSize) {
      const [name, value] = this.#table.pop() as Field;
      this.#size -= name.length + value.length + 32;
    }
  }
}
