/**
 * The world of the drills on Consul: a cluster of three servers and an agent without state of its own, as on a
 * machine of a fleet; two replicas of `digits` and a caller `web`, each with a sidecar and a proxy before the agent;
 * and 200 calls a second through them. Only calls that an intention allows are served.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConsulServer } from '../../kit/consul/consul.js';
import { ConsulCluster } from '../../kit/consul/consul-cluster.js';
import type { Fault } from '../../kit/consul/fault-proxy.js';
import { SidecarBench } from '../../kit/process/sidecars.js';
import type { Load } from '../faults/load.js';
import { ConsulMesh } from './mesh.js';
import type { NodePlan, SidecarNode } from './sidecar-node.js';

export const SERVICE = 'digits';
export const CALLER = 'web';
/** A second mesh, for some rows: its sidecars do not register themselves, the row does, so that a removed entry stays removed. */
export const FOREIGN_SERVICE = 'vision';
const FOREIGN_CALLER = 'viewer';
/** A blocking query is over after this long at the latest. */
const WAIT = '30s';
/** Stands in for an ACL token: it must never be seen anywhere. */
const TOKEN = 'b1946ac9-2492-4d23-8c6b-5e2f7a90cafe';

export type Verb = 'allow' | 'deny';

/** The cluster, the mesh and the load that the rows on Consul share. */
export class ConsulWorld {
  mesh!: ConsulMesh;
  load!: Load;
  private foreign: ConsulMesh | undefined;
  private readonly intentions = new Map<string, string>();

  private constructor(
    readonly cluster: ConsulCluster,
    private readonly bench: SidecarBench,
    private readonly logs: string | undefined,
  ) {}

  static async open(logs?: string): Promise<ConsulWorld> {
    const world = new ConsulWorld(await ConsulCluster.start(3), await SidecarBench.open(), logs);
    try {
      writeFileSync(world.tokenFile, TOKEN, { mode: 0o600 });
      await world.setIntention('*', '*', 'deny');
      world.mesh = await world.openMesh(SERVICE, CALLER, {});
      await world.mesh.untilCurrent();
      world.load = await world.mesh.startLoad();
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  private get tokenFile(): string {
    return join(this.bench.directory, 'token');
  }

  /** The agent on the machine of the sidecars. */
  get agent(): ConsulServer {
    return this.cluster.client;
  }

  get nodes(): readonly SidecarNode[] {
    return this.mesh.nodes;
  }

  /** The second mesh, started when it is first asked for; its replicas can serve before they are registered. `graceMs`: the same each time. */
  async foreignMesh(graceMs: number): Promise<ConsulMesh> {
    const consul = { registration: 'none', grace: `${graceMs}ms` };
    this.foreign ??= await this.openMesh(FOREIGN_SERVICE, FOREIGN_CALLER, consul);
    await this.foreign.untilCurrent();
    return this.foreign;
  }

  /** For all sidecars. */
  async injectFault(fault: Fault): Promise<void> {
    await Promise.all(this.nodes.map(({ proxy }) => proxy.set(fault)));
  }

  /** Writes an intention, or changes the one that is there. */
  async setIntention(from: string, to: string, action: Verb): Promise<void> {
    const body = { SourceName: from, DestinationName: to, SourceType: 'consul', Action: action };
    const id = this.intentions.get(`${from} ${to}`);
    const { agent } = this;
    if (id !== undefined) await agent.api('PUT', `/connect/intentions/${id}`, body);
    else {
      const made = await agent.api<{ ID: string }>('POST', '/connect/intentions', body);
      this.intentions.set(`${from} ${to}`, made.ID);
    }
  }

  /** Ids of everything the agent has been told of, services and proxies. */
  async registered(): Promise<string[]> {
    const services = await this.agent.api<Record<string, unknown>>('GET', '/agent/services');
    return Object.keys(services).sort();
  }

  /** Ids of the proxies of `service` that the catalogue gives to callers. */
  async peers(service: string): Promise<string[]> {
    const found = await this.agent.api<{ readonly ServiceID: string }[]>(
      'GET',
      `/catalog/connect/${service}`,
    );
    return found.map(({ ServiceID }) => ServiceID).sort();
  }

  /** Sidecars in whose log the secret can be seen that stands in for a token. */
  leaks(): string[] {
    return this.nodes.filter(({ output }) => output.includes(TOKEN)).map(({ name }) => name);
  }

  async close(): Promise<void> {
    await this.load?.stop().catch(() => {});
    await Promise.all([this.mesh?.close('killed'), this.foreign?.close('killed')]);
    await this.cluster.stop();
    await this.bench.close();
  }

  /** Its callers may call. `agent`: where its sidecars' proxies pass requests on to. */
  async openMesh(
    service: string,
    caller: string,
    consul: NodePlan['consul'],
    agent: { readonly address: string } = this.agent,
  ): Promise<ConsulMesh> {
    await this.setIntention(caller, service, 'allow');
    const { bench, logs } = this;
    const common = { wait: WAIT, token_file: this.tokenFile };
    const plan = { service, caller, bench, agent, consul: { ...common, ...consul } };
    return ConsulMesh.open({ ...plan, ...(logs && { logs }) });
  }
}

/** Kills an agent for as long as `work` takes: it is there again for the next row, however this one ends. */
export async function whileKilled(agent: ConsulServer, work: () => Promise<unknown>): Promise<void> {
  await agent.kill();
  try {
    await work();
  } finally {
    await agent.restart({ state: 'kept', awaitLeader: false });
  }
}

/** Reads a list; the answer says whether it is the same again, and not while it cannot be read. */
export async function sameAgain(read: () => Promise<string[]>): Promise<() => Promise<boolean>> {
  const before = String(await read());
  return async () => String(await read().catch(() => [])) === before;
}
