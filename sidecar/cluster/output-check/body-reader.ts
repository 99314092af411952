import type { ChunkList } from '../../transport/chunk-list.js';

const EMPTY = Buffer.alloc(0);
const CUT_OFF = 'the message is cut off';
/** Octets of the longest varint. */
const VARINT_BYTES = 10;

/**
 * Reads a body that lies in pieces by position, without joining them. Octet `p` of the body is `buffer[p + shift]` while
 * `from ≤ p < until`: the piece that was located last.
 */
export class BodyReader {
  buffer: Buffer = EMPTY;
  shift = 0;
  from = 0;
  until = 0;
  private piece = -1;

  constructor(private readonly body: ChunkList) {}

  get bytes(): number {
    return this.body.bytes;
  }

  /** Makes the piece that holds octet `p` the present one. @throws RangeError when there is no such octet. */
  locate(p: number): void {
    if (!(p >= 0 && p < this.body.bytes)) throw new RangeError(CUT_OFF);
    while (p >= this.until) this.enter(this.piece + 1, this.until);
    while (p < this.from) {
      const { start, end } = this.body.at(this.piece - 1);
      this.enter(this.piece - 1, this.from - (end - start));
    }
  }

  /** Octet `p`. @throws RangeError when there is none. */
  byteAt(p: number): number {
    if (p < this.from || p >= this.until) this.locate(p);
    return this.buffer[p + this.shift]!;
  }

  /** A copy of octets `[from, to)`. @throws RangeError when some are not there. */
  copy(from: number, to: number): Buffer {
    const copy = Buffer.allocUnsafe(to - from);
    this.copyTo(copy, 0, from, to);
    return copy;
  }

  /** Copies octets `[from, to)` to `target`, from `at` on. @throws RangeError when some are not there. */
  copyTo(target: Buffer, at: number, from: number, to: number): void {
    for (let p = from; p < to; ) {
      this.locate(p);
      const end = Math.min(to, this.until);
      this.buffer.copy(target, at + p - from, p + this.shift, end + this.shift);
      p = end;
    }
  }

  /** Makes a piece the present one, whose first octet is octet `from` of the body. */
  private enter(piece: number, from: number): void {
    const { buffer, start, end } = this.body.at(piece);
    this.piece = piece;
    this.buffer = buffer;
    this.from = from;
    this.until = from + end - start;
    this.shift = start - from;
  }
}

/** Wire types of Protocol Buffers. */
export const Wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** The fields of the message in octets `[at, to)` of a body, one after the other: their places, and no content. */
export class FieldCursor {
  /** Of the present field. */
  number = 0;
  wire: number = Wire.varint;
  /** Its value where it is a varint; beyond 2^53 not exact. */
  value = 0;
  /** Its content is octets `[start, end)`. */
  start = 0;
  end = 0;

  constructor(
    private readonly reader: BodyReader,
    private at: number,
    private readonly to: number,
  ) {}

  /** Goes on to the next field; false: there is none. @throws RangeError when the octets are no message, or hold a group. */
  next(): boolean {
    if (this.at >= this.to) return false;
    const tag = this.varint();
    this.number = Math.floor(tag / 8);
    this.wire = tag % 8;
    if (this.wire === Wire.varint) this.value = this.varint();
    const bytes = this.contentBytes();
    this.start = this.at;
    this.end = this.at + bytes;
    if (this.number === 0 || this.end > this.to) throw new RangeError(CUT_OFF);
    this.at = this.end;
    return true;
  }

  /** Octets from here to the next field. */
  private contentBytes(): number {
    switch (this.wire) {
      case Wire.varint:
        return 0;
      case Wire.bytes:
        return this.varint();
      case Wire.fixed32:
        return 4;
      case Wire.fixed64:
        return 8;
      default:
        throw new RangeError(`wire type ${this.wire}; expected 0, 1, 2 or 5`);
    }
  }

  /** Seven bits an octet, the lowest first. */
  private varint(): number {
    let value = 0;
    let unit = 1;
    for (let i = 0; i < VARINT_BYTES; i++, unit *= 128) {
      if (this.at >= this.to) throw new RangeError(CUT_OFF);
      const octet = this.reader.byteAt(this.at++);
      value += (octet & 0x7f) * unit;
      if (octet < 0x80) return value;
    }
    throw new RangeError('a number of more than ten octets');
  }
}

/** The numbers of a packed field, octets `[at, to)`; beyond 2^53 not exact. @throws RangeError when the last one is cut off. */
export function packedNumbers(reader: BodyReader, at: number, to: number): number[] {
  const numbers: number[] = [];
  let [value, unit] = [0, 1];
  for (let p = at; p < to; p++) {
    const octet = reader.byteAt(p);
    value += (octet & 0x7f) * unit;
    unit *= 128;
    if (octet >= 0x80) continue;
    numbers.push(value);
    [value, unit] = [0, 1];
  }
  if (unit !== 1) throw new RangeError(CUT_OFF);
  return numbers;
}
