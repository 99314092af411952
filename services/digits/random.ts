/**
 * The one source of chance in making the digits models: seeded, so that the same seed gives the same split,
 * the same weights and the same bytes on every machine.
 */

/** A generator with a state of its own: what it gives next depends on what it gave before. */
export interface Random {
  /** Uniform in [0, 1), 32 bits of it. */
  next(): number;
  /** Standard normal (Box–Muller). */
  normal(): number;
  /** Fisher–Yates, in place. */
  shuffle<T extends { length: number; [index: number]: number }>(values: T): T;
}

/** Mulberry32: 32 bits of state, period 2^32, plenty for some million draws. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const shuffle = <T extends { length: number; [index: number]: number }>(values: T): T => {
    for (let i = values.length - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1));
      const held = values[i]!;
      values[i] = values[j]!;
      values[j] = held;
    }
    return values;
  };
  return { next, normal, shuffle };
}
