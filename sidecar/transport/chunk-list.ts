import type { OwnedBuffer } from '../http2/owned-buffer.js';

/** Reads up to this size may be pinned by a slice of them. */
const PINNED_BYTES = 16 * 1024;
/** Pieces below this size are gathered. */
const SMALL_BYTES = 4 * 1024;
const FIRST_GATHER_BYTES = 1024;
const LARGEST_GATHER_BYTES = 64 * 1024;
/** Memory of large reads that a body may pin, in multiples of its bytes; a little over four pieces of a read of four. */
const MOST_PINNED = 4.1;
/** What a slice costs beside its bytes. */
const OVERHEAD_BYTES = 256;
/** Copies up to this size share a buffer of `COPIES_BYTES`: one of them alone pins four times what it is counted as, at most. */
const SHARED_COPY_BYTES = 256;
const COPIES_BYTES = 1024;

/** Bytes `[start, end)` of a buffer. */
export class Slice {
  constructor(
    readonly buffer: Buffer,
    readonly start: number,
    public end: number,
    /** Bytes behind `end` that small slices may be appended to; −1: the buffer belongs to others. */
    public spare: number,
    /** `buffer`, where the frame header in front of the slice is the list's to hand over; null: it is shared. */
    public owned: OwnedBuffer | null,
  ) {}
}

/**
 * Payload held for later, in order. A slice pins the whole read it came from: slices of small reads are held as they are
 * and counted as the read they pin; slices of large reads are copied unless they are a good part of it, or a slice
 * before them pins it already, or the body pins little for its size. Small slices after the first are gathered, so that a
 * body that comes byte by byte costs no more than one that comes whole.
 */
export class ChunkList {
  /** Bytes of payload. */
  bytes = 0;
  /** Most calls have one slice: it needs no array. */
  private first: Slice | null = null;
  private rest: Slice[] | null = null;
  /** Memory of the large reads that slices pin, bytes. */
  private pinned = 0;

  get count(): number {
    return this.first === null ? 0 : 1 + (this.rest === null ? 0 : this.rest.length);
  }

  /**
   * What holding this slice as the next one costs in memory: a small read is counted as the buffer that the slice keeps alive, although other
   * slices may do so too. Of a large read the slice alone is counted; see `MOST_PINNED`.
   */
  cost(buffer: Buffer, start: number, end: number): number {
    const n = end - start;
    // Gathered: buffers grow to twice what they hold.
    if (this.first !== null && n < SMALL_BYTES) return 2 * n + 1;
    const backing = memoryOf(buffer).byteLength;
    return OVERHEAD_BYTES + (backing <= PINNED_BYTES ? backing : n);
  }

  /** Holds payload that others write, or have written, as well. */
  add(buffer: Buffer, start: number, end: number): void {
    this.append(buffer, start, end, null);
  }

  /** Holds payload that came in one `onData` and that nobody has passed on: see `takeOwned`. */
  addOwned(buffer: OwnedBuffer, start: number, end: number): void {
    this.append(buffer, start, end, buffer);
  }

  /** Hands the ownership of a slice's buffer over, once; null: somebody has it already, or the slice is shared. */
  takeOwned(i: number): OwnedBuffer | null {
    const slice = this.at(i);
    const { owned } = slice;
    slice.owned = null;
    return owned;
  }

  private append(buffer: Buffer, start: number, end: number, owned: OwnedBuffer | null): void {
    const n = end - start;
    this.bytes += n;
    if (this.first === null) {
      this.first = this.makeSlice(buffer, start, end, owned);
      return;
    }
    this.rest ??= [];
    const last = this.rest[this.rest.length - 1];
    if (n >= SMALL_BYTES) {
      const isPinned = (last ?? this.first).buffer.buffer === memoryOf(buffer);
      this.rest.push(
        isPinned ? new Slice(buffer, start, end, -1, owned) : this.makeSlice(buffer, start, end, owned),
      );
    } else if (last !== undefined && last.spare >= n) {
      buffer.copy(last.buffer, last.end, start, end);
      last.end += n;
      last.spare -= n;
    } else {
      // The next one after a full one is larger, so that their number stays small.
      const size = last === undefined || last.spare < 0 ? FIRST_GATHER_BYTES : 2 * last.buffer.length;
      this.rest.push(makeGatheringSlice(Math.max(n, size), buffer, start, end));
    }
  }

  /** Bytes of memory that it holds on to: the reads that its slices are parts of, each counted once. */
  get pinnedBytes(): number {
    let bytes = 0;
    let last: ArrayBufferLike | null = null;
    for (let i = 0; i < this.count; i++) {
      const memory = memoryOf(this.at(i).buffer);
      bytes += OVERHEAD_BYTES + (memory === last ? 0 : memory.byteLength);
      last = memory;
    }
    return bytes;
  }

  private makeSlice(buffer: Buffer, start: number, end: number, owned: OwnedBuffer | null): Slice {
    const n = end - start;
    const backing = memoryOf(buffer).byteLength;
    if (backing <= PINNED_BYTES) return new Slice(buffer, start, end, -1, owned);
    if (this.pinned + backing <= MOST_PINNED * this.bytes) {
      this.pinned += backing;
      return new Slice(buffer, start, end, -1, owned);
    }
    if (n <= SHARED_COPY_BYTES) return copyBesideOthers(buffer, start, end);
    // Of its own: one from the pool of Node would keep the pool alive.
    const copy = Buffer.allocUnsafeSlow(n);
    buffer.copy(copy, 0, start, end);
    return new Slice(copy, 0, n, -1, null);
  }

  /** All of it in one buffer. */
  whole(): Buffer {
    const parts: Buffer[] = [];
    for (let i = 0; i < this.count; i++) {
      const { buffer, start, end } = this.at(i);
      parts.push(buffer.subarray(start, end));
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  at(i: number): Slice {
    return i === 0 ? this.first! : this.rest![i - 1]!;
  }
}

let lastBuffer: Buffer | null = null;
let lastMemory: ArrayBufferLike;

/** `buffer.buffer`, remembered: it costs more than all else that is done with a small slice, and most calls share a read. */
function memoryOf(buffer: Buffer): ArrayBufferLike {
  if (buffer !== lastBuffer) {
    lastMemory = buffer.buffer;
    lastBuffer = buffer;
  }
  return lastMemory;
}

/** Buffer of small copies, and where it is free. */
let copies = Buffer.allocUnsafeSlow(COPIES_BYTES);
let copiesAt = 0;

/** A copy in a buffer with those of other lists: to make a buffer for each costs more than to copy. */
function copyBesideOthers(buffer: Buffer, start: number, end: number): Slice {
  const n = end - start;
  if (copiesAt + n > COPIES_BYTES) {
    copies = Buffer.allocUnsafeSlow(COPIES_BYTES);
    copiesAt = 0;
  }
  const at = copiesAt;
  buffer.copy(copies, at, start, end);
  copiesAt = at + n;
  return new Slice(copies, at, at + n, -1, null);
}

/** A buffer of `size` bytes that the next small slices join. */
function makeGatheringSlice(size: number, buffer: Buffer, start: number, end: number): Slice {
  const n = end - start;
  const own = Buffer.allocUnsafeSlow(Math.min(size, LARGEST_GATHER_BYTES));
  buffer.copy(own, 0, start, end);
  return new Slice(own, 0, n, own.length - n, null);
}
