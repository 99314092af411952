import type { DiscoveryTarget } from '../../config/model.js';
import { type ChainPlan, planOf } from '../../discovery/consul/chain/chain-plan.js';
import type { AskedAgent } from './asked-agent.js';

/**
 * Where the rules in Consul lead calls to a service, as a sidecar asks for them: those of the agent's datacenter, for the instances of the one
 * that the upstream names. Undefined: the agent has none (404).
 * @throws AgentError; Error where the answer is no discovery chain.
 */
export async function askedPlan(
  agent: AskedAgent,
  { service, datacenter }: Pick<DiscoveryTarget, 'service' | 'datacenter'>,
): Promise<ChainPlan | undefined> {
  const query = datacenter === undefined ? {} : { 'compile-dc': datacenter };
  const chain = await agent.textIfAny(`/discovery-chain/${encodeURIComponent(service)}`, query);
  return chain === '' ? undefined : planOf(chain, datacenter === undefined ? 'here' : 'elsewhere');
}
