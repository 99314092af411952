import { ENOUGH_USES, type HeaderField } from './field.js';
import type { StableList } from './header-list.js';
import { writeInteger } from './integer.js';
import { fieldLiteral, Representation } from './literal-writer.js';
import { type Name, Volatility } from './name.js';
import { STATIC_COUNT, staticIndexOf } from './static-table.js';

/** Bytes used of the table that the peer offers; also the initial size of both sides (RFC 9113 section 6.5.2). */
export const MAX_TABLE_BYTES = 4096;

/** Stable fields sent as literals because the table is full, after which it is restarted. */
export const MISSES_BEFORE_RESTART = 4096;

/** Memos of one encoder, bytes; a memo also counts for the list that it references. */
const MAX_MEMO_BYTES = 131_072;
const LIST_BYTES_PER_FIELD = 64;

/** A field larger than this is not inserted for its name alone, bytes. */
const MAX_NAME_ENTRY_BYTES = 160;

/** Two table size updates of at most three bytes each, with room to spare. */
const UPDATE_BYTES = 16;

interface Memo {
  readonly epoch: number;
  readonly bytes: Uint8Array;
  /** Stable fields of it that are literals because the table is full. */
  readonly misses: number;
  readonly weight: number;
}

/**
 * Encodes header lists (RFC 7541 section 6). A list that repeats costs one look-up and a copy: the dynamic table is filled with
 * stable fields and then left as it is, so that indexes, and bytes memoised with them, stay valid. Fields that vary are sent
 * without indexing. When too many stable fields have no place in the table, it is restarted.
 */
export class Encoder {
  #maxBytes = MAX_TABLE_BYTES;
  /** Smallest size to announce in the next block; −1: none. */
  #smallestUpdate = -1;
  #bytes = 0;
  #inserted = 0;
  #misses = 0;
  /** Changes with everything that changes an index. */
  #epoch = 0;
  readonly #entries = new Map<HeaderField, number>();
  readonly #names = new Map<string, number>();
  readonly #memos = new Map<StableList, Memo>();
  #memoBytes = 0;
  #lastList: StableList | null = null;
  #lastMemo: Memo | null = null;

  /**
   * The peer's SETTINGS_HEADER_TABLE_SIZE, bytes, of which at most MAX_TABLE_BYTES are used.
   * The next block begins with the updates that RFC 7541 section 4.2 requires.
   */
  setMaxTableBytes(bytes: number): void {
    const size = Math.min(bytes, MAX_TABLE_BYTES);
    if (size === this.#maxBytes && this.#smallestUpdate < 0) return;
    this.#smallestUpdate = this.#smallestUpdate < 0 ? size : Math.min(this.#smallestUpdate, size);
    if (size < this.#maxBytes) this.#restart();
    else this.#epoch++; // there may be room now for what had none
    this.#maxBytes = size;
  }

  /** Memos and their size, table entries and their size; for tests and metrics. */
  get usage(): { memos: number; memoBytes: number; entries: number; tableBytes: number } {
    const { size: memos } = this.#memos;
    return { memos, memoBytes: this.#memoBytes, entries: this.#entries.size, tableBytes: this.#bytes };
  }

  /** Bytes that `encode` needs at most. */
  bound(stable: StableList, extras: readonly HeaderField[]): number {
    let bytes = stable.bytes + UPDATE_BYTES;
    for (let at = 0; at < extras.length; at++) bytes += extras[at]!.size;
    return bytes;
  }

  /**
   * Writes one whole block at `at` and returns the position after it; `out` must have room for `bound`.
   * Blocks must reach the peer in the order they were encoded, each exactly once.
   * Pseudo-headers among the extras are written first, whatever the order.
   */
  encode(stable: StableList, extras: readonly HeaderField[], out: Buffer, at: number): number {
    let end = this.#smallestUpdate < 0 ? at : this.#writeUpdates(out, at);
    let regular = 0;
    for (; regular < extras.length && extras[regular]!.info.pseudo; regular++)
      end = this.#writeExtra(extras[regular]!, out, end);
    const memo = stable === this.#lastList ? this.#lastMemo : this.#findMemo(stable);
    if (memo !== null && memo.epoch === this.#epoch) {
      end = copyBytes(memo.bytes, out, end);
      if (memo.misses > 0) this.#countMisses(memo.misses);
    } else end = this.#writeStable(stable, out, end);
    for (; regular < extras.length; regular++) end = this.#writeExtra(extras[regular]!, out, end);
    return end;
  }

  #writeUpdates(out: Buffer, at: number): number {
    if (this.#smallestUpdate < this.#maxBytes) at = writeInteger(out, at, 0x20, 0x1f, this.#smallestUpdate);
    this.#smallestUpdate = -1;
    return writeInteger(out, at, 0x20, 0x1f, this.#maxBytes);
  }

  #findMemo(stable: StableList): Memo | null {
    const memo = this.#memos.get(stable) ?? null;
    this.#lastList = stable;
    this.#lastMemo = memo;
    return memo;
  }

  #writeStable(stable: StableList, out: Buffer, at: number): number {
    const epoch = this.#epoch;
    const fields = stable.toFields();
    let end = at;
    let misses = 0;
    let settled = true;
    for (const field of fields) {
      const index = this.#indexOf(field);
      if (index > 0) end = writeInteger(out, end, 0x80, 0x7f, index);
      else if (field.neverIndexed || field.volatility === Volatility.varying)
        end = this.#writeExtra(field, out, end);
      else if (field.uses < ENOUGH_USES) {
        settled = false;
        end = this.#writeLiteral(field, Representation.withoutIndexing, out, end);
      } else if (this.#fits(field)) {
        end = this.#writeLiteral(field, Representation.withIndexing, out, end);
        this.#entries.set(field, this.#inserted);
        this.#insert(field);
      } else {
        if (field.size <= this.#maxBytes) misses++;
        end = this.#writeLiteral(field, Representation.withoutIndexing, out, end);
      }
    }
    if (settled && this.#epoch === epoch) this.#remember(stable, out, at, end, misses);
    if (misses > 0) this.#countMisses(misses);
    return end;
  }

  #indexOf(field: HeaderField): number {
    const insertion = this.#entries.get(field);
    if (insertion !== undefined) return this.#dynamicIndex(insertion);
    if (field.info.staticIndex === 0 || field.neverIndexed) return 0;
    return staticIndexOf(field.name, field.value);
  }

  /** Entries from before a restart may be left at the peer; they follow ours and are evicted as ours are inserted. */
  #dynamicIndex(insertion: number): number {
    return STATIC_COUNT + this.#inserted - insertion;
  }

  #insert(field: HeaderField): void {
    this.#names.set(field.name, this.#inserted);
    this.#inserted++;
    this.#bytes += field.size;
    this.#epoch++;
  }

  #fits(field: HeaderField): boolean {
    return this.#bytes + field.size <= this.#maxBytes;
  }

  /** Without indexing, except the first of a name that most calls carry: inserted, so that the others refer to its name. */
  #writeExtra(field: HeaderField, out: Buffer, at: number): number {
    if (field.neverIndexed) return this.#writeLiteral(field, Representation.neverIndexed, out, at);
    const name = field.info;
    if (
      !name.worthIndexing ||
      this.#names.has(name.text) ||
      field.size > MAX_NAME_ENTRY_BYTES ||
      !this.#fits(field)
    )
      return this.#writeLiteral(field, Representation.withoutIndexing, out, at);
    const end = this.#writeLiteral(field, Representation.withIndexing, out, at);
    this.#insert(field);
    return end;
  }

  #writeLiteral(field: HeaderField, representation: number, out: Buffer, at: number): number {
    return fieldLiteral(field, representation, this.#nameIndex(field.info), out, at);
  }

  #nameIndex(name: Name): number {
    if (name.staticIndex > 0) return name.staticIndex;
    const insertion = this.#names.get(name.text);
    return insertion === undefined ? 0 : this.#dynamicIndex(insertion);
  }

  #remember(stable: StableList, out: Buffer, start: number, end: number, misses: number): void {
    const weight = end - start + LIST_BYTES_PER_FIELD * (stable.count + 1);
    if (weight > MAX_MEMO_BYTES) return;
    this.#memoBytes += weight - (this.#memos.get(stable)?.weight ?? 0);
    if (this.#memoBytes > MAX_MEMO_BYTES) {
      this.#forget();
      this.#memoBytes = weight;
    }
    const bytes = new Uint8Array(end - start);
    bytes.set(out.subarray(start, end));
    const memo: Memo = { epoch: this.#epoch, bytes, misses, weight };
    this.#memos.set(stable, memo);
    this.#lastList = stable;
    this.#lastMemo = memo;
  }

  #forget(): void {
    this.#memos.clear();
    this.#memoBytes = 0;
    this.#lastList = null;
    this.#lastMemo = null;
  }

  #countMisses(misses: number): void {
    this.#misses += misses;
    if (this.#misses >= MISSES_BEFORE_RESTART) this.#restart();
  }

  /**
   * Restarts the table. Nothing has to be announced: earlier entries are the oldest at the peer, and new ones together never
   * exceed the size of the table, so insertions evict earlier entries first and never a new one.
   */
  #restart(): void {
    this.#entries.clear();
    this.#names.clear();
    this.#forget();
    this.#bytes = 0;
    this.#misses = 0;
    this.#epoch++;
  }
}

/** Up to this length a loop is faster than a call into the runtime. */
const SHORT_COPY = 16;

function copyBytes(bytes: Uint8Array, out: Buffer, at: number): number {
  const length = bytes.length;
  if (length > SHORT_COPY) out.set(bytes, at);
  else for (let i = 0; i < length; i++) out[at + i] = bytes[i]!;
  return at + length;
}
