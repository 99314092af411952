import type { UpstreamConfig } from '../config/model.js';
import type { Balancer } from '../core/balancing/balancer.js';
import { BALANCERS, makeBalancer } from '../core/balancing/balancers.js';
import { isOn } from '../core/outlier/detectors.js';

type BalanceConfig = UpstreamConfig['balance'];

/** The balancer that a configuration asks for. @param random in [0, 1). */
export function balancerFor(config: BalanceConfig, random: () => number): Balancer {
  return makeBalancer(config.kind, random, {
    ignoresLoad: ignoresLoad(config),
    spillAbove: spillAbove(config),
    cacheTokens: config.kind === 'prefix' ? config.cacheTokens : undefined,
  });
}

/** Whether the balancer of one configuration serves the other too: that is not made for a key, which calls bring along. */
export function isSameBalancer(one: BalanceConfig, other: BalanceConfig): boolean {
  if (one.kind === 'prefix' && other.kind === 'prefix') return one.cacheTokens === other.cacheTokens;
  const isAlike = ignoresLoad(one) === ignoresLoad(other) && spillAbove(one) === spillAbove(other);
  return one.kind === other.kind && isAlike;
}

/** Whether what endpoints report of their load is read: by the choice of one, or before a slow one is ejected. */
export function readsReports({ balance, ejection }: UpstreamConfig): boolean {
  return BALANCERS[balance.kind].readsReports || isOn(ejection.detectors?.latency);
}

/** From what reported load on calls leave the endpoint of their key; undefined: they go by no reports. */
export function spillAbove(config: BalanceConfig): number | undefined {
  return config.kind === 'ring-hash' ? config.spillAbove : undefined;
}

/** Calls that stick by a parameter are sequences, with their state at the endpoint; a model can be loaded at another. */
export function ignoresLoad(config: BalanceConfig): boolean {
  return config.kind === 'ring-hash' && config.hashOn?.parameter !== undefined;
}
