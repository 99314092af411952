/**
 * Payload held for later, in order. A slice pins the whole read it came from: slices of small reads are held as they
 * are and counted as the read they pin; slices of large reads are copied unless they are most of it.
 */

/** Reads up to this size may be pinned by a slice of them. */
const PINNED_BYTES = 16 * 1024;

export class Pieces {
  private readonly buffers: Buffer[] = [];
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];
  /** Octets of payload. */
  bytes = 0;

  get count(): number {
    return this.buffers.length;
  }

  /** What holding this slice costs in memory. */
  static cost(buffer: Buffer, start: number, end: number): number {
    const backing = buffer.buffer.byteLength;
    return backing <= PINNED_BYTES ? backing : end - start;
  }

  add(buffer: Buffer, start: number, end: number): void {
    const n = end - start;
    this.bytes += n;
    const backing = buffer.buffer.byteLength;
    if (backing > PINNED_BYTES && n * 4 < backing) {
      const copy = Buffer.allocUnsafe(n);
      buffer.copy(copy, 0, start, end);
      this.buffers.push(copy);
      this.starts.push(0);
      this.ends.push(n);
      return;
    }
    this.buffers.push(buffer);
    this.starts.push(start);
    this.ends.push(end);
  }

  bufferAt(i: number): Buffer {
    return this.buffers[i]!;
  }
  startAt(i: number): number {
    return this.starts[i]!;
  }
  endAt(i: number): number {
    return this.ends[i]!;
  }
}
