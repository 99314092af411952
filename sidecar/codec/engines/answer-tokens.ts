/** How many tokens the answer of an engine has, and how its last message says that it ends, read from its bytes as they pass. */

import { Wire } from '../field-cursor.js';
import { PREFIX_BYTES } from '../grpc-message.js';
import type { AnswerLayout, CountedLayout } from './engine-codec.js';

const MAX_VARINT_BYTES = 10;
/** Characters that are kept of a `finish_reason`: those of failures are shorter. */
const MAX_REASON = 32;

/** What the varint is that is being read. */
const Reading = { tag: 0, value: 1, length: 2, ids: 3 } as const;
type Reading = (typeof Reading)[keyof typeof Reading];

/**
 * Counts the tokens of one answer, whose bytes come in pieces of any size. Nothing is kept of them: fields that do not count are passed over
 * by their length. What cannot be read, such as a compressed message, ends the count.
 */
export class AnswerTokens {
  /** A message is none of this engine; the counts say nothing of what follows. */
  isUnreadable = false;
  /** Of the prompt, as the engine says; 0: it has not said it. */
  prompt = 0;
  /** Of these, those that were in its cache. */
  cached = 0;
  /** The message that was read last, as far as it has come, ends a sequence, given up or not. */
  hasEnd = false;
  private reason = '';
  private isReason = false;
  private inChunks = 0;
  private inComplete = 0;
  /** Bytes of the prefix of the present message so far, and the length as far as they say it. */
  private prefixBytes = 0;
  private length = 0;
  /** Bytes of the present message so far; it ends at `messageEnd`, its chunk at `partEnd`, a row of ids at `idsEnd`. */
  private at = 0;
  private messageEnd = 0;
  private partEnd = 0;
  private idsEnd = 0;
  /** Bytes that are passed over. */
  private skipped = 0;
  /** Of the chunk or of the last message that is being read; null: neither is. */
  private part: CountedLayout | null = null;
  private isChunk = false;
  private reading: Reading = Reading.tag;
  private number = 0;
  private value = 0;
  private unit = 1;
  private varintBytes = 0;

  constructor(private readonly layout: AnswerLayout) {}

  /** Tokens that have come. The last message repeats those of a chunk, or has all where there are no chunks. */
  get output(): number {
    return this.inChunks > 0 ? this.inChunks : this.inComplete;
  }

  /** Tokens have come in chunks. */
  get isStreamed(): boolean {
    return this.inChunks > 0;
  }

  /** Why the engine has given the answer up in the message that was read last, in its own word; empty: it has not. */
  get failure(): string {
    return this.layout.failures.has(this.reason) ? this.reason : '';
  }

  /** Takes the next bytes of the answer, with the prefixes of its messages. */
  take(buffer: Buffer, start: number, end: number): void {
    for (let p = start; p < end && !this.isUnreadable; ) {
      if (this.at === this.messageEnd) p = this.takePrefix(buffer, p, end);
      else if (this.skipped > 0) {
        const n = Math.min(this.skipped, end - p);
        if (this.isReason && this.reason.length < MAX_REASON)
          this.reason += buffer.toString('latin1', p, p + Math.min(n, MAX_REASON));
        this.skipped -= n;
        this.at += n;
        p += n;
        this.leave();
      } else {
        this.at++;
        this.takeByte(buffer[p++]!);
      }
    }
  }

  private takePrefix(buffer: Buffer, start: number, end: number): number {
    let p = start;
    for (; p < end && this.prefixBytes < PREFIX_BYTES; p++, this.prefixBytes++) {
      if (this.prefixBytes > 0) this.length = this.length * 256 + buffer[p]!;
      else if (buffer[p] !== 0) {
        this.isUnreadable = true;
        return p;
      } else this.length = 0;
    }
    if (this.prefixBytes < PREFIX_BYTES) return p;
    this.prefixBytes = 0;
    this.at = 0;
    this.messageEnd = this.length;
    this.hasEnd = false;
    this.reason = '';
    return p;
  }

  /** A byte of a varint: all else is passed over. */
  private takeByte(byte: number): void {
    this.value += (byte & 0x7f) * this.unit;
    if (byte >= 0x80) {
      this.unit *= 128;
      if (++this.varintBytes >= MAX_VARINT_BYTES || this.at === this.limit) this.isUnreadable = true;
      return;
    }
    const { value } = this;
    this.value = 0;
    this.unit = 1;
    this.varintBytes = 0;
    this.takeVarint(value);
    this.leave();
  }

  /** Where the present varint has to end. */
  private get limit(): number {
    if (this.reading === Reading.ids) return this.idsEnd;
    return this.part === null ? this.messageEnd : this.partEnd;
  }

  private takeVarint(value: number): void {
    if (this.reading === Reading.ids) {
      this.count();
      if (this.at === this.idsEnd) this.reading = Reading.tag;
    } else if (this.reading === Reading.tag) this.takeTag(value);
    else {
      const isLength = this.reading === Reading.length;
      this.reading = Reading.tag;
      if (isLength) this.enter(value);
      else this.takeNumber(value);
    }
  }

  private takeTag(tag: number): void {
    this.number = Math.floor(tag / 8);
    this.isReason = false;
    const wire = tag % 8;
    if (wire === Wire.varint) this.reading = Reading.value;
    else if (wire === Wire.bytes) this.reading = Reading.length;
    else if (wire === Wire.fixed64) this.skip(8);
    else if (wire === Wire.fixed32) this.skip(4);
    else this.isUnreadable = true;
    if (this.number === 0) this.isUnreadable = true;
  }

  /** A field of `bytes` bytes begins. */
  private enter(bytes: number): void {
    const { layout, part, number } = this;
    if (part !== null && number === part.ids) {
      this.idsEnd = this.at + bytes;
      if (this.idsEnd > this.partEnd) this.isUnreadable = true;
      else if (bytes > 0) this.reading = Reading.ids;
    } else if (part === null && (number === layout.chunk || number === layout.complete)) {
      this.partEnd = this.at + bytes;
      this.isChunk = number === layout.chunk;
      this.part = this.isChunk ? layout.chunkTokens : layout.completeTokens;
      if (!this.isChunk) this.hasEnd = true;
      if (this.partEnd > this.messageEnd) this.isUnreadable = true;
    } else {
      this.isReason = part !== null && !this.isChunk && number === layout.finishReason;
      if (this.isReason) this.reason = '';
      this.skip(bytes);
    }
  }

  private takeNumber(value: number): void {
    const { part, number } = this;
    if (part === null) return;
    if (number === part.ids) this.count();
    else if (number === part.promptTokens) this.prompt = value;
    else if (number === part.cachedTokens) this.cached = value;
  }

  private count(): void {
    if (this.isChunk) this.inChunks++;
    else this.inComplete++;
  }

  private skip(bytes: number): void {
    this.skipped = bytes;
    if (this.at + bytes > this.limit) this.isUnreadable = true;
  }

  /** What ends here is left. A message that ends within a field is none. */
  private leave(): void {
    const isBetween = this.reading === Reading.tag && this.skipped === 0;
    if (this.part !== null && this.at === this.partEnd) {
      this.part = null;
      if (!isBetween) this.isUnreadable = true;
    }
    if (this.at === this.messageEnd && !isBetween) this.isUnreadable = true;
  }
}
