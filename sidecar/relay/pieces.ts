/** Payload held for later, in order. Small pieces are copied, because a slice pins the whole read it came from. */

export class Pieces {
  private buffers: Buffer[] = [];
  private starts: number[] = [];
  private ends: number[] = [];
  bytes = 0;

  get count(): number {
    return this.buffers.length;
  }

  add(buffer: Buffer, start: number, end: number): void {
    const n = end - start;
    if (n * 4 < buffer.buffer.byteLength) {
      const copy = Buffer.allocUnsafe(n);
      if (n <= 64) for (let i = 0; i < n; i++) copy[i] = buffer[start + i]!;
      else buffer.copy(copy, 0, start, end);
      this.buffers.push(copy);
      this.starts.push(0);
      this.ends.push(n);
    } else {
      this.buffers.push(buffer);
      this.starts.push(start);
      this.ends.push(end);
    }
    this.bytes += n;
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

  clear(): void {
    this.buffers = [];
    this.starts = [];
    this.ends = [];
    this.bytes = 0;
  }
}
