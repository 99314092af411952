import type { Balancer } from './balancer.js';
import { LeastLoaded } from './least-loaded.js';
import { RingHash } from './ring-hash.js';
import { RoundRobin } from './round-robin.js';

/** The load-balancing policies by the name that the configuration uses. One line adds a policy; the first is the default. */
export const BALANCERS = {
  'least-loaded': (random) => new LeastLoaded(random),
  'round-robin': () => new RoundRobin(),
  'ring-hash': (random) => new RingHash(random),
} satisfies Record<string, (random: () => number) => Balancer>;

/** Name of a policy, as in `balance.kind`. */
export type BalancerKind = keyof typeof BALANCERS;

/** Names of all policies, the default first. */
export const BALANCER_KINDS = Object.keys(BALANCERS) as [BalancerKind, ...BalancerKind[]];

/** A new balancer of this kind. @param random in [0, 1); for policies that draw. Once per configuration of a cluster. */
export function makeBalancer(kind: BalancerKind, random: () => number): Balancer {
  return BALANCERS[kind](random);
}
