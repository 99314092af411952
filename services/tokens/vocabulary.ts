/**
 * Bytes and the numbers that the network has for them. Number 0 stands for every byte that the training text does not have:
 * it may be read, and is never written.
 */

/** The number of a byte that is not in the vocabulary. */
export const UNKNOWN = 0;

/** The bytes that a network knows, ascending; the first of them has number 1. */
export class Vocabulary {
  readonly bytes: Uint8Array;
  private readonly numbers = new Uint8Array(256);

  /** Throws an Error for bytes that are not ascending, or for all 256, which leave no number for the unknown. */
  constructor(bytes: Uint8Array) {
    if (bytes.length === 0 || bytes.length > 255)
      throw new Error(`vocabulary: found ${bytes.length} bytes, expected 1 to 255`);
    bytes.forEach((byte, i) => {
      if (i > 0 && byte <= bytes[i - 1]!) throw new Error('vocabulary: expected each byte once, ascending');
      this.numbers[byte] = i + 1;
    });
    this.bytes = bytes;
  }

  /** The bytes that occur in a text. */
  static of(text: string): Vocabulary {
    return new Vocabulary(Uint8Array.from(new Set(Buffer.from(text))).sort());
  }

  /** With the unknown. */
  get size(): number {
    return this.bytes.length + 1;
  }

  /** One number for each byte of the text in UTF-8. */
  encode(text: string): Uint8Array {
    return Uint8Array.from(Buffer.from(text), (byte) => this.numbers[byte]!);
  }

  /** The byte of a number; undefined for the unknown. */
  byteOf(number: number): number | undefined {
    return number === UNKNOWN ? undefined : this.bytes[number - 1];
  }
}
