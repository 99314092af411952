import type { UpstreamConfig } from '../config/model.js';
import type { Balancer } from '../core/balancing/balancer.js';
import { makeBalancer } from '../core/balancing/balancers.js';

type BalanceConfig = UpstreamConfig['balance'];

/** The balancer that a configuration asks for. @param random in [0, 1). */
export function balancerFor(config: BalanceConfig, random: () => number): Balancer {
  return makeBalancer(config.kind, random, { ignoresLoad: ignoresLoad(config) });
}

/** Whether the balancer of one configuration serves the other too: that is not made for a key, which calls bring along. */
export function isSameBalancer(one: BalanceConfig, other: BalanceConfig): boolean {
  return one.kind === other.kind && ignoresLoad(one) === ignoresLoad(other);
}

/** Calls that stick by a parameter are sequences, with their state at the endpoint. */
function ignoresLoad(config: BalanceConfig): boolean {
  return config.kind === 'ring-hash' && config.hashOn !== undefined;
}
