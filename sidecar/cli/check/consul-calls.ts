/**
 * The calls of a mesh by what Consul says of them: intentions between the two services, and the sidecars of the one that is
 * called. `consul troubleshoot proxy` asks the same of Envoy; here nothing runs beside the sidecar that could be asked.
 */
import type { Address } from '../../config/model.js';
import type { AskedAgent } from '../consul/asked-agent.js';
import { oneLine } from '../failure.js';
import { checkReach } from './endpoints.js';
import { type Finding, failed, ok, warning } from './finding.js';
import type { Call } from './subject.js';

/** One call: may it be made, and is there something to call. An upstream whose endpoints are in the file is not asked for. */
export async function checkCall(
  agent: AskedAgent,
  call: Call,
  { hasConsulIntentions }: { readonly hasConsulIntentions: boolean },
): Promise<Finding[]> {
  const { from, inConsul, discovery } = call;
  if (inConsul === undefined) return [];
  const allowed = hasConsulIntentions ? [await checkIntention(agent, from, inConsul)] : [];
  return [...allowed, ...(await checkInstances(agent, inConsul, discovery?.datacenter))];
}

/** Whether Consul's intentions let one service call another, with the command that would allow it. */
async function checkIntention(agent: AskedAgent, source: string, destination: string): Promise<Finding> {
  try {
    const { Allowed } = (await agent.json('/connect/intentions/check', { source, destination })) as {
      Allowed: boolean;
    };
    if (Allowed || (await hasPermissions(agent, source, destination)))
      return ok('intention', `${source} may call ${destination}`);
    const next = `consul intention create -allow ${source} ${destination}`;
    return failed('intention', `no intention in Consul lets ${source} call ${destination}`, next);
  } catch (error) {
    return warning(
      'intention',
      `whether ${source} may call ${destination}: ${oneLine(error)}`,
      'the token\'s policy needs intentions = "read"',
    );
  }
}

/** Rules for single calls (Consul 1.9): to Consul's own question they are a no. */
async function hasPermissions(agent: AskedAgent, source: string, destination: string): Promise<boolean> {
  const found = (await agent.json('/connect/intentions/match', {
    by: 'destination',
    name: destination,
  })) as Record<string, { SourceName: string; Permissions?: unknown[] }[]>;
  return (found[destination] ?? []).some(
    ({ SourceName, Permissions = [] }) => SourceName === source && Permissions.length > 0,
  );
}

/** A sidecar as `/health/connect/NAME` lists it; only what is read of it. */
interface Instance {
  readonly Node: { readonly Address: string };
  readonly Service: { readonly Address: string; readonly Port: number };
  readonly Checks: readonly { readonly Status: string }[];
}

/**
 * The sidecars of a service that Consul would let callers use, and whether connections to them can be made from here. An answer
 * that is empty may also mean that the token may not read them: Consul leaves out what it may not show.
 *
 * @param datacenter that the file names for them; undefined: the one of the agent.
 */
async function checkInstances(
  agent: AskedAgent,
  service: string,
  datacenter: string | undefined,
): Promise<Finding[]> {
  const where = datacenter === undefined ? {} : { dc: datacenter };
  try {
    const all = (await agent.json(`/health/connect/${encodeURIComponent(service)}`, where)) as Instance[];
    const good = all.filter(({ Checks }) => Checks.every(({ Status }) => Status !== 'critical'));
    if (all.length === 0)
      return [
        failed(
          'upstream',
          `Consul has no sidecar of ${service}`,
          'start one, check its name, or whether the token may read it (service and node)',
        ),
      ];
    if (good.length === 0)
      return [
        failed(
          'upstream',
          `all ${all.length} sidecars of ${service} are critical in Consul`,
          '`outrider status --consul` shows why',
        ),
      ];
    const addresses = good.map(
      ({ Node, Service }): Address => ({
        kind: 'tcp',
        host: Service.Address || Node.Address,
        port: Service.Port,
      }),
    );
    return [await checkReach(service, addresses)];
  } catch (error) {
    return [failed('upstream', `the instances of ${service}: ${oneLine(error)}`, 'look at the agent')];
  }
}
