/** Factors on the weights of endpoints; 0: no traffic. */
export interface Shares {
  readonly near: number;
  readonly far: number;
}

const ALIKE: Shares = { near: 1, far: 1 };

/** Share of the traffic that leaves the own locality, 0 to 1. @param eligible weight of its eligible endpoints. @param all of all of them. */
export function spillOf(eligible: number, all: number, spillBelow: number): number {
  if (!(all > 0)) return 1;
  const share = eligible / all;
  return share >= spillBelow ? 0 : 1 - share / spillBelow;
}

/**
 * Factors for endpoints of the own locality and of others. The own locality takes all traffic while enough of it is eligible; below
 * that a share that grows leaves it, so that the rest is not overloaded (Envoy's zone-aware routing and overprovisioning factor).
 * @param near weight of the eligible endpoints in the own locality; `nearAll` of all of them; `far` of the eligible elsewhere.
 */
export function sharesOf(near: number, nearAll: number, far: number, spillBelow: number): Shares {
  if (!(near > 0) || !(far > 0)) return ALIKE;
  const spill = spillOf(near, nearAll, spillBelow);
  if (spill === 0) return { near: 1, far: 0 };
  const ratio = (spill * near) / ((1 - spill) * far);
  return ratio <= 1 ? { near: 1, far: ratio } : { near: 1 / ratio, far: 1 };
}
