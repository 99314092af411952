/** Thrown for malformed DER inside this folder; `readCertificate` turns it into a value. */
export class DerError extends Error {}

/**
 * Tags, RFC 5280 appendix A (explicit and implicit context tags are written out where they are
 * used).
 */
export const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  byteString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const;

/**
 * Reads the part of DER (X.690) that certificates use. No length is trusted: each value has to lie
 * inside its container, and lengths have to be in the shortest form. Nothing recurses, so that
 * malformed input costs one pass at most.
 */
export class DerReader {
  private readonly bytes: Uint8Array;
  private position: number;
  private readonly end: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
  }

  get done(): boolean {
    return this.position >= this.end;
  }

  /** The next tag without taking it, or -1 at the end. */
  peek(): number {
    return this.done ? -1 : this.bytes[this.position]!;
  }

  /** Takes one value of that tag and returns a reader over its content. */
  enter(tag: number): DerReader {
    const found = this.next();
    if (found.tag !== tag) throw new DerError(`tag ${found.tag} where ${tag} belongs`);
    return found.content;
  }

  /** Takes one value of any tag. */
  next(): { tag: number; content: DerReader } {
    const tag = this.byte();
    if ((tag & 0x1f) === 0x1f) throw new DerError('multi-byte tag');
    const length = this.length();
    const start = this.position;
    if (length > this.end - start) throw new DerError('value runs past its container');
    this.position = start + length;
    return { tag, content: new DerReader(this.bytes, start, start + length) };
  }

  /** The whole of one value of that tag, its header included; a view, not a copy. */
  whole(tag: number): Uint8Array {
    const start = this.position;
    this.enter(tag);
    return this.bytes.subarray(start, this.position);
  }

  /** Every content byte that is left; a view, not a copy. */
  rest(): Uint8Array {
    return this.bytes.subarray(this.position, this.end);
  }

  /** Fails unless everything was read. */
  finish(): void {
    if (!this.done) throw new DerError('trailing bytes');
  }

  private byte(): number {
    if (this.done) throw new DerError('truncated');
    return this.bytes[this.position++]!;
  }

  private length(): number {
    const first = this.byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    // 0 is the indefinite form (BER only); more than 4 bytes cannot be inside a buffer we accept.
    if (count === 0 || count > 4) throw new DerError('length form not allowed');
    let length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + this.byte();
    if (length < 0x80 || length < 256 ** (count - 1)) throw new DerError('length not in shortest form');
    return length;
  }
}

/** A BOOLEAN; DER allows only 0x00 and 0xff. */
export function readBoolean(content: DerReader): boolean {
  const bytes = content.rest();
  if (bytes.length !== 1 || (bytes[0] !== 0 && bytes[0] !== 0xff)) throw new DerError('bad boolean');
  return bytes[0] === 0xff;
}

/** A non-negative INTEGER of at most 31 bits. */
export function readSmallInteger(content: DerReader): number {
  const bytes = content.rest();
  if (bytes.length === 0 || bytes.length > 4 || bytes[0]! > 0x7f) throw new DerError('bad small integer');
  let value = 0;
  for (const byte of bytes) value = value * 256 + byte;
  return value;
}

/**
 * A BIT STRING as a number with bit 0 of the ASN.1 numbering in bit 0; only the first 16 bits are
 * kept.
 */
export function readNamedBits(content: DerReader): number {
  const bytes = content.rest();
  if (bytes.length === 0 || bytes[0]! > 7 || (bytes.length === 1 && bytes[0] !== 0))
    throw new DerError('bad bit string');
  let bits = 0;
  for (let i = 0; i < 16; i++) {
    const byte = bytes[1 + (i >> 3)] ?? 0;
    if (byte & (0x80 >> (i & 7))) bits |= 1 << i;
  }
  return bits;
}

/** Dotted form of an OBJECT IDENTIFIER. */
export function readOid(content: DerReader): string {
  const bytes = content.rest();
  if (bytes.length === 0 || bytes.length > 64) throw new DerError('bad object identifier');
  const arcs: number[] = [];
  let value = 0;
  let fresh = true;
  for (const byte of bytes) {
    if (fresh && byte === 0x80) throw new DerError('padded object identifier');
    value = value * 128 + (byte & 0x7f);
    if (value > Number.MAX_SAFE_INTEGER / 256) throw new DerError('object identifier too large');
    fresh = byte < 0x80;
    if (fresh) {
      arcs.push(value);
      value = 0;
    }
  }
  if (!fresh) throw new DerError('truncated object identifier');
  const first = arcs[0]!;
  const root = first < 80 ? Math.floor(first / 40) : 2;
  return [root, first - root * 40, ...arcs.slice(1)].join('.');
}

/**
 * UTCTime or GeneralizedTime in the only forms RFC 5280 section 4.1.2.5 allows, as epoch
 * milliseconds.
 */
export function readTime(value: { tag: number; content: DerReader }): number {
  const text = readAscii(value.content);
  let digits: string;
  if (value.tag === Tag.utcTime) {
    if (!/^\d{12}Z$/.test(text)) throw new DerError('bad UTCTime');
    digits = (Number(text.slice(0, 2)) < 50 ? '20' : '19') + text.slice(0, 12);
  } else if (value.tag === Tag.generalizedTime) {
    if (!/^\d{14}Z$/.test(text)) throw new DerError('bad GeneralizedTime');
    digits = text.slice(0, 14);
  } else {
    throw new DerError('not a time');
  }
  const part = (from: number, to: number) => digits.slice(from, to);
  const iso = `${part(0, 4)}-${part(4, 6)}-${part(6, 8)}T${part(8, 10)}:${part(10, 12)}:${part(12, 14)}Z`;
  const ms = Date.parse(iso);
  // The parser may roll an impossible day over into the next month.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== iso.replace('Z', '.000Z'))
    throw new DerError('impossible date');
  return ms;
}

/** Text of 7-bit characters; any other byte is an error. */
export function readAscii(content: DerReader): string {
  const bytes = content.rest();
  let text = '';
  for (const byte of bytes) {
    if (byte > 0x7f) throw new DerError('not ASCII');
    text += String.fromCharCode(byte);
  }
  return text;
}
