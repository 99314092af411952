/**
 * A uniform number in [0, 1). Decisions get it as an argument, so that a test with a seed sees the
 * same choices each time. Not for secrets: it is predictable.
 */
export type Random = () => number;

/** Node's `Math.random`. */
export const systemRandom: Random = Math.random;
