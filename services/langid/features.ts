/** What the network of lande sees of a text: how often each of 620 sequences of one to four characters stands in it. */

/** The sequences that count, by their length; the names are those of the package. */
export interface Ngrams {
  readonly unigrams: readonly string[];
  readonly bigrams: readonly string[];
  readonly trigrams: readonly string[];
  readonly quadgrams: readonly string[];
}

const LONGEST = 4;
const UTF16_UNITS = 0x10000;

/**
 * Computes features; made once. The sequences are a trie in two flat tables, so that a text is walked without a string being
 * made: what it costs would otherwise be more than the network.
 */
export class FeatureExtractor {
  /** Number of features of a text. */
  readonly size: number;
  /** For each length, the first of its features, and behind the last length the end. */
  private readonly bounds: readonly number[];
  /** A number from 1 for each UTF-16 unit that is in a sequence; 0 for the others. */
  private readonly units = new Uint16Array(UTF16_UNITS);
  private readonly alphabet: number;
  /** `next[node × alphabet + unit]`: the node behind it; 0 where no sequence goes on. Node 0 is the root. */
  private readonly next: Uint16Array;
  /** Of each node: its feature, or −1 where no sequence ends. */
  private readonly features: Int16Array;

  constructor({ unigrams, bigrams, trigrams, quadgrams }: Ngrams) {
    const lists = [unigrams, bigrams, trigrams, quadgrams];
    const sequences = lists.flat();
    this.size = sequences.length;
    let end = 0;
    this.bounds = [0, ...lists.map((list) => (end += list.length))];
    let alphabet = 1;
    for (const unit of sequences.join('').split('').map(codeOf))
      if (this.units[unit] === 0) this.units[unit] = alphabet++;
    this.alphabet = alphabet;
    const most = 1 + sequences.reduce((sum, { length }) => sum + length, 0);
    this.next = new Uint16Array(most * alphabet);
    this.features = new Int16Array(most).fill(-1);
    let nodes = 1;
    sequences.forEach((sequence, feature) => {
      let node = 0;
      for (const unit of sequence.split('').map(codeOf)) {
        const edge = node * alphabet + this.units[unit]!;
        if (this.next[edge] === 0) this.next[edge] = nodes++;
        node = this.next[edge]!;
      }
      this.features[node] = feature;
    });
  }

  /** Writes the features of one text to `into` at `offset`, where zeros are. False: the text has no letter. */
  write(text: string, into: Float32Array, offset: number): boolean {
    const normal = normalised(text);
    this.count(normal, into, offset);
    for (let length = 1; length <= LONGEST; length++) {
      const total = Math.max(1, normal.length - length + 1);
      const end = offset + this.bounds[length]!;
      for (let at = offset + this.bounds[length - 1]!; at < end; at++) into[at]! /= total;
    }
    return normal.trim() !== '';
  }

  /** Adds 1 for every place at which a sequence stands. */
  private count(text: string, into: Float32Array, offset: number): void {
    for (let start = 0; start < text.length; start++) {
      let node = 0;
      for (let at = start; at < text.length && at < start + LONGEST; at++) {
        const unit = this.units[text.charCodeAt(at)]!;
        node = unit === 0 ? 0 : this.next[node * this.alphabet + unit]!;
        if (node === 0) break;
        const feature = this.features[node]!;
        if (feature >= 0) into[offset + feature]! += 1;
      }
    }
  }
}

const codeOf = (unit: string): number => unit.charCodeAt(0);

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
