/**
 * HPACK for the requests of one connection, the way grpc-js and grpc-go send them: fields that repeat are put into
 * the dynamic table and then named by index, the path is a literal, and values that differ on every call push the
 * older entries out. So a proxy sees real traffic, not a constant block.
 */

import { HuffmanWriter } from './huffman.js';

const TABLE_BYTES = 4096;
const STATIC_ENTRIES = 61;
/** Lengths of the two varying values, decoded: `9123456u` and `00-<32 digits>-<16 digits>-01`. */
const TIMEOUT_LENGTH = 9;
const TRACE_LENGTH = 55;

interface Field {
  readonly name: Buffer;
  readonly value: Buffer;
  /** Index of the name in the static table, 0 when it is not there. */
  readonly nameIndex: number;
  /** Number of the insertion that put the field (of varying ones, the last such field) into the table; -1 = never. */
  inserted: number;
}

function field(name: string, value: string, nameIndex: number): Field {
  return { name: Buffer.from(name, 'latin1'), value: Buffer.from(value, 'latin1'), nameIndex, inserted: -1 };
}

/** What the requests of a connection have in common. */
export interface EncoderOptions {
  readonly port: number;
  readonly seed: number;
  /** Further fields of every request; some 200 bytes of them at most. */
  readonly metadata?: readonly (readonly [string, string])[];
}

/** The random number that follows `x` (xorshift32). */
export function xorshift(x: number): number {
  let next = x ^ (x << 13);
  next ^= next >>> 17;
  return next ^ (next << 5);
}

/** Encodes the header block of each request of one connection (RFC 7541). */
export class RequestEncoder {
  private readonly constant: Field[];
  private readonly timeout = field('grpc-timeout', '', 0);
  private readonly trace = field('traceparent', '', 0);
  private readonly path: Buffer;
  /** Sizes of the entries in the table, a ring by number of insertion. */
  private readonly sizes = new Uint16Array(128);
  private count = 0;
  private insertions = 0;
  private tableBytes = 0;
  private calls = 0;
  private random: number;
  private readonly huffman = new HuffmanWriter();
  private out: Buffer = Buffer.alloc(0);
  private at = 0;

  constructor(path: string, { port, seed, metadata: more = [] }: EncoderOptions) {
    this.constant = [
      field(':authority', `127.0.0.1:${port}`, 1),
      field('te', 'trailers', 0),
      field('content-type', 'application/grpc', 31),
      field('user-agent', 'grpc-node-js/1.14.7', 58),
      field('grpc-accept-encoding', 'identity,deflate,gzip', 0),
      ...more.map(([name, value]) => field(name, value, 0)),
    ];
    this.path = Buffer.from(path, 'latin1');
    this.random = seed | 1;
  }

  /** Writes one header block at `at` and returns where it ends. At most 512 bytes. */
  encode(out: Buffer, at: number, varying: boolean): number {
    this.out = out;
    this.at = at;
    out[this.at++] = 0x83; // :method POST
    out[this.at++] = 0x86; // :scheme http
    out[this.at++] = 0x04; // :path, literal without indexing
    this.string(this.path);
    for (const f of this.constant) this.repeated(f);
    if (varying) {
      this.writeTimeout();
      this.writeTrace();
    }
    return this.at;
  }

  private repeated(f: Field): void {
    if (this.isThere(f)) {
      this.integer(0x80, 0x7f, this.indexOf(f));
      return;
    }
    this.literalName(f);
    this.string(f.value);
    this.insert(f, f.value.length);
  }

  /** Between 9 and 10 s, in microseconds; repeats after a million calls. */
  private writeTimeout(): void {
    const n = this.calls++ % 1_000_000;
    this.literalName(this.timeout);
    const start = this.at++;
    this.huffman.begin(this.out, this.at);
    this.huffman.pair(0x09);
    this.pairOfDecimals(Math.floor(n / 10_000));
    this.pairOfDecimals(Math.floor(n / 100) % 100);
    this.pairOfDecimals(n % 100);
    this.huffman.micros();
    this.endHuffman(start);
    this.insert(this.timeout, TIMEOUT_LENGTH);
  }

  private writeTrace(): void {
    this.literalName(this.trace);
    const start = this.at++;
    this.huffman.begin(this.out, this.at);
    this.huffman.pair(0x00);
    this.huffman.dash();
    for (let i = 0; i < 4; i++) this.fourBytes();
    this.huffman.dash();
    for (let i = 0; i < 2; i++) this.fourBytes();
    this.huffman.dash();
    this.huffman.pair(0x01);
    this.endHuffman(start);
    this.insert(this.trace, TRACE_LENGTH);
  }

  private pairOfDecimals(n: number): void {
    const tens = Math.floor(n / 10);
    this.huffman.pair((tens << 4) | (n - tens * 10));
  }

  /** Eight random hexadecimal digits. */
  private fourBytes(): void {
    const x = xorshift(this.random);
    this.random = x;
    this.huffman.pair(x >>> 24);
    this.huffman.pair((x >>> 16) & 0xff);
    this.huffman.pair((x >>> 8) & 0xff);
    this.huffman.pair(x & 0xff);
  }

  private endHuffman(lengthAt: number): void {
    this.at = this.huffman.end();
    this.out[lengthAt] = 0x80 | (this.at - lengthAt - 1);
  }

  /** Start of a literal with incremental indexing; the name by index when either table has it. */
  private literalName(f: Field): void {
    const index = this.isThere(f) ? this.indexOf(f) : f.nameIndex;
    this.integer(0x40, 0x3f, index);
    if (index === 0) this.string(f.name);
  }

  private insert(f: Field, valueLength: number): void {
    const size = f.name.length + valueLength + 32;
    while (this.tableBytes + size > TABLE_BYTES) {
      this.tableBytes -= this.sizes[(this.insertions - this.count) & 127]!;
      this.count--;
    }
    this.sizes[this.insertions & 127] = size;
    f.inserted = this.insertions++;
    this.count++;
    this.tableBytes += size;
  }

  private isThere(f: Field): boolean {
    return f.inserted >= 0 && this.insertions - f.inserted <= this.count;
  }

  private indexOf(f: Field): number {
    return STATIC_ENTRIES + this.insertions - f.inserted;
  }

  private integer(first: number, mask: number, value: number): void {
    if (value < mask) {
      this.out[this.at++] = first | value;
      return;
    }
    this.out[this.at++] = first | mask;
    let rest = value - mask;
    while (rest >= 128) {
      this.out[this.at++] = (rest & 0x7f) | 0x80;
      rest >>= 7;
    }
    this.out[this.at++] = rest;
  }

  private string(bytes: Buffer): void {
    this.integer(0, 0x7f, bytes.length);
    for (let i = 0; i < bytes.length; i++) this.out[this.at++] = bytes[i]!;
  }
}
