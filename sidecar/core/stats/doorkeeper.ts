/**
 * Whether something was seen before, lately: one bit for each hash, all forgotten when a quarter of them is set. What it
 * takes for seen may have been something else, one time in eight or so; what it takes for new is new. A doorkeeper
 * (Einziger, Friedman and Manes, "TinyLFU", 2017): a cache that is full keeps out with it what is asked for only once.
 */
export class Doorkeeper {
  private readonly bits: Uint32Array;
  private readonly shift: number;
  private left: number;

  /** @param expected different things between two that are the same, at most. */
  constructor(expected: number) {
    const log = Math.max(5, Math.min(31, Math.ceil(Math.log2(Math.max(1, expected) * 4))));
    this.bits = new Uint32Array(2 ** (log - 5));
    this.shift = 32 - log;
    this.left = this.capacity;
  }

  /** Marks it; true: it was already. @param hash 32 bits, of which the high ones count. */
  again(hash: number): boolean {
    const bit = hash >>> this.shift;
    const mask = 1 << (bit & 31);
    const word = this.bits[bit >>> 5]!;
    if ((word & mask) !== 0) return true;
    if (this.left === 0) {
      this.bits.fill(0);
      this.left = this.capacity;
    }
    this.left--;
    this.bits[bit >>> 5]! |= mask;
    return false;
  }

  private get capacity(): number {
    return this.bits.length * 8;
  }
}
