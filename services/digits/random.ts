/**
 * The one source of chance in making the digits models: seeded, so that the same seed gives the same split,
 * the same weights and the same bytes on every machine.
 */

import { seededChance } from '../seeded-chance.js';

/** A generator with a state of its own: what it gives next depends on what it gave before. */
export interface Random {
  /** Uniform in [0, 1), 32 bits of it. */
  next(): number;
  /** Standard normal (Box–Muller). */
  normal(): number;
  /** Fisher–Yates, in place. */
  shuffle<T extends { length: number; [index: number]: number }>(values: T): T;
}

export function seededRandom(seed: number): Random {
  const next = seededChance(seed);
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
