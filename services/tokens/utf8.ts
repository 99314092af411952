/** Which byte may follow which in UTF-8, after table 3-7 of the Unicode Standard (well-formed byte sequences). */

/** What is missing of a character: how many bytes, and the range of the next one. */
export interface Unfinished {
  readonly missing: number;
  readonly lowest: number;
  readonly highest: number;
}

/** Between two characters. */
export const BETWEEN: Unfinished = { missing: 0, lowest: 0, highest: 0xf4 };

/** Whether text stays well-formed with this byte next. */
export function mayFollow(unfinished: Unfinished, byte: number): boolean {
  if (byte < unfinished.lowest || byte > unfinished.highest) return false;
  return unfinished.missing > 0 || byte < 0x80 || byte >= 0xc2;
}

/** What is missing after a byte that may follow. */
export function after(unfinished: Unfinished, byte: number): Unfinished {
  const missing = unfinished.missing > 0 ? unfinished.missing - 1 : bytesAfterLead(byte);
  if (missing === 0) return BETWEEN;
  const isLead = unfinished.missing === 0;
  // Overlong forms, surrogates, and what is above U+10FFFF.
  const lowest = isLead && byte === 0xe0 ? 0xa0 : isLead && byte === 0xf0 ? 0x90 : 0x80;
  const highest = isLead && byte === 0xed ? 0x9f : isLead && byte === 0xf4 ? 0x8f : 0xbf;
  return { missing, lowest, highest };
}

function bytesAfterLead(byte: number): number {
  if (byte < 0x80) return 0;
  return byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
}
