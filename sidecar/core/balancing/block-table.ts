/** Places among which one block is looked for. */
const WAYS = 8;
/** What a block is older than the one before it, ms: of one prompt, the last blocks go first, as they do in an engine. */
const STEP_MS = 1e-3;

/**
 * Blocks of prompts that an endpoint probably has in its cache: those that were sent there last. Bounded, and made once: a new block
 * takes the place of the oldest of eight, as in the cache of a processor.
 */
export class BlockTable {
  private readonly blocks: Uint32Array;
  /** When each was last sent, monotonic ms; −Infinity: the place is empty. */
  private readonly sentMs: Float64Array;
  private readonly mask: number;

  /** @param capacity in blocks, at most; at least one set. */
  constructor(capacity: number) {
    const sets = 2 ** Math.max(0, Math.floor(Math.log2(capacity / WAYS)));
    this.blocks = new Uint32Array(sets * WAYS);
    this.sentMs = new Float64Array(sets * WAYS).fill(Number.NEGATIVE_INFINITY);
    this.mask = sets - 1;
  }

  get capacity(): number {
    return this.blocks.length;
  }

  /** A prompt has been sent there. */
  add(prompt: Uint32Array, nowMs: number): void {
    const { blocks, sentMs, mask } = this;
    for (let i = 0; i < prompt.length; i += 1) {
      const block = prompt[i]!;
      const from = (block & mask) * WAYS;
      let place = from;
      let oldestMs = Number.POSITIVE_INFINITY;
      for (let at = from; at < from + WAYS; at += 1) {
        if (blocks[at] === block) {
          place = at;
          break;
        }
        if (sentMs[at]! >= oldestMs) continue;
        oldestMs = sentMs[at]!;
        place = at;
      }
      blocks[place] = block;
      sentMs[place] = nowMs - i * STEP_MS;
    }
  }

  /**
   * How many blocks of a prompt it has, from the beginning on, of those that were sent at `sinceMs` or later. By bisection, as a block
   * is there if a later one is, with few exceptions.
   */
  match(prompt: Uint32Array, sinceMs: number): number {
    let low = 0;
    let high = prompt.length;
    // The first block first: most endpoints have none.
    for (let middle = 0; low < high; middle = (low + high) >>> 1) {
      if (this.has(prompt[middle]!, sinceMs - middle * STEP_MS)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private has(block: number, sinceMs: number): boolean {
    const { blocks, sentMs } = this;
    const from = (block & this.mask) * WAYS;
    for (let at = from; at < from + WAYS; at += 1) if (blocks[at] === block) return sentMs[at]! >= sinceMs;
    return false;
  }
}
