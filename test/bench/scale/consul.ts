/**
 * Fleets on a real Consul: one server, and an agent for each hundred sidecars. Each sidecar serves a model, calls one upstream and
 * registers itself.
 */

import { ConsulServer } from '../../kit/consul/consul.js';
import { Fleet, measurePoint, PER_PROCESS, type Point, startFleet } from './measure.js';

/** The replicas of the upstream are sidecars too. One of them comes and goes. */
const REPLICA = 'service: digits\ninbound: { listen: "127.0.0.1:7000", local: "127.0.0.1:9000" }\n';
const CALLER = `service: caller
inbound: { listen: "127.0.0.1:7000", local: "127.0.0.1:9000" }
outbound: { upstreams: { digits: { listen: "127.0.0.1:7001", consul: {} } } }
`;
/** Connections that a sidecar may have: those that wait, and those of writes. */
const MOST_CONNECTIONS = 14;

interface Metrics {
  readonly Samples: readonly { readonly Name: string; readonly Count: number }[];
}

/** Measures these numbers of sidecars, from the least on, with one server. */
export async function measureConsul(
  sizes: readonly number[],
  how: { readonly replicas: number; readonly rounds: number; readonly quick: boolean },
  say: (line: string) => void,
): Promise<{ readonly version: string; readonly points: readonly Point[] }> {
  const agents = new Agents();
  let replicas: Awaited<ReturnType<typeof startFleet>> | undefined;
  const fleet = new Fleet(async () => CALLER + blockOf(await agents.add(PER_PROCESS)));
  try {
    const server = await agents.startServer();
    const ofReplicas = await agents.add(how.replicas);
    replicas = await startFleet(REPLICA + blockOf(ofReplicas));
    const ofUpstream = replicas;
    await ofUpstream.ask({ do: 'grow', first: 0, count: how.replicas - 1 });
    const registry = {
      pids: () => [server.pid],
      agentPids: () => agents.all.filter((agent) => agent !== ofReplicas).map(({ pid }) => pid),
      come: () => ofUpstream.ask<number>({ do: 'come' }),
      go: () => ofUpstream.ask<number>({ do: 'go' }),
      checksPerSecond: async () => {
        const each = await Promise.all(agents.all.map((agent) => checksPerSecond(agent)));
        return each.reduce((sum, rate) => sum + rate, 0);
      },
    };
    const points: Point[] = [];
    for (const sidecars of sizes) {
      say(`Consul: ${sidecars} sidecars, ${how.replicas} replicas`);
      points.push(await measurePoint(fleet, registry, { ...how, sidecars }));
      say(JSON.stringify(points.at(-1)));
    }
    return { version: server.version, points };
  } finally {
    fleet.stop();
    replicas?.stop();
    await agents.stop();
  }
}

/** A server, and the agents that have joined it. */
class Agents {
  readonly all: ConsulServer[] = [];
  private server: ConsulServer | undefined;

  async startServer(): Promise<ConsulServer> {
    this.server = await ConsulServer.start();
    return this.server;
  }

  /** One for so many sidecars. They come from one address here, for which Consul's default is 200 connections. */
  async add(sidecars: number): Promise<ConsulServer> {
    const limits = { http_max_conns_per_client: MOST_CONNECTIONS * (sidecars + 1) };
    const place = { role: 'client', join: [this.server!.join], node: `client-${this.all.length}` } as const;
    const agent = await ConsulServer.start({ ...place, config: { limits } });
    this.all.push(agent);
    return agent;
  }

  async stop(): Promise<void> {
    await Promise.all(
      [...this.all, ...(this.server === undefined ? [] : [this.server])].map((each) => each.stop()),
    );
  }
}

function blockOf({ url }: ConsulServer): string {
  return `consul: { address: "${url}", registration: { propagation: 0ms } }\n`;
}

/** By the agent's own metrics, which are those of its last whole ten seconds. */
async function checksPerSecond(agent: ConsulServer): Promise<number> {
  const { Samples } = await agent.api<Metrics>('GET', '/agent/metrics');
  const updates = Samples.filter(({ Name }) => /http\.PUT\.v1\.agent\.check\.update/.test(Name));
  return updates.reduce((sum, { Count }) => sum + Count, 0) / 10;
}
