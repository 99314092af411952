/** Octets of the prefix of a gRPC message: a flag and its length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;
/** The flag says whether the message is compressed; the protocol defines no higher one. */
const HIGHEST_FLAG = 1;

/**
 * Finds where the messages of a response end, from the lengths in their prefixes: O(1) for a frame that ends no message, and
 * O(1) for each message that ends in it. Nothing is copied, and no payload is looked at.
 */
export class MessageCounter {
  /** Complete messages so far. */
  messages = 0;
  /** After `take`: offset behind the last message that ended in these octets; −1: none did. */
  endOfLast = -1;
  /** A prefix had a flag that gRPC does not know: no boundary can be told from there on. */
  isBroken = false;
  /** Octets of the present message that are still to come, once its prefix is complete. */
  private left = 0;
  /** Octets of the present prefix so far, and the length as far as they say it. */
  private prefix = 0;
  private length = 0;

  /** Whether the next octet begins a message. */
  get isBetween(): boolean {
    return this.prefix === 0 && this.left === 0;
  }

  /** Takes the next octets of the response. @returns how many messages they completed. */
  take(buffer: Buffer, start: number, end: number): number {
    this.endOfLast = -1;
    if (this.isBroken) return 0;
    const before = this.messages;
    let at = start;
    while (at < end) {
      if (this.left > 0) {
        const step = Math.min(this.left, end - at);
        this.left -= step;
        at += step;
        if (this.left === 0) this.complete(at);
        continue;
      }
      at = this.takePrefix(buffer, at, end);
      if (at < 0) break;
    }
    return this.messages - before;
  }

  /** @returns the offset behind what was read of the prefix; −1: it is not one. */
  private takePrefix(buffer: Buffer, start: number, end: number): number {
    if (this.prefix === 0 && buffer[start]! > HIGHEST_FLAG) {
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
    if (this.prefix < PREFIX_BYTES) return at;
    this.left = this.length;
    this.prefix = 0;
    if (this.left === 0) this.complete(at);
    return at;
  }

  private complete(at: number): void {
    this.messages++;
    this.endOfLast = at;
  }
}
