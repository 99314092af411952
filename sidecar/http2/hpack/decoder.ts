import { DynamicTable } from './dynamic-table.js';
import { HpackError } from './errors.js';
import { FieldError, type HeaderField } from './field.js';
import { HeaderBlock, StableList } from './header-list.js';
import { Cursor, readInteger } from './integer.js';
import { readName, readValue } from './literal.js';
import type { Name } from './name.js';
import { STATIC_COUNT, STATIC_FIELDS } from './static-table.js';
import { Token } from './tokens.js';

/** Table size updates at the begin of a block, at most (RFC 7541 section 4.2). */
const MOST_UPDATES = 2;

/** Size of a `grpc-status` field, at most. */
export const MOST_STATUS_BYTES = 64;

/** Limits of a decoder. */
export interface DecoderOptions {
  /** Our SETTINGS_HEADER_TABLE_SIZE, in bytes. */
  readonly maxTableBytes: number;
  /** Our SETTINGS_MAX_HEADER_LIST_SIZE, in bytes by RFC 9113 section 10.5.1. */
  readonly maxListBytes: number;
  /** Most fields in a list. */
  readonly maxFields: number;
}

/**
 * Decodes header blocks (RFC 7541 section 3) into fields that repeat and fields that vary. Throws for what the RFC forbids,
 * because the table is then out of step. Limits on the list do not throw: decoding continues, to keep the table in step, and
 * further fields are dropped. Whether a list is well-formed is header-view.ts's.
 */
export class Decoder {
  readonly #maxListBytes: number;
  readonly #maxFields: number;
  readonly #table: DynamicTable;
  readonly #cursor = new Cursor();
  #maxTableBytes: number;
  /** Smallest setting since the last block if the table is larger: the next block must begin with an update. Else −1. */
  #owedUpdate = -1;
  // The block being decoded.
  #stable: StableList;
  #extras: HeaderField[] | null = null;
  #bytes = 0;
  #count = 0;
  #overLimit = false;
  /** A status beyond the limits has been kept. */
  #hasLateStatus = false;
  #regular = false;
  #misordered = false;

  constructor(options: DecoderOptions) {
    this.#maxTableBytes = options.maxTableBytes;
    this.#maxListBytes = options.maxListBytes;
    this.#maxFields = options.maxFields;
    this.#table = new DynamicTable(options.maxTableBytes);
    this.#stable = StableList.root();
  }

  /** Entries and bytes in the dynamic table. */
  get table(): { readonly count: number; readonly bytes: number } {
    return this.#table;
  }

  /** To be called when the peer has acknowledged a new SETTINGS_HEADER_TABLE_SIZE of ours. */
  setMaxTableBytes(bytes: number): void {
    this.#maxTableBytes = bytes;
    if (bytes < this.#table.limit)
      this.#owedUpdate = this.#owedUpdate < 0 ? bytes : Math.min(this.#owedUpdate, bytes);
  }

  /**
   * Decodes the whole block in [start, end).
   * Throws HpackError for any violation of RFC 7541: the decoder cannot be used afterwards.
   */
  decode(buffer: Buffer, start: number, end: number): HeaderBlock {
    const cursor = this.#cursor;
    cursor.at = start;
    if (this.#owedUpdate >= 0 || isUpdate(buffer, start, end)) this.#readUpdates(buffer, end);
    this.#stable = StableList.root();
    this.#extras = null;
    this.#overLimit = false;
    this.#hasLateStatus = false;
    while (cursor.at < end) {
      if (this.#extras === null) this.#readIndexedRun(buffer, end);
      if (cursor.at === end) break;
      const first = buffer[cursor.at]!;
      if (first >= 0x80) this.#add(this.#indexed(buffer, end, first));
      else if (first >= 0x40) this.#insertedLiteral(buffer, end);
      else if (first < 0x20) this.#plainLiteral(buffer, end, first >= 0x10);
      else throw new HpackError('table size update inside a block');
    }
    const extras = this.#extras;
    if (extras === null) return this.#wholeBlock();
    this.#extras = null; // an idle connection keeps no credentials
    return new HeaderBlock(this.#stable, extras, this.#bytes, this.#count, this.#overLimit, this.#misordered);
  }

  #wholeBlock(): HeaderBlock {
    const stable = this.#stable;
    stable.block ??= new HeaderBlock(stable, null, stable.bytes, stable.count, false, stable.misordered);
    return stable.block;
  }

  /** Most of a block: indexes of fields that are stable for good, while there are no extras. Stops at anything else. */
  #readIndexedRun(buffer: Buffer, end: number): void {
    const table = this.#table;
    const maxBytes = this.#maxListBytes;
    const maxFields = this.#maxFields;
    let stable = this.#stable;
    let at = this.#cursor.at;
    for (; at < end; at++) {
      const index = buffer[at]! - 0x80;
      if (index <= 0 || index === 0x7f) break;
      const field = index <= STATIC_COUNT ? STATIC_FIELDS[index]! : table.get(index - STATIC_COUNT - 1);
      if (field === null || !field.isStable) break;
      const next = stable.with(field);
      if (next.bytes > maxBytes || next.count > maxFields) break;
      stable = next;
    }
    this.#cursor.at = at;
    this.#stable = stable;
  }

  #readUpdates(buffer: Buffer, end: number): void {
    const cursor = this.#cursor;
    for (let updates = 0; isUpdate(buffer, cursor.at, end); updates++) {
      if (updates === MOST_UPDATES) throw new HpackError('too many table size updates');
      const bytes = readInteger(buffer, cursor, end, 0x1f);
      if (bytes > this.#maxTableBytes) throw new HpackError('table size update above the limit');
      if (this.#owedUpdate >= 0 && bytes <= this.#owedUpdate) this.#owedUpdate = -1;
      this.#table.setLimit(bytes);
    }
    if (this.#owedUpdate >= 0) throw new HpackError('no table size update after the limit was lowered');
  }

  #indexed(buffer: Buffer, end: number, first: number): HeaderField {
    if (first === 0xff) return this.#entry(readInteger(buffer, this.#cursor, end, 0x7f));
    this.#cursor.at++;
    return this.#entry(first & 0x7f);
  }

  #entry(index: number): HeaderField {
    if (index <= STATIC_COUNT) {
      if (index === 0) throw new HpackError('index 0');
      return STATIC_FIELDS[index]!;
    }
    const field = this.#table.get(index - STATIC_COUNT - 1);
    if (field === null) throw new HpackError('index past the end of the table');
    return field;
  }

  #insertedLiteral(buffer: Buffer, end: number): void {
    const name = this.#literalName(buffer, end, 0x3f);
    const field = readValue(buffer, this.#cursor, end, name, false);
    this.#table.insert(field);
    this.#add(field);
  }

  #plainLiteral(buffer: Buffer, end: number, neverIndexed: boolean): void {
    const name = this.#literalName(buffer, end, 0x0f);
    this.#add(readValue(buffer, this.#cursor, end, name, neverIndexed));
  }

  #literalName(buffer: Buffer, end: number, mask: number): Name {
    const index = readInteger(buffer, this.#cursor, end, mask);
    return index === 0 ? readName(buffer, this.#cursor, end) : this.#entry(index).info;
  }

  #add(field: HeaderField): void {
    if (field.error === FieldError.whitespace && !field.info.pseudo) this.#addTrimmed(field);
    else if (this.#extras === null) this.#addStable(field);
    else this.#addWithExtras(field);
  }

  /** While there are no extras, the list itself has all counts. */
  #addStable(field: HeaderField): void {
    const stable = this.#stable;
    const within = stable.bytes + field.size <= this.#maxListBytes && stable.count < this.#maxFields;
    if (within && field.countUse()) {
      this.#stable = stable.with(field);
      return;
    }
    const extras = this.#beginExtras();
    if (this.#countField(field)) extras.push(field);
  }

  /** From here on the counts are not those of the stable list. */
  #beginExtras(): HeaderField[] {
    const stable = this.#stable;
    this.#bytes = stable.bytes;
    this.#count = stable.count;
    this.#misordered = stable.misordered;
    this.#regular = stable.hasRegular;
    this.#extras = [];
    return this.#extras;
  }

  /** A field with whitespace at the ends of its value: counted as it came. */
  #addTrimmed(field: HeaderField): void {
    const extras = this.#extras ?? this.#beginExtras();
    if (this.#countField(field)) extras.push(field.trimmed());
  }

  #addWithExtras(field: HeaderField): void {
    if (!this.#countField(field)) return;
    const extras = this.#extras!;
    if (field.countUse() && !holdsName(extras, field.name)) this.#stable = this.#stable.with(field);
    else extras.push(field);
  }

  /** Counts a field; false if it is above the limits. */
  #countField(field: HeaderField): boolean {
    this.#count++;
    this.#bytes += field.size;
    if (this.#bytes > this.#maxListBytes || this.#count > this.#maxFields) this.#overLimit = true;
    if (this.#overLimit) return this.#keepsLate(field);
    if (!field.info.pseudo) this.#regular = true;
    else if (this.#regular) this.#misordered = true;
    return true;
  }

  /** The status of a call is kept above the limits as well, once: it is short, and says how it ended. */
  #keepsLate(field: HeaderField): boolean {
    if (this.#hasLateStatus || field.token !== Token.grpcStatus || field.size > MOST_STATUS_BYTES)
      return false;
    this.#hasLateStatus = true;
    return true;
  }
}

function isUpdate(buffer: Buffer, at: number, end: number): boolean {
  return at < end && (buffer[at]! & 0xe0) === 0x20;
}

function holdsName(fields: readonly HeaderField[], name: string): boolean {
  for (let at = 0; at < fields.length; at++) if (fields[at]!.name === name) return true;
  return false;
}
