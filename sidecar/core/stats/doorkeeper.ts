/**
 * Whether a hash was seen recently: one bit for each, all cleared when a quarter of them is set. About one in eight "seen" is a
 * collision; "new" is always right. The doorkeeper of TinyLFU (Einziger, Friedman and Manes 2017): keeps entries that are asked
 * for once out of a full cache.
 */
export class Doorkeeper {
  private readonly bits: Uint32Array;
  private readonly shift: number;
  private left: number;

  /** @param expected different hashes between two equal ones, at most. */
  constructor(expected: number) {
    const log = Math.max(5, Math.min(31, Math.ceil(Math.log2(Math.max(1, expected) * 4))));
    this.bits = new Uint32Array(2 ** (log - 5));
    this.shift = 32 - log;
    this.left = this.capacity;
  }

  /** Marks the hash; whether it was marked already. @param hash 32 bits, of which the high ones count. */
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
