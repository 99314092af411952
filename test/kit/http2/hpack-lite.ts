/**
 * A small HPACK for tests: literals out (no Huffman, no indexing), everything in. Plain, slow and independent of the
 * product's codec, which is held against it.
 *
 * The encoder never touches the dynamic table, so one block is valid on any connection at any time; the decoder
 * follows RFC 7541 in full and strictly, because the peer may use all of it.
 */

export type Field = readonly [name: string, value: string];

/** The static table, RFC 7541 appendix A: its first field has index 1. */
export const STATIC: readonly Field[] = (
  ':authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|:status=200|:status=204|' +
  ':status=206|:status=304|:status=400|:status=404|:status=500|accept-charset|accept-encoding=gzip, deflate|' +
  'accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|' +
  'cache-control|content-disposition|content-encoding|content-language|content-length|content-location|content-range|' +
  'content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|' +
  'if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|' +
  'refresh|retry-after|server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate'
)
  .split('|')
  .map((entry) => [entry.split('=')[0] as string, entry.split('=')[1] ?? '']);

/** Code length in bits of each byte, RFC 7541 appendix B. The code is canonical, so the lengths determine it. */
const LENGTHS = [
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
].flat();
const LONGEST = 30;

/** Byte by code; the key is the code with its length in bits above it. EOS, the last of the longest codes, is not among them. */
export const CODES = canonicalCodes();

function canonicalCodes(): Map<number, number> {
  const codes = new Map<number, number>();
  let code = 0;
  for (let length = 1; length <= LONGEST; length++) {
    code *= 2;
    for (const [byte, each] of LENGTHS.entries())
      if (each === length) codes.set(length * 2 ** 32 + code++, byte);
  }
  return codes;
}

function decodeHuffman(bytes: Uint8Array): string {
  const out: number[] = [];
  let code = 0;
  let size = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit -= 1) {
      code = code * 2 + ((byte >> bit) & 1);
      size += 1;
      const symbol = CODES.get(size * 2 ** 32 + code);
      if (symbol !== undefined) {
        out.push(symbol);
        code = 0;
        size = 0;
      } else if (size === LONGEST) throw new Error('HPACK: EOS in a string');
    }
  }
  if (size > 7 || code !== 2 ** size - 1) throw new Error('HPACK: bad padding');
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

/** A dynamic table, RFC 7541 sections 2.3.2 and 4: newest entry first. */
export class HpackTable {
  readonly entries: Field[] = [];

  /** `limit`: its size in bytes. */
  constructor(private limit = 4096) {}

  get bytes(): number {
    return this.entries.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  }

  add(field: Field): void {
    this.entries.unshift(field);
    this.resize(this.limit);
  }

  resize(limit: number): void {
    this.limit = limit;
    while (this.bytes > limit) this.entries.pop();
  }

  /** Index of the first field, static ones first, that `isWanted` accepts; 0: there is none. */
  indexOf(isWanted: (field: Field) => boolean): number {
    return [...STATIC, ...this.entries].findIndex(isWanted) + 1;
  }

  at(index: number): Field {
    const field = index <= STATIC.length ? STATIC[index - 1] : this.entries[index - STATIC.length - 1];
    if (field === undefined) throw new Error(`HPACK index ${index} names nothing`);
    return field;
  }
}

/** Decodes header blocks of one connection in order; keeps the dynamic table. Throws on what RFC 7541 forbids. */
export class HpackDecoder {
  readonly table = new HpackTable();
  /** Of the block decoded last: table sizes announced in it, and its never-indexed fields. */
  updates: number[] = [];
  secrets: Field[] = [];
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  /** `maxTableBytes`: what this side allows the other's table to take. */
  constructor(public maxTableBytes = 4096) {}

  decode(block: Buffer): Field[] {
    this.#bytes = block;
    this.#at = 0;
    this.updates = [];
    this.secrets = [];
    const fields: Field[] = [];
    while (this.#at < block.length) {
      const first = block[this.#at] as number;
      if (first & 0x80) {
        fields.push(this.table.at(this.#integer(7)));
      } else if ((first & 0xe0) === 0x20) {
        this.#resize(fields.length === 0);
      } else {
        const keep = (first & 0x40) !== 0;
        const index = this.#integer(keep ? 6 : 4);
        const name = index === 0 ? this.#string() : this.table.at(index)[0];
        const field: Field = [name, this.#string()];
        fields.push(field);
        if (keep) this.table.add(field);
        else if (first & 0x10) this.secrets.push(field);
      }
    }
    return fields;
  }

  #resize(isFirst: boolean): void {
    const size = this.#integer(5);
    if (!isFirst || this.updates.push(size) > 2 || size > this.maxTableBytes)
      throw new Error(`HPACK: table size update to ${size}`);
    this.table.resize(size);
  }

  #integer(prefixBits: number): number {
    const max = 2 ** prefixBits - 1;
    let value = this.#next() & max;
    if (value < max) return value;
    for (let place = 1; place <= 128 ** 3; place *= 128) {
      const byte = this.#next();
      value += (byte % 128) * place;
      if (byte < 128) return value;
    }
    throw new Error('HPACK integer too long');
  }

  #string(): string {
    const huffman = ((this.#bytes[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    if (this.#at + length > this.#bytes.length) throw new Error('HPACK string cut short');
    const raw = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return huffman ? decodeHuffman(raw) : raw.toString('latin1');
  }

  #next(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new Error('HPACK integer cut short');
    return byte;
  }
}
