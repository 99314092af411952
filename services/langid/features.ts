/** What the network of lande sees of a text: how often each of 620 sequences of one to four characters stands in it. */

/** The sequences that count, by their length; the names are those of the package. */
export interface Ngrams {
  readonly unigrams: readonly string[];
  readonly bigrams: readonly string[];
  readonly trigrams: readonly string[];
  readonly quadgrams: readonly string[];
}

/** Computes features; made once, as it turns the sequences into tables. */
export class FeatureExtractor {
  /** Number of features of a text. */
  readonly size: number;
  /** For sequences of 1, 2, 3 and 4 UTF-16 units: their places among the features. */
  private readonly places: readonly ReadonlyMap<string, number>[];

  constructor({ unigrams, bigrams, trigrams, quadgrams }: Ngrams) {
    let next = 0;
    this.places = [unigrams, bigrams, trigrams, quadgrams].map(
      (sequences) => new Map(sequences.map((sequence) => [sequence, next++])),
    );
    this.size = next;
  }

  /** Writes the features of one text to `into` at `offset`, where zeros are. False: the text has no letter. */
  write(text: string, into: Float32Array, offset: number): boolean {
    const normal = normalised(text);
    this.places.forEach((places, i) => {
      const length = i + 1;
      const total = normal.length - i;
      for (let start = 0; start < total; start++) {
        const place = places.get(normal.slice(start, start + length));
        if (place !== undefined) into[offset + place]! += 1;
      }
      for (const place of places.values()) into[offset + place]! /= Math.max(1, total);
    });
    return normal.trim() !== '';
  }
}

/** Lower-case letters and marks with single spaces between words, one before the first and one behind the last. */
export function normalised(text: string): string {
  const words = text
    .replace(/-+/g, ' ')
    .replace(/[^\p{L}\p{M}\s]/gu, '')
    .replace(/\s{2,}/g, ' ')
    .toLowerCase()
    .trim();
  return ` ${words} `;
}
