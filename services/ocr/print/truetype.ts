/**
 * Outlines of glyphs from a TrueType font (OpenType 1.9: `head`, `cmap` format 4, `loca`, `glyf`, `hhea`, `hmtx`). It reads
 * what printing a line of text needs: no hinting, no kerning, no ligatures, no composite that is scaled.
 */

/** A point of an outline in font units, y upwards. A point off the curve controls a quadratic Bézier. */
export interface OutlinePoint {
  readonly x: number;
  readonly y: number;
  readonly onCurve: boolean;
}

export interface Glyph {
  /** Closed contours; none for a blank. */
  readonly contours: readonly (readonly OutlinePoint[])[];
  /** From its origin to that of the next glyph, font units. */
  readonly advance: number;
}

/** Flags of a point in `glyf`, and of a part of a composite glyph. */
const [ON_CURVE, X_SHORT, Y_SHORT, REPEAT, X_SAME, Y_SAME] = [1, 2, 4, 8, 16, 32];
const [ARE_WORDS, ARE_OFFSETS, HAS_MORE, IS_SCALED] = [1, 2, 32, 8 | 64 | 128];

/** A font file in memory. Throws an Error for a table or a format that is missing. */
export class TrueTypeFont {
  readonly unitsPerEm: number;
  /** Height above and depth below the base line, both positive, font units. */
  readonly ascent: number;
  readonly descent: number;
  private readonly data: DataView;
  private readonly tables = new Map<string, number>();
  private readonly hasLongOffsets: boolean;
  private readonly metrics: number;

  constructor(file: Uint8Array) {
    this.data = new DataView(file.buffer, file.byteOffset, file.byteLength);
    for (let i = 0, at = 12; i < this.data.getUint16(4); i++, at += 16) {
      const name = String.fromCharCode(...file.subarray(at, at + 4));
      this.tables.set(name, this.data.getUint32(at + 8));
    }
    this.unitsPerEm = this.data.getUint16(this.table('head') + 18);
    this.hasLongOffsets = this.data.getInt16(this.table('head') + 50) === 1;
    this.ascent = this.data.getInt16(this.table('hhea') + 4);
    this.descent = -this.data.getInt16(this.table('hhea') + 6);
    this.metrics = this.data.getUint16(this.table('hhea') + 34);
  }

  /** The glyph of a character of the basic plane. Throws where the font has none. */
  glyph(character: string): Glyph {
    const index = this.indexOf(character.charCodeAt(0));
    if (index === 0) throw new Error(`the font has no glyph for '${character}'`);
    const metric = this.table('hmtx') + 4 * Math.min(index, this.metrics - 1);
    return { contours: this.contours(index), advance: this.data.getUint16(metric) };
  }

  private table(name: string): number {
    const at = this.tables.get(name);
    if (at === undefined) throw new Error(`the font has no table '${name}'`);
    return at;
  }

  private indexOf(code: number): number {
    const { data } = this;
    const cmap = this.table('cmap');
    let at = 0;
    for (let i = 0; i < data.getUint16(cmap + 2); i++) {
      const subtable = cmap + data.getUint32(cmap + 8 + 8 * i);
      if (data.getUint16(subtable) === 4) at = subtable;
    }
    if (at === 0) throw new Error("the font's table 'cmap' has no format 4");
    const doubled = data.getUint16(at + 6); // twice the number of segments
    for (let i = 0; i < doubled; i += 2) {
      if (data.getUint16(at + 14 + i) < code) continue;
      const start = data.getUint16(at + 16 + doubled + i);
      if (start > code) return 0;
      const delta = data.getUint16(at + 16 + 2 * doubled + i);
      const rangeAt = at + 16 + 3 * doubled + i;
      const range = data.getUint16(rangeAt);
      if (range === 0) return (code + delta) & 0xffff;
      const index = data.getUint16(rangeAt + range + 2 * (code - start));
      return index === 0 ? 0 : (index + delta) & 0xffff;
    }
    return 0;
  }

  private contours(index: number): (readonly OutlinePoint[])[] {
    const loca = this.table('loca');
    const offset = (i: number) =>
      this.hasLongOffsets ? this.data.getUint32(loca + 4 * i) : 2 * this.data.getUint16(loca + 2 * i);
    if (offset(index) === offset(index + 1)) return [];
    const at = this.table('glyf') + offset(index);
    const count = this.data.getInt16(at);
    return count < 0 ? this.composite(at + 10) : this.simple(at + 10, count);
  }

  private simple(at: number, count: number): (readonly OutlinePoint[])[] {
    const { data } = this;
    const ends = Array.from({ length: count }, (_, i) => data.getUint16(at + 2 * i));
    const points = (ends.at(-1) ?? -1) + 1;
    let next = at + 2 * count + 2 + data.getUint16(at + 2 * count); // past the instructions
    const flags: number[] = [];
    while (flags.length < points) {
      const flag = data.getUint8(next++);
      const times = (flag & REPEAT) !== 0 ? data.getUint8(next++) + 1 : 1;
      for (let i = 0; i < times; i++) flags.push(flag);
    }
    const coordinates = (short: number, same: number): number[] => {
      let value = 0;
      return flags.map((flag) => {
        if ((flag & short) !== 0)
          value += (flag & same) !== 0 ? data.getUint8(next++) : -data.getUint8(next++);
        else if ((flag & same) === 0) {
          value += data.getInt16(next);
          next += 2;
        }
        return value;
      });
    };
    const xs = coordinates(X_SHORT, X_SAME);
    const ys = coordinates(Y_SHORT, Y_SAME);
    const all = flags.map((flag, i) => ({ x: xs[i]!, y: ys[i]!, onCurve: (flag & ON_CURVE) !== 0 }));
    return ends.map((end, i) => all.slice(i === 0 ? 0 : ends[i - 1]! + 1, end + 1));
  }

  private composite(start: number): (readonly OutlinePoint[])[] {
    const contours = [];
    for (let at = start, flags = HAS_MORE; (flags & HAS_MORE) !== 0; ) {
      flags = this.data.getUint16(at);
      const part = this.contours(this.data.getUint16(at + 2));
      if ((flags & ARE_OFFSETS) === 0 || (flags & IS_SCALED) !== 0)
        throw new Error('the font scales a part of a composite glyph');
      const areWords = (flags & ARE_WORDS) !== 0;
      const dx = areWords ? this.data.getInt16(at + 4) : this.data.getInt8(at + 4);
      const dy = areWords ? this.data.getInt16(at + 6) : this.data.getInt8(at + 5);
      at += areWords ? 8 : 6;
      for (const contour of part) contours.push(contour.map((p) => ({ ...p, x: p.x + dx, y: p.y + dy })));
    }
    return contours;
  }
}
