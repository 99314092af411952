/**
 * A uniform number in [0, 1). Decisions get it as an argument, so that a test with a seed sees the
 * same choices each time. Not for secrets: it is predictable.
 */
export type Random = () => number;

/** Node's `Math.random`. */
export const systemRandom: Random = Math.random;

/**
 * A repeatable source (mulberry32): equal seeds give equal sequences. The seed is taken modulo
 * 2^32.
 */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
