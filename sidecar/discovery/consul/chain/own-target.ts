import type { DiscoveryConfig } from '../../../config/model.js';
import { quote } from '../parser/json-fields.js';
import { type ChainPlan, isPlain } from './chain-plan.js';

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
