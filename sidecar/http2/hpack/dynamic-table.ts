import type { HeaderField } from './field.js';

const FIRST_SLOTS = 32;

/** A decoder's dynamic table (RFC 7541 sections 2.3.2 and 4): a ring of fields, bounded in bytes by RFC 7541 section 4.1. */
export class DynamicTable {
  #ring: (HeaderField | null)[] = new Array<HeaderField | null>(FIRST_SLOTS).fill(null);
  #mask = FIRST_SLOTS - 1;
  #newest = -1;
  count = 0;
  /** Sum of the sizes of its entries. */
  bytes = 0;

  /** `limit`: bytes that its entries may have. */
  constructor(public limit: number) {}

  /** The entry `age` insertions old (0 is the newest), null if there is none. */
  get(age: number): HeaderField | null {
    return age < this.count ? this.#ring[(this.#newest - age) & this.#mask]! : null;
  }

  /** RFC 7541 section 4.4: evicts until the field fits; one larger than the table only empties it. */
  insert(field: HeaderField): void {
    this.#shrinkTo(this.limit - field.size);
    if (field.size > this.limit) return;
    if (this.count > this.#mask) this.#grow();
    this.#newest = (this.#newest + 1) & this.#mask;
    this.#ring[this.#newest] = field;
    this.count++;
    this.bytes += field.size;
  }

  /** A table size update, bytes (RFC 7541 section 4.3). */
  setLimit(limit: number): void {
    this.limit = limit;
    this.#shrinkTo(limit);
  }

  #shrinkTo(bytes: number): void {
    while (this.count > 0 && this.bytes > bytes) {
      const oldest = (this.#newest - this.count + 1) & this.#mask;
      this.bytes -= this.#ring[oldest]!.size;
      this.#ring[oldest] = null;
      this.count--;
    }
  }

  #grow(): void {
    const ring = new Array<HeaderField | null>((this.#mask + 1) * 2).fill(null);
    for (let at = 0; at < this.count; at++) ring[at] = this.get(this.count - 1 - at);
    this.#ring = ring;
    this.#mask = ring.length - 1;
    this.#newest = this.count - 1;
  }
}
