/**
 * The part of HPACK's Huffman code (RFC 7541 appendix B) that trace ids and gRPC timeouts need, for the benchmark's
 * requests. Written here and not taken from the engine, so that the two check one another; by bytes and not by
 * characters, because the load must cost little.
 */

import { CODES } from '../../kit/http2/hpack-lite.js';

/** Code and length in bits of each byte. */
const codes = new Map(
  [...CODES].map(([key, byte]) => [byte, { code: key % 2 ** 32, bits: Math.floor(key / 2 ** 32) }]),
);

function codeOf(char: string): { readonly code: number; readonly bits: number } {
  return codes.get(char.charCodeAt(0))!;
}

const DASH = codeOf('-');
const MICROS = codeOf('u');
/** Codes of the two hexadecimal digits of a byte, and their length in bits. */
const pairCode = new Uint16Array(256);
const pairBits = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  const [high, low] = [...byte.toString(16).padStart(2, '0')].map(codeOf) as [typeof DASH, typeof DASH];
  pairCode[byte] = (high.code << low.bits) | low.code;
  pairBits[byte] = high.bits + low.bits;
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
    this.put(DASH.code, DASH.bits);
  }

  /** The unit of a timeout in microseconds. */
  micros(): void {
    this.put(MICROS.code, MICROS.bits);
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
