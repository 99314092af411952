import type { DiscoveryConfig, DiscoveryTarget } from '../../../config/model.js';
import { defined } from '../../../config/present.js';
import { filterFor, type Target } from '../catalog/target.js';
import { quote } from '../parser/json-fields.js';
import { type ChainPlan, isPlain, plainPlan } from './chain-plan.js';
import type { ClusterPlan } from './resolver.js';

/** What of Consul's rules about a service does not hold as the upstream names its target, in the file or in an adopted registration. Empty: it has none, or the upstream names none. */
export function passedOverBy(consul: DiscoveryConfig, plan: ChainPlan): string[] {
  if (!hasOwnTarget(consul) || isPlain(plan, consul)) return [];
  const said = `the service-router, -splitter or -resolver of ${quote(consul.service)} is not applied`;
  return [`${said}: the upstream says which of its instances are called (tags, meta or failover).`];
}

/** Whether the upstream says itself where calls go, beyond a datacenter; the registry's rules for that are not applied then, its limits are. */
export function hasOwnTarget({ tags, meta, failover }: DiscoveryConfig): boolean {
  return tags.length > 0 || Object.keys(meta).length > 0 || failover.length > 0;
}

/** The cluster that the file names, with its failover targets. */
export function ownPlan(consul: DiscoveryConfig): ChainPlan {
  return plainPlan({ targets: [consul, ...consul.failover].map(targetOf) });
}

/** A target of the file, with a filter for its tags and metadata. */
function targetOf({ service, datacenter, tags, meta }: DiscoveryTarget): Target {
  return { service, ...defined({ datacenter, filter: filterFor(tags, meta) }) };
}

/** The same plan with the services themselves as targets, not their proxies. */
export function withoutMesh(plan: ChainPlan): ChainPlan {
  const clusters = [...plan.clusters].map(([name, cluster]): [string, ClusterPlan] => {
    const targets = cluster.targets.map((target): Target => ({ ...target, via: 'plain' }));
    return [name, { ...cluster, targets }];
  });
  return { ...plan, clusters: new Map(clusters) };
}
