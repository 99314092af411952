import { MemoryView } from '../../http2/byte-ops.js';

/** 2³² ÷ the golden ratio, and the first prime of xxHash32: odd, so that a multiplication loses nothing. */
const FIRST_FACTOR = 0x9e3779b1;
const SECOND_FACTOR = 0x85ebca77;

/**
 * Running hash of messages, prefixes included, so that other boundaries give another hash. It does not depend on the pieces in
 * which the bytes come. Two messages that differ in one word never match, others by chance once in 2⁶⁴. It is no protection
 * against an endpoint that makes up bytes to match: such an endpoint may send what it likes anyway.
 */
export class MessageHash {
  private bytes = 0;
  private first = 0;
  private second = 0;
  /** Bytes behind the last whole word. */
  private rest = 0;
  private readonly memory = new MemoryView();

  add(buffer: Buffer, start: number, end: number): void {
    let at = start;
    for (; at < end && (this.bytes & 3) !== 0; at++) this.addOne(buffer[at]!);
    if (end - at >= 4) {
      const view = this.memory.of(buffer);
      const base = buffer.byteOffset;
      const from = at;
      let { first, second } = this;
      for (; at + 4 <= end; at += 4) {
        const word = view.getInt32(base + at);
        first = Math.imul(first ^ word, FIRST_FACTOR);
        first ^= first >>> 15;
        second = Math.imul(second + word, SECOND_FACTOR);
        second = (second << 13) | (second >>> 19);
      }
      this.first = first;
      this.second = second;
      this.bytes += at - from;
    }
    for (; at < end; at++) this.addOne(buffer[at]!);
  }

  clear(): void {
    this.bytes = 0;
    this.first = 0;
    this.second = 0;
    this.rest = 0;
  }

  equals(other: MessageHash): boolean {
    return (
      this.bytes === other.bytes &&
      this.first === other.first &&
      this.second === other.second &&
      this.rest === other.rest
    );
  }

  private addOne(byte: number): void {
    const word = (this.rest << 8) | byte;
    this.bytes++;
    if ((this.bytes & 3) !== 0) {
      this.rest = word;
      return;
    }
    this.rest = 0;
    const first = Math.imul(this.first ^ word, FIRST_FACTOR);
    this.first = first ^ (first >>> 15);
    const second = Math.imul(this.second + word, SECOND_FACTOR);
    this.second = (second << 13) | (second >>> 19);
  }
}
