const EMPTY = Buffer.alloc(0);
const CUT_OFF = 'the message is cut off';

/** Bytes that may lie in pieces, one after the other. */
export interface Body {
  /** In all. */
  readonly bytes: number;
  /** Bytes `[start, end)` of a buffer. */
  at(piece: number): { readonly buffer: Buffer; readonly start: number; readonly end: number };
}

/** A body in one piece. */
export function bodyIn(buffer: Buffer, start = 0, end = buffer.length): Body {
  const piece = { buffer, start, end };
  return { bytes: end - start, at: () => piece };
}

/**
 * Reads a body by position, without joining its pieces. Byte `p` of the body is `buffer[p + shift]` while
 * `from ≤ p < until`: the piece that was located last.
 */
export class BodyReader {
  buffer: Buffer = EMPTY;
  shift = 0;
  from = 0;
  until = 0;
  private piece = -1;

  constructor(private readonly body: Body) {}

  get bytes(): number {
    return this.body.bytes;
  }

  /** Makes the piece that holds byte `p` the present one. @throws RangeError when there is no such byte. */
  locate(p: number): void {
    if (!(p >= 0 && p < this.body.bytes)) throw new RangeError(CUT_OFF);
    while (p >= this.until) this.enter(this.piece + 1, this.until);
    while (p < this.from) {
      const { start, end } = this.body.at(this.piece - 1);
      this.enter(this.piece - 1, this.from - (end - start));
    }
  }

  /** Byte `p`. @throws RangeError when there is none. */
  byteAt(p: number): number {
    if (p < this.from || p >= this.until) this.locate(p);
    return this.buffer[p + this.shift]!;
  }

  /** Bytes `[p, p + 4)` as a number, the highest first. @throws RangeError when some are not there. */
  uint32At(p: number): number {
    if (p >= this.from && p + 4 <= this.until) return this.buffer.readUInt32BE(p + this.shift);
    let value = 0;
    for (let i = 0; i < 4; i++) value = value * 256 + this.byteAt(p + i);
    return value;
  }

  /** A copy of bytes `[from, to)`. @throws RangeError when some are not there. */
  copy(from: number, to: number): Buffer {
    const copy = Buffer.allocUnsafe(to - from);
    this.copyTo(copy, 0, from, to);
    return copy;
  }

  /** Copies bytes `[from, to)` to `target`, from `at` on. @throws RangeError when some are not there. */
  copyTo(target: Uint8Array, at: number, from: number, to: number): void {
    for (let p = from; p < to; ) {
      this.locate(p);
      const end = Math.min(to, this.until);
      this.buffer.copy(target, at + p - from, p + this.shift, end + this.shift);
      p = end;
    }
  }

  /** Makes a piece the present one, whose first byte is byte `from` of the body. */
  private enter(piece: number, from: number): void {
    const { buffer, start, end } = this.body.at(piece);
    this.piece = piece;
    this.buffer = buffer;
    this.from = from;
    this.until = from + end - start;
    this.shift = start - from;
  }
}
