/**
 * Chance by hand, for tests of decisions that draw.
 */
import type { Random } from '../../../sidecar/runtime/random.js';

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

/** Always `value`. */
export function constant(value: number): Random {
  return () => value;
}

/** The values in turn; throws when a decision draws more often than the test foresaw. */
export function sequence(...values: readonly number[]): Random {
  let next = 0;
  return () => {
    const value = values[next];
    if (value === undefined)
      throw new Error(`drew ${next + 1} times, only ${values.length} values were given`);
    next += 1;
    return value;
  };
}
