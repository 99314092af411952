/** Most of what waits for the collector. */
const MAX_SPANS = 8_192;
const MAX_BYTES = 4 * 1024 * 1024;
/** Spans are gathered in chunks of this size; one of a call is in one chunk. */
const CHUNK_BYTES = 128 * 1024;

/** Why spans were not exported. */
const DROP_REASONS = ['full', 'unreachable', 'refused', 'encode', 'error-limit', 'shutdown'] as const;
export type DropReason = (typeof DROP_REASONS)[number];

class Chunk {
  readonly memory = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  bytes = 0;
  spans = 0;
  /** It is in a batch: nothing is added any more. */
  isSealed = false;
}

/** Spans that go to the collector together, encoded. */
export interface Batch {
  readonly parts: readonly Buffer[];
  readonly spans: number;
  readonly bytes: number;
}

/**
 * Encoded spans that wait for the collector, bounded in number and in bytes; what finds no room is counted. A batch stays
 * until the collector has it.
 */
export class SpanQueue {
  private chunks: Chunk[] = [];
  spans = 0;
  bytes = 0;
  readonly dropped: Record<DropReason, number>;
  /** The collector does not answer: that is why there is no room. */
  isUnreachable = false;
  /** Called when spans have come. In the middle of a turn: it must neither throw nor wait. */
  onAdded: () => void = () => {};

  constructor() {
    const zeros = DROP_REASONS.map((reason) => [reason, 0]);
    this.dropped = Object.fromEntries(zeros) as Record<DropReason, number>;
  }

  get hasRoom(): boolean {
    return this.spans < MAX_SPANS && this.bytes < MAX_BYTES;
  }

  /** Copies the first `bytes` bytes of `source`, which are so many spans. */
  add(source: Buffer, bytes: number, spans: number): void {
    let chunk = this.chunks[this.chunks.length - 1];
    if (chunk === undefined || chunk.isSealed || chunk.bytes + bytes > CHUNK_BYTES) {
      chunk = new Chunk();
      this.chunks.push(chunk);
    }
    source.copy(chunk.memory, chunk.bytes, 0, bytes);
    chunk.bytes += bytes;
    chunk.spans += spans;
    this.bytes += bytes;
    this.spans += spans;
    this.onAdded();
  }

  /** `full` is `unreachable` where that is the cause. */
  countDropped(reason: DropReason, spans: number): void {
    this.dropped[reason === 'full' && this.isUnreachable ? 'unreachable' : reason] += spans;
  }

  /** The oldest spans, so many of them or a chunk more; undefined: there are none. */
  first(most: number): Batch | undefined {
    if (this.chunks.length === 0) return undefined;
    const parts: Buffer[] = [];
    let spans = 0;
    let bytes = 0;
    for (const chunk of this.chunks) {
      if (spans >= most) break;
      chunk.isSealed = true;
      parts.push(chunk.memory.subarray(0, chunk.bytes));
      spans += chunk.spans;
      bytes += chunk.bytes;
    }
    return { parts, spans, bytes };
  }

  /** That batch is no longer needed. */
  remove({ parts, spans, bytes }: Batch): void {
    this.chunks = this.chunks.slice(parts.length);
    this.spans -= spans;
    this.bytes -= bytes;
  }

  /** Nothing waits any more. */
  clear(): void {
    this.chunks = [];
    this.spans = 0;
    this.bytes = 0;
  }
}
