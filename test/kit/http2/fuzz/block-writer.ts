/** Header blocks in every representation of RFC 7541, clean or tampered with. */
import { type Field, indexed, integer, literal, STATIC, tableSizeUpdate } from '../hpack-lite.js';
import type { Dice } from './dice.js';

/** Indexes in the static table, RFC 7541 appendix A: of whole fields, and the first of each name. */
const WHOLE = new Map(STATIC.map((field, i) => [field.join(' '), i + 1]));
const NAMES = new Map(STATIC.map(([name], i): [string, number] => [name, i + 1]).reverse());

/** Values with their Huffman code (RFC 7541 appendix C). */
const CODED: readonly (readonly [string, string])[] = [
  ['www.example.com', 'f1e3c2e5f23a6ba0ab90f4ff'],
  ['no-cache', 'a8eb10649cbf'],
  ['custom-value', '25a849e95bb8e8b4bf'],
  ['private', 'aec3771a4b'],
];

export class BlockWriter {
  /** The newest entries that we put into their table, newest first; forgotten after tampering. */
  private recent: Field[] = [];

  constructor(private readonly dice: Dice) {}

  /** Plain literals that nothing of before can touch. */
  plain(fields: readonly Field[]): Buffer {
    return Buffer.concat(fields.map(([name, value]) => literal(name, value, this.dice.pick([0x00, 0x10]))));
  }

  clean(fields: readonly Field[]): Buffer {
    const { dice } = this;
    const parts: Buffer[] = [];
    if (dice.chance(0.02)) {
      // A smaller table evicts; all but the newest entries may be gone.
      parts.push(tableSizeUpdate(dice.pick([0, 200])), tableSizeUpdate(4096));
      this.recent = [];
    }
    for (const field of fields) parts.push(this.field(field));
    if (dice.chance(0.1)) {
      const [, code] = dice.pick(CODED);
      const bytes = Buffer.from(code, 'hex');
      parts.push(
        Buffer.concat([Buffer.from([0, 3]), Buffer.from('x-h'), integer(bytes.length, 7, 0x80), bytes]),
      );
    }
    return Buffer.concat(parts);
  }

  /** Bytes that may or may not decode. */
  tampered(fields: readonly Field[]): Buffer {
    const { dice } = this;
    const bytes = Buffer.from(this.clean(fields));
    this.recent = [];
    for (let n = dice.between(1, 3); n > 0; n--) {
      const how = dice.below(4);
      if (how === 0 && bytes.length > 0) bytes[dice.below(bytes.length)] = dice.below(256);
      else if (how === 1 && bytes.length > 0) return bytes.subarray(0, dice.below(bytes.length));
      else if (how === 2) return Buffer.concat([bytes, dice.bytes(dice.between(1, 6))]);
      else if (bytes.length > 0) bytes[dice.below(bytes.length)]! ^= 1 << dice.below(8);
    }
    return bytes;
  }

  private field(field: Field): Buffer {
    const { dice } = this;
    const [name, value] = field;
    const known = this.recent.findIndex(([n, v]) => n === name && v === value);
    if (known >= 0 && dice.chance(0.7)) return indexed(62 + known);
    const whole = WHOLE.get(`${name} ${value}`);
    if (whole !== undefined && dice.chance(0.7)) return indexed(whole);
    const pattern = dice.pick([0x00, 0x10, 0x40] as const);
    const named = NAMES.get(name);
    const bytes =
      named !== undefined && dice.chance(0.7)
        ? Buffer.concat([
            integer(named, pattern === 0x40 ? 6 : 4, pattern),
            integer(value.length, 7),
            Buffer.from(value, 'latin1'),
          ])
        : literal(name, value, pattern);
    if (pattern === 0x40) this.recent = [field, ...this.recent].slice(0, 6);
    return bytes;
  }
}
