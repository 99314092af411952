/**
 * Endpoints near by first: they take all of the traffic while enough of them are eligible, and below that hand on a part
 * that grows as they become fewer, so that those left are not drowned (Envoy's overprovisioning, per locality).
 */

/** What each weight is multiplied by; 0 for those that are to get nothing. */
export interface Shares {
  readonly near: number;
  readonly far: number;
}

const ALIKE: Shares = { near: 1, far: 1 };

/** The part of the traffic that goes elsewhere, 0 to 1. `eligible` and `all` are weights of those near by. */
export function spillOf(eligible: number, all: number, spillBelow: number): number {
  if (!(all > 0)) return 1;
  const share = eligible / all;
  return share >= spillBelow ? 0 : 1 - share / spillBelow;
}

/**
 * How the weights have to be changed so that the far get their part.
 * @param near weight of the eligible near by; `nearAll` of all of them; `far` of the eligible elsewhere.
 */
export function sharesOf(near: number, nearAll: number, far: number, spillBelow: number): Shares {
  if (!(near > 0) || !(far > 0)) return ALIKE;
  const spill = spillOf(near, nearAll, spillBelow);
  if (spill === 0) return { near: 1, far: 0 };
  const ratio = (spill * near) / ((1 - spill) * far);
  return ratio <= 1 ? { near: 1, far: ratio } : { near: 1 / ratio, far: 1 };
}
