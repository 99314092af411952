import { ChunkList } from './chunk-list.js';
import type { MemoryBudget } from './memory-budget.js';

/** Why a response, or its request, is not there to be read; empty: it is. */
export type Missing = '' | 'too-large' | 'memory';

/**
 * A response that is passed on as it comes, kept for a reader: by reference, up to a size, and within what the memory
 * budget has beside calls. Nothing waits for it: where one of these is exceeded, it lets go of all it has.
 */
export class ResponseTee {
  missing: Missing = '';
  /** The request that it answers, for a reader that sends it again; null: it is not kept. */
  request: ChunkList | null = null;
  /** The output inspector reads it when it is whole. */
  isInspected = false;
  private kept: ChunkList | null = null;
  /** Bytes of the memory budget that it takes. */
  private cost = 0;

  constructor(
    private readonly memory: MemoryBudget,
    private readonly maxBytes: number,
  ) {}

  /** All that has come of the response; null: nothing has, or it is missing. */
  get response(): ChunkList | null {
    return this.kept;
  }

  /** The response so far, which is the tee's from now on: it adds to it. */
  begin(held: ChunkList): void {
    if (held.bytes > this.maxBytes) return this.miss('too-large');
    if (this.take(held.pinnedBytes)) this.kept = held;
  }

  /** More of the response. */
  add(buffer: Buffer, start: number, end: number): void {
    if (this.missing !== '') return;
    this.kept ??= new ChunkList();
    if (this.kept.bytes + end - start > this.maxBytes) return this.miss('too-large');
    if (this.take(this.kept.cost(buffer, start, end))) this.kept.add(buffer, start, end);
  }

  /** Keeps the request as well. False: there is no memory for it. */
  keepRequest(request: ChunkList): boolean {
    const cost = request.pinnedBytes;
    if (!this.memory.reserveAside(cost)) return false;
    this.cost += cost;
    this.request = request;
    return true;
  }

  /** What the budget counts for it is the caller's to release from now on, bytes. */
  handOver(): number {
    const { cost } = this;
    this.cost = 0;
    return cost;
  }

  release(): void {
    this.memory.release(this.handOver());
    this.kept = null;
    this.request = null;
  }

  private take(cost: number): boolean {
    if (this.memory.reserveAside(cost)) {
      this.cost += cost;
      return true;
    }
    this.miss('memory');
    return false;
  }

  private miss(why: Missing): void {
    this.release();
    this.missing = why;
  }
}
