/**
 * Payload held for later, in order. A slice pins the whole read it came from: slices of small reads are held as they
 * are and counted as the read they pin; slices of large reads are copied unless they are most of it.
 */

/** Reads up to this size may be pinned by a slice of them. */
const PINNED_BYTES = 16 * 1024;

export interface Piece {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

export class Pieces {
  /** Octets of payload. */
  bytes = 0;
  /** Most calls have one piece: it needs no array. */
  private first: Piece | null = null;
  private rest: Piece[] | null = null;

  get count(): number {
    return this.first === null ? 0 : 1 + (this.rest === null ? 0 : this.rest.length);
  }

  /** What holding this slice costs in memory. */
  static cost(buffer: Buffer, start: number, end: number): number {
    const backing = buffer.buffer.byteLength;
    return backing <= PINNED_BYTES ? backing : end - start;
  }

  add(buffer: Buffer, start: number, end: number): void {
    this.bytes += end - start;
    const piece = keepable(buffer, start, end);
    if (this.first === null) this.first = piece;
    else if (this.rest === null) this.rest = [piece];
    else this.rest.push(piece);
  }

  at(i: number): Piece {
    return i === 0 ? this.first! : this.rest![i - 1]!;
  }
}

function keepable(buffer: Buffer, start: number, end: number): Piece {
  const n = end - start;
  const backing = buffer.buffer.byteLength;
  if (backing <= PINNED_BYTES || n * 4 >= backing) return { buffer, start, end };
  const copy = Buffer.allocUnsafe(n);
  buffer.copy(copy, 0, start, end);
  return { buffer: copy, start: 0, end: n };
}
