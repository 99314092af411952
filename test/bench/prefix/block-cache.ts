/** The cache of keys and values of an engine, as vLLM keeps it: blocks of 16 tokens, found by a hash of all that is before them. */

/** Tokens of a block. */
export const CACHE_BLOCK = 16;

/** The keys of the whole blocks of a text, each of 52 bits made of all tokens up to its end. */
export function cacheKeys(ids: Uint32Array, count: number): Float64Array {
  const keys = new Float64Array(Math.floor(count / CACHE_BLOCK));
  let low = 0x9747_b28c;
  let high = 0x1b87_3593;
  for (let block = 0, at = 0; block < keys.length; block += 1) {
    for (const end = at + CACHE_BLOCK; at < end; at += 1) {
      low = Math.imul(low ^ ids[at]!, 0x5bd1_e995);
      low ^= low >>> 15;
      high = Math.imul(high ^ ids[at]!, 0xcc9e_2d51 | 1);
      high ^= high >>> 13;
    }
    keys[block] = (high >>> 12) * 2 ** 32 + (low >>> 0);
  }
  return keys;
}

/** Blocks that are in use, and blocks that were: these are found again until others need their place, the longest unused first. */
export class BlockCache {
  /** Calls that use a block. */
  private readonly used = new Map<number, number>();
  private readonly unused = new Map<number, true>();
  /** Blocks of calls that are not found: not computed yet, or computed twice at the same time. */
  private unnamed = 0;

  constructor(private readonly capacity: number) {}

  /** How many of a prompt's blocks are there, from the first on. */
  match(keys: Float64Array): number {
    let n = 0;
    while (n < keys.length && (this.used.has(keys[n]!) || this.unused.has(keys[n]!))) n += 1;
    return n;
  }

  /** Takes the first `matched` blocks, and `fresh` new ones. False: there is no room for them. */
  take(keys: Float64Array, matched: number, fresh: number): boolean {
    let idle = 0;
    for (let i = 0; i < matched; i += 1) if (this.unused.has(keys[i]!)) idle += 1;
    if (this.used.size + this.unnamed + idle + fresh > this.capacity) return false;
    for (let i = 0; i < matched; i += 1) this.use(keys[i]!);
    this.unnamed += fresh;
    for (const key of this.unused.keys()) {
      if (this.used.size + this.unnamed + this.unused.size <= this.capacity) break;
      this.unused.delete(key);
    }
    return true;
  }

  /** A new block is computed. False: it is there already, and this one stays without a name. */
  name(key: number): boolean {
    if (this.used.has(key) || this.unused.has(key)) return false;
    this.unnamed -= 1;
    this.used.set(key, 1);
    return true;
  }

  /** A call ends: its blocks are unused, the last one goes first. */
  free(named: readonly number[], unnamed: number): void {
    this.unnamed -= unnamed;
    for (let i = named.length - 1; i >= 0; i -= 1) {
      const key = named[i]!;
      const uses = this.used.get(key)! - 1;
      if (uses > 0) this.used.set(key, uses);
      else {
        this.used.delete(key);
        this.unused.set(key, true);
      }
    }
  }

  private use(key: number): void {
    this.unused.delete(key);
    this.used.set(key, (this.used.get(key) ?? 0) + 1);
  }
}
