import type { HeaderField } from './field.js';
import type { Name } from './name.js';

const WAYS = 4;

interface Entry<T> {
  readonly hash: number;
  /** Has to be equal too: id of the name and Huffman flag. */
  readonly context: number;
  readonly bytes: Uint8Array;
  readonly item: T;
}

/**
 * A cache from the bytes of a literal to the object decoded from them, so that a repeated literal costs neither Huffman
 * decoding nor a string and gives the same object. Bounded, four-way set-associative: a hit moves an entry one way up and a
 * miss replaces the last way, so a flood of values that do not repeat cannot evict those that do. Never-indexed and varying
 * fields, secrets among them, are not cached.
 */
export class ByteCache<T> {
  readonly #entries: (Entry<T> | null)[];
  readonly #setMask: number;
  #hash = 0;

  /** `sets` must be a power of two; each holds four entries. */
  constructor(sets: number) {
    this.#entries = new Array<Entry<T> | null>(sets * WAYS).fill(null);
    this.#setMask = sets - 1;
  }

  /** The item of these bytes in this context, or null: then `add` may follow at once with the same arguments. */
  find(context: number, buffer: Uint8Array, start: number, end: number): T | null {
    const hash = hashBytes(context, buffer, start, end);
    this.#hash = hash;
    const entries = this.#entries;
    const first = (hash & this.#setMask) * WAYS;
    for (let at = first; at < first + WAYS; at++) {
      const entry = entries[at]!;
      if (entry === null) return null;
      if (entry.hash !== hash || entry.context !== context || !equal(entry.bytes, buffer, start, end))
        continue;
      if (at > first) {
        entries[at] = entries[at - 1]!;
        entries[at - 1] = entry;
      }
      return entry.item;
    }
    return null;
  }

  /** Stores the item for the bytes of the `find` just before, which returned null. */
  add(context: number, buffer: Uint8Array, start: number, end: number, item: T): void {
    const entries = this.#entries;
    let at = (this.#hash & this.#setMask) * WAYS;
    const last = at + WAYS - 1;
    while (at < last && entries[at] !== null) at++;
    const bytes = Uint8Array.prototype.slice.call(buffer, start, end);
    entries[at] = { hash: this.#hash, context, bytes: new Uint8Array(bytes), item };
  }

  /** Removes all. */
  clear(): void {
    this.#entries.fill(null);
  }

  /** Entries in use, for tests and metrics. */
  get size(): number {
    let used = 0;
    for (const entry of this.#entries) if (entry !== null) used++;
    return used;
  }
}

function hashBytes(context: number, buffer: Uint8Array, start: number, end: number): number {
  let hash = Math.imul(context ^ ((end - start) << 20), 0x9e3779b1);
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const word = buffer[at]! | (buffer[at + 1]! << 8) | (buffer[at + 2]! << 16) | (buffer[at + 3]! << 24);
    hash = Math.imul(hash ^ word, 0x01000193);
    hash ^= hash >>> 15;
  }
  for (; at < end; at++) hash = Math.imul(hash ^ buffer[at]!, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

function equal(bytes: Uint8Array, buffer: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (bytes.length !== length) return false;
  for (let i = 0; i < length; i++) if (bytes[i] !== buffer[start + i]) return false;
  return true;
}

/** Literal names of up to MAX_CACHED_NAME_BYTES by their bytes; context is the Huffman flag. */
export const nameCache = new ByteCache<Name>(128);

/** Literal values of up to MAX_CACHED_VALUE_BYTES by their bytes; context is the id of the name and the Huffman flag. */
export const fieldCache = new ByteCache<HeaderField>(1024);
