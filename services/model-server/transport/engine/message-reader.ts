/** Cuts the DATA of one call into gRPC messages (gRPC over HTTP/2, "Length-Prefixed-Message"). */

import { ChunkList } from '../../../../sidecar/transport/chunk-list.js';
import { RpcError, status } from '../../rpc.js';

/** Compressed-Flag and Message-Length. */
export const PREFIX_BYTES = 5;

/** Reads up to this size may be pinned by a message that is a small part of them. */
const PINNED_BYTES = 16 * 1024;
/** A larger read may be pinned by a message that is this share of it at least. */
const LEAST_SHARE = 1 / 4;

/** `bytes`, or a copy where they are a small part of a large read: a message that waits must not pin memory that nobody counts. */
export function unpinned(bytes: Buffer): Buffer {
  const { byteLength } = bytes.buffer;
  return byteLength <= PINNED_BYTES || bytes.length >= byteLength * LEAST_SHARE ? bytes : Buffer.from(bytes);
}

/** One message as it came. */
export interface FramedMessage {
  readonly bytes: Buffer;
  readonly isCompressed: boolean;
}

/**
 * What comes is pushed, whole messages are taken one by one; what is not taken yet stays as bytes, so that many small
 * messages cost no more than their bytes. A message within one read is not copied.
 */
export class MessageReader {
  private buffer: Buffer = NOTHING;
  private at = 0;
  private end = 0;
  /** Came while `buffer` was not used up. */
  private later: ChunkList | null = null;
  private prefixHave = 0;
  private flag = 0;
  private length = 0;
  /** The part of the present message that came in earlier reads. */
  private partial: ChunkList | null = null;

  /** `maxBytes`: of one message, prefix aside. */
  constructor(private readonly maxBytes: number) {}

  /** Bytes that have come and are not taken. */
  get bytes(): number {
    return this.end - this.at + (this.later?.bytes ?? 0) + (this.partial?.bytes ?? 0);
  }

  /** Whether a message has begun and is not whole. */
  get isMidMessage(): boolean {
    return this.prefixHave > 0;
  }

  /** `buffer[start, end)` must stay as it is. */
  push(buffer: Buffer, start: number, end: number): void {
    if (start === end) return;
    if (this.at < this.end || this.later !== null) {
      this.later ??= new ChunkList();
      this.later.add(buffer, start, end);
      return;
    }
    this.buffer = buffer;
    this.at = start;
    this.end = end;
  }

  /** What is left waits beyond this turn. */
  park(): void {
    if (this.at === this.end) return;
    const left = this.buffer.subarray(this.at, this.end);
    const kept = unpinned(left);
    if (kept === left) return;
    this.buffer = kept;
    this.at = 0;
    this.end = kept.length;
  }

  /**
   * The next whole message; undefined: more has to come.
   * @throws RpcError RESOURCE_EXHAUSTED for one beyond `maxBytes`, as soon as its length is known; INTERNAL for a flag other than 0 and 1.
   */
  next(): FramedMessage | undefined {
    for (;;) {
      while (this.prefixHave < PREFIX_BYTES && this.at < this.end) this.readPrefix(this.buffer[this.at++]!);
      if (this.prefixHave === PREFIX_BYTES) {
        const bytes = this.takeMessage();
        if (bytes !== undefined) {
          this.prefixHave = 0;
          return { bytes, isCompressed: this.flag === 1 };
        }
      }
      if (!this.refill()) return undefined;
    }
  }

  private readPrefix(byte: number): void {
    if (this.prefixHave++ === 0) {
      if (byte > 1)
        throw new RpcError(status.INTERNAL, `found a message with compressed flag ${byte}, expected 0 or 1`);
      this.flag = byte;
      this.length = 0;
      return;
    }
    this.length = this.length * 256 + byte;
    if (this.prefixHave < PREFIX_BYTES || this.length <= this.maxBytes) return;
    throw new RpcError(
      status.RESOURCE_EXHAUSTED,
      `Received message larger than max (${this.length} vs ${this.maxBytes})`,
    );
  }

  private takeMessage(): Buffer | undefined {
    const { buffer, at, partial } = this;
    const missing = this.length - (partial?.bytes ?? 0);
    const n = Math.min(missing, this.end - at);
    this.at = at + n;
    if (partial === null && n === missing) return buffer.subarray(at, at + n);
    if (n > 0) {
      this.partial ??= new ChunkList();
      this.partial.add(buffer, at, at + n);
    }
    if (n < missing) return undefined;
    const whole = this.partial!.whole();
    this.partial = null;
    return whole;
  }

  /** What came later is next; false when nothing did. */
  private refill(): boolean {
    // The buffer of a read is not kept for nothing.
    this.buffer = NOTHING;
    this.at = 0;
    this.end = 0;
    if (this.later === null) return false;
    this.buffer = this.later.whole();
    this.end = this.buffer.length;
    this.later = null;
    return true;
  }
}

const NOTHING = Buffer.alloc(0);
