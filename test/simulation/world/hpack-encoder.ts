/** Header lists as a peer writes them that uses its dynamic table: fields with indexing, indexes, and tables that get smaller. */
import {
  type Field,
  HpackTable,
  indexed,
  integer,
  literal,
  tableSizeUpdate,
} from '../../kit/http2/hpack-lite.js';
import type { Dice } from '../dice.js';

/** Which the other side has until it says otherwise (RFC 7541 section 4.2). */
const DEFAULT_BYTES = 4_096;
/** Of the blocks begin with another size of the table. */
const RESIZE_SHARE = 0.02;
const INDEXED_NAME_BITS = 6;

export class HpackEncoder {
  private readonly table = new HpackTable(DEFAULT_BYTES);
  private allowedBytes = DEFAULT_BYTES;
  private usedBytes = DEFAULT_BYTES;
  private leastBytes = DEFAULT_BYTES;
  private isChanged = false;

  /** @param share of the fields that are kept in the table; 0: it is not used. */
  constructor(
    private readonly share: number,
    private readonly dice: Dice,
  ) {}

  /** SETTINGS_HEADER_TABLE_SIZE of the other side: the next block says that it holds. */
  allow(bytes: number): void {
    this.allowedBytes = bytes;
    if (bytes < this.usedBytes) this.use(bytes);
  }

  private use(bytes: number): void {
    this.leastBytes = Math.min(this.isChanged ? this.leastBytes : bytes, bytes);
    this.isChanged = true;
    this.usedBytes = bytes;
  }

  encode(fields: readonly Field[]): Buffer {
    const parts: Buffer[] = [];
    if (this.share > 0 && this.dice.chance(RESIZE_SHARE))
      this.use(Math.min(this.allowedBytes, this.dice.between(0, DEFAULT_BYTES)));
    if (this.isChanged) {
      this.isChanged = false;
      if (this.leastBytes < this.usedBytes) parts.push(this.resized(this.leastBytes));
      parts.push(this.resized(this.usedBytes));
    }
    for (const field of fields) parts.push(this.field(field));
    return Buffer.concat(parts);
  }

  private resized(bytes: number): Buffer {
    this.table.resize(bytes);
    return tableSizeUpdate(bytes);
  }

  private field([name, value]: Field): Buffer {
    if (this.share === 0) return literal(name, value);
    const whole = this.table.indexOf(([key, content]) => key === name && content === value);
    if (whole > 0) return indexed(whole);
    if (!this.dice.chance(this.share)) return literal(name, value);
    const known = this.table.indexOf(([key]) => key === name);
    this.table.add([name, value]);
    if (known === 0) return literal(name, value, 0x40);
    const bytes = Buffer.from(value, 'latin1');
    return Buffer.concat([integer(known, INDEXED_NAME_BITS, 0x40), integer(bytes.length, 7), bytes]);
  }
}
