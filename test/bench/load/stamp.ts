/** When a message was sent, inside it: sender and receiver are one process and read one clock. */

/** Before each gRPC message: whether it is compressed, and its length. */
const PREFIX_BYTES = 5;
const STAMP_BYTES = 8;

/** A copy of the message with the time `atMs` in its first bytes. */
export function stamped(message: Buffer, atMs: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeDoubleBE(atMs, PREFIX_BYTES);
  return copy;
}

/** Reads the stamps of the messages of one call, whatever the frame borders. Messages have one length. */
export class StampReader {
  private readonly bytes = Buffer.alloc(STAMP_BYTES);
  /** Bytes of the present message that have passed. */
  private at = 0;

  /** `onStamp` gets the time in each message that ends in these bytes. */
  push(
    buffer: Buffer,
    start: number,
    end: number,
    messageBytes: number,
    onStamp: (ms: number) => void,
  ): void {
    for (let p = start; p < end; ) {
      if (this.at >= PREFIX_BYTES && this.at < PREFIX_BYTES + STAMP_BYTES) {
        this.bytes[this.at - PREFIX_BYTES] = buffer[p]!;
        this.at++;
        p++;
      } else {
        const next = this.at < PREFIX_BYTES ? PREFIX_BYTES : messageBytes;
        const n = Math.min(next - this.at, end - p);
        this.at += n;
        p += n;
      }
      if (this.at < messageBytes) continue;
      this.at = 0;
      onStamp(this.bytes.readDoubleBE(0));
    }
  }
}
