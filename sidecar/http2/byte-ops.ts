/**
 * A view of the memory behind a buffer, cached. One per call site: its next buffer is nearly always the same one, or part of
 * the same read, and `Buffer.buffer` costs more than most of what is done here. Words of four bytes at a time are faster
 * than Buffer's own methods for up to some hundreds of bytes, because those make a view or leave JavaScript first.
 */
export class MemoryView {
  private buffer: Buffer | null = null;
  private memory: ArrayBufferLike | null = null;
  private view!: DataView;

  of(buffer: Buffer): DataView {
    if (buffer === this.buffer) return this.view;
    const memory = buffer.buffer;
    if (memory !== this.memory) {
      this.memory = memory;
      this.view = new DataView(memory);
    }
    this.buffer = buffer;
    return this.view;
  }
}

const copied = new MemoryView();
const copiedTo = new MemoryView();
const compared = new MemoryView();
const comparedWith = new MemoryView();

/** Beyond this size `Buffer.copy` is faster. */
const LOOP_COPY_BYTES = 512;

/** Copies `source[start, end)` to `target` at `at`. */
export function copyBytes(source: Buffer, start: number, end: number, target: Buffer, at: number): void {
  const n = end - start;
  if (n > LOOP_COPY_BYTES) return void source.copy(target, at, start, end);
  const from = copied.of(source);
  const to = copiedTo.of(target);
  const words = n & ~3;
  const read = source.byteOffset + start;
  const write = target.byteOffset + at;
  for (let i = 0; i < words; i += 4) to.setInt32(write + i, from.getInt32(read + i, true), true);
  for (let i = words; i < n; i++) target[at + i] = source[start + i]!;
}

/** Whether `a[start, end)` equals `b` from `at` on. */
export function areSameBytes(a: Buffer, start: number, end: number, b: Buffer, at: number): boolean {
  const n = end - start;
  const left = compared.of(a);
  const right = comparedWith.of(b);
  const words = n & ~3;
  const read = a.byteOffset + start;
  const other = b.byteOffset + at;
  for (let i = 0; i < words; i += 4) if (left.getInt32(read + i) !== right.getInt32(other + i)) return false;
  for (let i = words; i < n; i++) if (a[start + i] !== b[at + i]) return false;
  return true;
}

/** 2³² ÷ the golden ratio (Knuth, multiplicative hashing). */
const MIX = 0x9e3779b1;

/** One step of a 32-bit hash. */
export function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, MIX);
  return mixed ^ (mixed >>> 15);
}

/** 32-bit hash of bytes that arrive in pieces; independent of where the pieces begin and end. Not for secrets. */
export class ByteHash {
  private hash = 0;
  private word = 0;
  private filled = 0;
  private readonly memory = new MemoryView();

  begin(seed: number): void {
    this.hash = seed;
    this.word = 0;
    this.filled = 0;
  }

  add(buffer: Buffer, start: number, end: number): void {
    let at = start;
    // Completes the word that the last piece began.
    while (at < end && this.filled !== 0) this.addOne(buffer[at++]!);
    if (end - at >= 4) {
      const view = this.memory.of(buffer);
      const base = buffer.byteOffset;
      let { hash, word } = this;
      for (; at + 4 <= end; at += 4) {
        word = view.getInt32(base + at);
        hash = mix(hash, word);
      }
      this.hash = hash;
      this.word = word;
    }
    while (at < end) this.addOne(buffer[at++]!);
  }

  end(): number {
    return mix(this.hash, this.word);
  }

  private addOne(byte: number): void {
    this.word = (this.word << 8) | byte;
    this.filled = (this.filled + 1) & 3;
    if (this.filled === 0) this.hash = mix(this.hash, this.word);
  }
}
