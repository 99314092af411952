import type { Balancer } from './balancer.js';
import { LeastLoaded } from './least-loaded.js';
import { Prefix } from './prefix.js';
import { RingHash } from './ring-hash.js';
import { RoundRobin } from './round-robin.js';

/** What a policy may have beside its name. */
export interface BalancerOptions {
  /** Calls with a key go to its endpoint whatever the load. Read by ring-hash only; default: within bounds of load. */
  readonly ignoresLoad?: boolean;
  /** Reported load above which a key's endpoint passes calls on. Read by ring-hash only; default: never. */
  readonly spillAbove?: number | undefined;
  /** Tokens that the cache of an engine holds. Read by prefix only. */
  readonly cacheTokens?: number | undefined;
}

/** Tokens that the cache of an engine is taken to hold, unless it is said. */
export const DEFAULT_CACHE_TOKENS = 262_144;

/** A policy of the table. */
export interface BalancerEntry {
  readonly make: (random: () => number, options: BalancerOptions) => Balancer;
  /** Whether it chooses by the load that endpoints report, so that they are asked for it. */
  readonly readsReports: boolean;
  /** How it chooses, for the reference of options. */
  readonly meaning: string;
}

/** The load-balancing policies by the name that the configuration uses. One entry adds a policy; the first is the default. */
export const BALANCERS = {
  'least-loaded': {
    make: (random) => new LeastLoaded(random),
    readsReports: true,
    meaning: 'the better of two endpoints drawn at random, by recent latency times calls in flight',
  },
  'round-robin': { make: () => new RoundRobin(), readsReports: false, meaning: 'in turn' },
  'ring-hash': {
    make: (random, { ignoresLoad, spillAbove }) =>
      new RingHash(random, { ignoresLoad: ignoresLoad === true, spillAbove }),
    readsReports: true,
    meaning:
      'calls with the same metadata key or request parameter go to the same endpoint, and few of them move when endpoints come and go. With a metadata key, an overloaded endpoint passes calls on',
  },
  prefix: {
    make: (random, { cacheTokens = DEFAULT_CACHE_TOKENS }) => new Prefix(random, { cacheTokens }),
    readsReports: true,
    meaning:
      'for language-model engines: a prompt goes to the engine that was last sent most of its beginning, unless that has clearly more to do than others. Other calls go as by `least-loaded`',
  },
} satisfies Record<string, BalancerEntry>;

/** Name of a policy, as in `balance.kind`. */
export type BalancerKind = keyof typeof BALANCERS;

/** Names of all policies, the default first. */
export const BALANCER_KINDS = Object.keys(BALANCERS) as [BalancerKind, ...BalancerKind[]];

/** A new balancer of this kind. @param random in [0, 1); for policies that draw. Once per configuration of a cluster. */
export function makeBalancer(
  kind: BalancerKind,
  random: () => number,
  options: BalancerOptions = {},
): Balancer {
  return BALANCERS[kind].make(random, options);
}
