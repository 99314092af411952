import { plainDiscovery } from '../../config/options/consul/discovery.js';
import type { AskedAgent } from '../consul/asked-agent.js';
import { catalogInstances } from '../status/catalog.js';
import type { ConsulSubject } from './consul.js';
import type { Call } from './subject.js';

/** A proxy as `/catalog/service/NAME` lists it; only what is read of it. */
interface ProxyEntry {
  readonly ServiceProxy?: {
    readonly DestinationServiceName?: string;
    readonly Upstreams?:
      | readonly {
          readonly DestinationName: string;
          readonly DestinationType?: string;
          readonly Datacenter?: string;
        }[]
      | null;
  };
}

/** What there is to check where no file is given: the services that sidecars have registered, and their upstreams. */
export async function catalogSubject(agent: AskedAgent): Promise<ConsulSubject> {
  const calls = new Map<string, Call>();
  try {
    for (const call of await callsIn(agent))
      calls.set(`${call.from} ${call.to} ${call.discovery?.datacenter}`, call);
  } catch {} // the checks of the agent say why
  // Certificates belong to the agents of the machines where the services run.
  return {
    services: [],
    calls: [...calls.values()],
    hasConsulIdentity: false,
    hasConsulIntentions: true,
    hasConsulRules: true,
  };
}

/** By the proxies in the catalogue. */
async function callsIn(agent: AskedAgent): Promise<Call[]> {
  const services = new Set([...(await catalogInstances(agent)).values()].map(({ service }) => service));
  const entries = await Promise.all(
    [...services].map(async (service) => {
      const path = `/catalog/service/${encodeURIComponent(`${service}-sidecar-proxy`)}`;
      return ((await agent.json(path)) as ProxyEntry[]).map((entry) => ({ service, entry }));
    }),
  );
  return entries.flat().flatMap(({ service, entry: { ServiceProxy } }) =>
    (ServiceProxy?.Upstreams ?? [])
      .filter(({ DestinationType = 'service' }) => DestinationType === 'service')
      .map(
        ({ DestinationName: to, Datacenter = '' }): Call => ({
          ...{ from: service, to, inConsul: to, tls: 'unknown', endpoints: [] },
          ...(Datacenter === '' ? {} : { discovery: { ...plainDiscovery(to), datacenter: Datacenter } }),
        }),
      ),
  );
}
