import type { AdoptedProxy, ConsulConfig } from '../../config/model.js';
import { proxiesOf, readAdoptedProxy } from '../../discovery/consul/registration/adopted-proxy.js';
import type { AskedAgent } from '../consul/asked-agent.js';

/**
 * The registration that `consul.adopt` names, as its sidecar reads it; a text says why there is none that a sidecar could adopt.
 * @throws AgentError
 */
export async function readAdopted(
  agent: AskedAgent,
  { proxy, sidecarFor = '' }: NonNullable<ConsulConfig['adopt']>,
): Promise<AdoptedProxy | string> {
  const ids =
    proxy === undefined ? proxiesOf(sidecarFor, (await agent.get('/agent/services')).body) : [proxy];
  const [id] = ids;
  if (id === undefined || ids.length > 1) {
    const found = id === undefined ? 'no proxy' : `${ids.length} proxies (${ids.join(', ')})`;
    return `consul.adopt: the agent has ${found} of the service ${JSON.stringify(sidecarFor)}; expected one`;
  }
  const text = await agent.textIfAny(`/agent/service/${encodeURIComponent(id)}`);
  if (text === '') return `consul.adopt: the agent has no registration ${JSON.stringify(id)}`;
  return readAdoptedProxy(Buffer.from(text));
}
