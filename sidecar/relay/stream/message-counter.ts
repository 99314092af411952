import { HIGHEST_FLAG, PREFIX_BYTES } from '../../codec/grpc-message.js';

/**
 * Finds where the messages of a response end, from the lengths in their prefixes: O(1) for a frame that ends no message, and
 * O(1) for each message that ends in it. Nothing is copied, and no payload is looked at.
 */
export class MessageCounter {
  /** Complete messages so far. */
  messages = 0;
  /** The messages after the first one matter too. */
  goesOn = false;
  /** A prefix had a flag that gRPC does not know: no boundary can be told from there on. */
  isBroken = false;
  /** Bytes of the present message that are still to come, once its prefix is complete. */
  private left = 0;
  /** Bytes of the present prefix so far, and the length as far as they say it. */
  private prefix = 0;
  private length = 0;

  /** The bytes so far end with the end of a message. */
  get isBetween(): boolean {
    return this.left === 0 && this.prefix === 0 && !this.isBroken;
  }

  /** Takes the next bytes of the response. @returns how many messages they completed. */
  take(buffer: Buffer, start: number, end: number): number {
    const before = this.messages;
    for (let at = start; at >= 0 && at < end; ) at = this.next(buffer, at, end);
    return this.messages - before;
  }

  /**
   * Takes the next bytes as far as the end of the present message.
   * @returns the offset behind that end; −1: it is not in these bytes, and all of them have been taken.
   */
  next(buffer: Buffer, start: number, end: number): number {
    let at = start;
    if (this.left === 0) {
      at = this.takePrefix(buffer, start, end);
      if (at < 0) return -1;
    }
    const stop = at + this.left;
    if (stop > end) {
      this.left = stop - end;
      return -1;
    }
    this.left = 0;
    this.messages++;
    return stop;
  }

  /** @returns the offset behind the prefix; −1: it does not end here, or is none. */
  private takePrefix(buffer: Buffer, start: number, end: number): number {
    if (this.isBroken || (this.prefix === 0 && buffer[start]! > HIGHEST_FLAG)) {
      this.isBroken = true;
      return -1;
    }
    let at = start;
    if (this.prefix === 0 && end - start >= PREFIX_BYTES) {
      this.length = buffer.readUInt32BE(start + 1);
      this.prefix = PREFIX_BYTES;
      at += PREFIX_BYTES;
    }
    for (; this.prefix < PREFIX_BYTES && at < end; at++, this.prefix++)
      this.length = this.prefix === 0 ? 0 : this.length * 256 + buffer[at]!;
    if (this.prefix < PREFIX_BYTES) return -1;
    this.prefix = 0;
    this.left = this.length;
    return at;
  }
}
