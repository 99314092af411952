import { ChunkList } from '../../transport/chunk-list.js';
import type { Attempt } from '../attempt.js';

/**
 * A message that is larger, bytes, is passed on as it comes, and the stream is not resumed any more: held back, the beginning
 * gives the endpoint no credit, and it could not send the rest (RFC 9113 section 6.9.1).
 */
const LARGEST_BYTES = 16 * 1024;

/** The beginning of a message whose end has not come. Its bytes are counted as held by the attempt. */
export class MessageTail {
  private mostBytes = LARGEST_BYTES;
  private chunks: ChunkList | null = null;

  get isEmpty(): boolean {
    return this.chunks === null;
  }

  /** So much of the present message has been held already, and the next bytes end it: it is held however large it is. */
  expect(bytes: number): void {
    this.mostBytes = Math.max(LARGEST_BYTES, bytes);
  }

  /** Holds more of the message. False: it is too large, and these bytes are not held. */
  hold(attempt: Attempt, buffer: Buffer, start: number, end: number): boolean {
    const more = end - start;
    if ((this.chunks === null ? 0 : this.chunks.bytes) + more > this.mostBytes) return false;
    this.chunks ??= new ChunkList();
    this.chunks.add(buffer, start, end);
    attempt.hold(more);
    return true;
  }

  /** Hands over what is held; null: nothing is. */
  take(attempt: Attempt): ChunkList | null {
    const { chunks } = this;
    if (chunks === null) return null;
    this.chunks = null;
    this.mostBytes = LARGEST_BYTES;
    attempt.releaseHeld();
    return chunks;
  }

  /** Its endpoint has died, and with it what was held by its attempt. */
  drop(): void {
    this.chunks = null;
  }
}
