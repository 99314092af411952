import type { EndpointConfig } from '../../../config/model.js';
import { present } from '../../../config/present.js';
import { getOrInsert } from '../../../runtime/get-or-insert.js';
import { ownOfEach } from '../../endpoint-subset.js';
import { CRITICAL_PRIORITY } from '../../snapshot.js';
import type { Instance } from '../parser/instances.js';
import { claimsOf } from '../registered-models.js';
import { DRAINING } from '../registration/checks.js';
import type { Target } from './target.js';

/** What is known of one target. */
export interface TargetInstances {
  readonly target: Target;
  /** Undefined: not known yet. */
  readonly instances: readonly Instance[] | undefined;
}

/** The instances of a cluster's targets as endpoints with priorities: which are tried before which, and why. */
export class ClusterEndpoints {
  /** An instance that has not changed is the same endpoint. By the target's place in the order, twice that, and one more for failover. */
  private readonly made: WeakMap<Instance, EndpointConfig>[] = [];

  /** @param seed chooses among too many: 32 bits, kept for the sidecar's life. */
  constructor(private readonly seed: number) {}

  /**
   * Of the target k, passing ones and those with a warning have the priority k, critical ones 1000 + k: they come after
   * all others, in the same order. An address that several targets name counts for the first of them.
   * @param limit of more of one priority only the sidecar's own subset is taken: the others would cost time with every
   *   change, and get nothing.
   */
  of(targets: readonly TargetInstances[], limit: number): readonly EndpointConfig[] {
    const [only] = targets;
    if (targets.length === 1)
      return this.own(only!.instances ?? [], limit).map((each) => this.endpoint(each, only!.target, 0));
    const byAddress = new Map<string, EndpointConfig>();
    const ofFirst = new Set<string>();
    targets.forEach(({ target, instances = [] }, at) => {
      for (const instance of this.own(instances, limit)) {
        const key = `${instance.address} ${instance.port}`;
        if (at === 0) ofFirst.add(key);
        const endpoint = this.endpoint(instance, target, at, !ofFirst.has(key));
        const known = byAddress.get(key);
        if (known === undefined || endpoint.priority! < known.priority!) byAddress.set(key, endpoint);
      }
    });
    return [...byAddress.values()];
  }

  private endpoint(instance: Instance, target: Target, at: number, isFailover = false): EndpointConfig {
    const place = 2 * at + (isFailover ? 1 : 0);
    this.made[place] ??= new WeakMap();
    return getOrInsert(this.made[place], instance, () => ({
      ...endpointOf(instance, target, at),
      ...(isFailover ? { isFailover } : {}),
    }));
  }

  private own(instances: readonly Instance[], limit: number): readonly Instance[] {
    if (instances.length <= limit) return instances;
    const critical = instances.filter(({ status }) => status === 'critical');
    const others = instances.filter(({ status }) => status !== 'critical');
    return ownOfEach([others, critical], ({ key }) => key, { limit, seed: this.seed });
  }
}

/** An instance as an endpoint. @param at the place of its target in the order of failover, from 0 */
function endpointOf(instance: Instance, target: Target, at: number): EndpointConfig {
  const isCritical = instance.status === 'critical';
  // What the instance says of itself, else region and zone, else its datacenter.
  const locality = instance.meta['locality'] ?? instance.place ?? instance.datacenter;
  return {
    address: { kind: 'tcp', host: instance.address, port: instance.port },
    id: instance.id,
    weight: instance.weight,
    priority: isCritical ? CRITICAL_PRIORITY + at : at,
    // The service that the caller asks for, not the one in the catalogue.
    service: target.service,
    ...(instance.datacenter === '' ? {} : { datacenter: instance.datacenter }),
    ...(locality === '' ? {} : { locality }),
    ...present('subset', target.subset),
    // Outriders say their version in the metadata of their registration.
    ...(instance.meta['outrider'] === undefined ? { isForeign: true } : {}),
    ...claimsOf(instance.meta),
    ...(isCritical ? { critical: instance.why === '' ? 'its checks fail' : instance.why } : {}),
    // After the name of the check.
    ...(isCritical && instance.why.endsWith(`: ${DRAINING}`) ? { isEnding: true } : {}),
  };
}
