/** Places among which one block is looked for. */
const WAYS = 8;
/** What a block is older than the one before it, ms: of one prompt, the last blocks go first, as they do in an engine. */
const STEP_MS = 1e-3;

/**
 * Blocks of prompts that an endpoint probably has in its cache: those that were sent there last. Bounded: a new block
 * takes the place of the oldest of eight, as in the cache of a processor.
 */
export class BlockTable {
  private readonly blocks: Uint32Array;
  /** When each was last sent, monotonic ms; −Infinity: the place is empty. */
  private readonly sentMs: Float64Array;
  private readonly mask: number;

  /** @param capacity in blocks, at most; at least one set. */
  constructor(capacity: number) {
    const sets = setsIn(capacity);
    this.blocks = new Uint32Array(sets * WAYS);
    this.sentMs = new Float64Array(sets * WAYS).fill(Number.NEGATIVE_INFINITY);
    this.mask = sets - 1;
  }

  get capacity(): number {
    return this.blocks.length;
  }

  /** A prompt has been sent there. */
  add(prompt: Uint32Array, nowMs: number): void {
    for (let i = 0; i < prompt.length; i += 1) {
      const block = prompt[i]!;
      this.put(this.placeOf(block), block, nowMs - i * STEP_MS);
    }
  }

  /** This table, or a smaller one with what was sent last of it. @param capacity as in the constructor. */
  limitedTo(capacity: number): BlockTable {
    const { blocks, sentMs, mask } = this;
    if (setsIn(capacity) > mask) return this;
    const smaller = new BlockTable(capacity);
    for (let at = 0; at < blocks.length; at += 1) {
      const ms = sentMs[at]!;
      const place = smaller.placeOf(blocks[at]!);
      if (ms > smaller.sentMs[place]!) smaller.put(place, blocks[at]!, ms);
    }
    return smaller;
  }

  /** Where a block is, or the oldest of those in whose place it would be. */
  private placeOf(block: number): number {
    const { blocks, sentMs } = this;
    const from = (block & this.mask) * WAYS;
    let place = from;
    let oldestMs = Number.POSITIVE_INFINITY;
    for (let at = from; at < from + WAYS; at += 1) {
      if (blocks[at] === block) return at;
      if (sentMs[at]! >= oldestMs) continue;
      oldestMs = sentMs[at]!;
      place = at;
    }
    return place;
  }

  private put(place: number, block: number, sentMs: number): void {
    this.blocks[place] = block;
    this.sentMs[place] = sentMs;
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

/** As many sets as fit, a power of two. */
function setsIn(capacity: number): number {
  return 2 ** Math.max(0, Math.floor(Math.log2(capacity / WAYS)));
}
