/**
 * Chance as an argument. Decisions take a `Random`, so a test with a seed sees the same choices every time.
 * Not for secrets: nothing here is unpredictable to an attacker.
 */

/** A uniform number in [0, 1). */
export type Random = () => number;

export const systemRandom: Random = Math.random;

/** A repeatable source (mulberry32): equal seeds give equal sequences. The seed is taken modulo 2^32. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
