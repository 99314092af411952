/** Most bytes of one id: 32 bits, 7 in each, and 64 where an encoder takes a negative number for one. */
const MAX_ID_BYTES = 10;
const FIRST_BYTES = 256;

/** Token ids in the order in which they came, as varints, so that they are copied from one message to another as they are. */
export class TokenIds {
  count = 0;
  length = 0;
  private bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);

  /** Bytes of memory that it takes. */
  get capacity(): number {
    return this.bytes.length;
  }

  /** Adds bytes `[from, to)`, a row of varints. False: the last one is cut off, or one is too long; nothing is added. */
  add(buffer: Buffer, from: number, to: number): boolean {
    let count = 0;
    let run = 0;
    for (let at = from; at < to; at++) {
      if (buffer[at]! < 0x80) {
        count++;
        run = 0;
      } else if (++run >= MAX_ID_BYTES) return false;
    }
    if (run > 0) return false;
    this.reserve(to - from);
    buffer.copy(this.bytes, this.length, from, to);
    this.length += to - from;
    this.count += count;
    return true;
  }

  /** Takes back what was added last. */
  truncate(length: number, count: number): void {
    this.length = length;
    this.count = count;
  }

  /** Adds an id. */
  addId(id: number): void {
    const bytes: number[] = [];
    let rest = id;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 0x80);
    bytes.push(rest);
    this.add(Buffer.from(bytes), 0, bytes.length);
  }

  /** Not copied; valid until the next `add`. */
  view(from = 0, to = this.length): Buffer {
    return this.bytes.subarray(from, to);
  }

  /** Where id `n` begins, from 0; `length` for the one after the last. */
  startOf(n: number): number {
    let at = 0;
    for (let i = 0; i < n && at < this.length; i++) at = this.after(at);
    return at;
  }

  /** Where the last id begins; there is one. */
  get lastStart(): number {
    let at = this.length - 1;
    while (at > 0 && this.bytes[at - 1]! >= 0x80) at--;
    return at;
  }

  /** The id that begins at `at`, beyond 2^53 not exact. */
  idAt(at: number): number {
    let value = 0;
    for (let p = at, unit = 1; p < this.length; p++, unit *= 128) {
      value += (this.bytes[p]! & 0x7f) * unit;
      if (this.bytes[p]! < 0x80) break;
    }
    return value;
  }

  private after(at: number): number {
    let end = at;
    while (this.bytes[end]! >= 0x80) end++;
    return end + 1;
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.bytes.length, this.length + more));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}
