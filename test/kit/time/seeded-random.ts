/**
 * Chance by hand, for tests of decisions that draw.
 */
import type { Random } from '../../../sidecar/runtime/random.js';

export { seeded } from '../../../sidecar/runtime/random.js';

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
