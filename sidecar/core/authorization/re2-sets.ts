/** Sets of characters as RE2 names them, and what is done with them. */

/** Code units, both ends included, in ascending order and apart. */
export type Ranges = readonly (readonly [number, number])[];

export const MAX_UNIT = 0xffff;

const DIGIT: Ranges = [[0x30, 0x39]];
const SPACE: Ranges = ranges([0x09, 0x0a], [0x0c, 0x0d], [0x20, 0x20]);
const WORD: Ranges = ranges([0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]);
/** After a backslash; in upper case, their complements. */
export const ESCAPED_SETS: Readonly<Record<string, Ranges>> = { d: DIGIT, s: SPACE, w: WORD };
/** Between `[:` and `:]`. */
export const POSIX: Readonly<Record<string, Ranges>> = {
  alnum: ranges([0x30, 0x39], [0x41, 0x5a], [0x61, 0x7a]),
  alpha: ranges([0x41, 0x5a], [0x61, 0x7a]),
  ascii: ranges([0, 0x7f]),
  blank: ranges([0x09, 0x09], [0x20, 0x20]),
  cntrl: ranges([0, 0x1f], [0x7f, 0x7f]),
  digit: DIGIT,
  graph: ranges([0x21, 0x7e]),
  lower: ranges([0x61, 0x7a]),
  print: ranges([0x20, 0x7e]),
  punct: ranges([0x21, 0x2f], [0x3a, 0x40], [0x5b, 0x60], [0x7b, 0x7e]),
  space: ranges([0x09, 0x0d], [0x20, 0x20]),
  upper: ranges([0x41, 0x5a]),
  word: WORD,
  xdigit: ranges([0x30, 0x39], [0x41, 0x46], [0x61, 0x66]),
};

/** In order and apart. */
export function ranges(...found: readonly (readonly [number, number])[]): Ranges {
  const merged: [number, number][] = [];
  for (const [low, high] of [...found].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last !== undefined && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else merged.push([low, high]);
  }
  return merged;
}

export function complement(found: Ranges): Ranges {
  const rest: [number, number][] = [];
  let from = 0;
  for (const [low, high] of found) {
    if (low > from) rest.push([from, low - 1]);
    from = high + 1;
  }
  if (from <= MAX_UNIT) rest.push([from, MAX_UNIT]);
  return rest;
}

/** ASCII letters in both cases; `k` and `s` have a third form outside ASCII, which no header holds. */
export function withBothCases(found: Ranges): Ranges {
  const more: [number, number][] = [];
  for (const [low, high] of found) {
    more.push([low, high]);
    for (const [a, z, shift] of [
      [0x41, 0x5a, 32],
      [0x61, 0x7a, -32],
    ] as const) {
      const from = Math.max(low, a);
      const to = Math.min(high, z);
      if (from <= to) more.push([from + shift, to + shift]);
    }
  }
  return ranges(...more);
}
