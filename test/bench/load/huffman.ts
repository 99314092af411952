/**
 * The part of HPACK's Huffman code (RFC 7541 appendix B) that trace ids and gRPC timeouts need, for the benchmark's
 * requests. Written here and not taken from the engine, so that the two check one another; by bytes and not by
 * characters, because the load must cost little.
 */

const CODES: Readonly<Record<string, string>> = {
  0: '00000',
  1: '00001',
  2: '00010',
  3: '011001',
  4: '011010',
  5: '011011',
  6: '011100',
  7: '011101',
  8: '011110',
  9: '011111',
  a: '00011',
  b: '100011',
  c: '00100',
  d: '100100',
  e: '00101',
  f: '100101',
  u: '101101',
  '-': '010110',
};

/** Codes of the two hexadecimal digits of a byte, and their length in bits. */
const pairCode = new Uint16Array(256);
const pairBits = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  const text = [...byte.toString(16).padStart(2, '0')].map((digit) => CODES[digit]!).join('');
  pairCode[byte] = Number.parseInt(text, 2);
  pairBits[byte] = text.length;
}

/** Writes the Huffman code of RFC 7541 appendix B. */
export class HuffmanWriter {
  private out: Buffer = Buffer.alloc(0);
  private at = 0;
  private pending = 0;
  private have = 0;

  begin(out: Buffer, at: number): void {
    this.out = out;
    this.at = at;
    this.pending = 0;
    this.have = 0;
  }

  /** Two hexadecimal (or decimal) digits. */
  pair(byte: number): void {
    this.put(pairCode[byte]!, pairBits[byte]!);
  }

  dash(): void {
    this.put(0b010110, 6);
  }

  /** The unit of a timeout in microseconds. */
  micros(): void {
    this.put(0b101101, 6);
  }

  /** Pads with ones and returns where the code ends. */
  end(): number {
    if (this.have > 0) this.put(0xff >> this.have, 8 - this.have);
    return this.at;
  }

  private put(code: number, bits: number): void {
    let pending = (this.pending << bits) | code;
    let have = this.have + bits;
    while (have >= 8) {
      have -= 8;
      this.out[this.at++] = pending >>> have;
    }
    pending &= (1 << have) - 1;
    this.pending = pending;
    this.have = have;
  }
}
