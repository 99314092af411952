/** The instances of a cluster's targets as endpoints with priorities: who is to be tried before whom, and why. */

import type { EndpointConfig } from '../../config/model.js';
import { CRITICAL_PRIORITY } from '../knowledge.js';
import type { Instance } from './instances.js';
import type { Target } from './target.js';

/** What is known of one target. */
export interface TargetInstances {
  readonly target: Target;
  /** Undefined: not known yet. */
  readonly instances: readonly Instance[] | undefined;
}

export class ClusterEndpoints {
  /** An instance that has not changed is the same endpoint. By the target's place in the order. */
  private readonly made: WeakMap<Instance, EndpointConfig>[] = [];

  /**
   * Of the target k, passing ones and those with a warning have the priority k, critical ones 1000 + k: they come after
   * everybody else, in the same order. An address that several targets name counts for the first of them.
   */
  of(targets: readonly TargetInstances[]): readonly EndpointConfig[] {
    const [only] = targets;
    if (targets.length === 1) return this.endpoints(only!, 0);
    const byKey = new Map<string, EndpointConfig>();
    targets.forEach((each, at) => {
      const endpoints = this.endpoints(each, at);
      each.instances?.forEach(({ key }, i) => {
        const known = byKey.get(key);
        if (known === undefined || endpoints[i]!.priority! < known.priority!) byKey.set(key, endpoints[i]!);
      });
    });
    return [...byKey.values()];
  }

  private endpoints({ target, instances }: TargetInstances, at: number): readonly EndpointConfig[] {
    this.made[at] ??= new WeakMap();
    const made = this.made[at];
    return (instances ?? []).map((instance) => {
      let endpoint = made.get(instance);
      if (endpoint === undefined) {
        endpoint = endpointOf(instance, target, at);
        made.set(instance, endpoint);
      }
      return endpoint;
    });
  }
}

function endpointOf(instance: Instance, target: Target, at: number): EndpointConfig {
  const isCritical = instance.status === 'critical';
  return {
    address: { kind: 'tcp', host: instance.address, port: instance.port },
    id: instance.id,
    weight: instance.weight,
    priority: isCritical ? CRITICAL_PRIORITY + at : at,
    // Whom the caller means, not whom the catalogue says it is.
    service: target.service,
    ...(instance.datacenter === '' ? {} : { datacenter: instance.datacenter }),
    ...(target.subset === undefined ? {} : { subset: target.subset }),
    ...(isCritical ? { critical: instance.why === '' ? 'its checks fail' : instance.why } : {}),
  };
}
