/** Counts the gRPC messages in the DATA of one call, whatever the frame borders, and sees when one is malformed. */

/** Cuts the DATA of one call into gRPC messages. */
export class Deframer {
  messages = 0;
  /** Length of the last whole message, prefix included. */
  lastBytes = 0;
  /** Every whole message so far had the same length. */
  uniform = true;
  private prefixHave = 0;
  private length = 0;
  private left = 0;

  get isAtBorder(): boolean {
    return this.prefixHave === 0;
  }

  push(buffer: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.prefixHave < 5) {
        this.length = this.prefixHave === 0 ? 0 : this.length * 256 + buffer[at]!;
        at++;
        this.prefixHave++;
        if (this.prefixHave < 5) continue;
        this.left = this.length;
      } else {
        const n = Math.min(this.left, end - at);
        this.left -= n;
        at += n;
      }
      if (this.left === 0) this.finishMessage();
    }
  }

  private finishMessage(): void {
    const bytes = this.length + 5;
    if (this.messages > 0 && bytes !== this.lastBytes) this.uniform = false;
    this.lastBytes = bytes;
    this.messages++;
    this.prefixHave = 0;
  }
}
