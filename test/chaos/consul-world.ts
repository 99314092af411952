/**
 * The world of the drills on Consul: a cluster of three servers and an agent without state of its own, as on a
 * machine of a fleet; two replicas of `digits` and a caller `web`, each with a sidecar and a proxy before the agent;
 * and 200 calls a second through them. Nobody may call anybody but as the intentions say.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PortBook } from '../../sidecar/cli/up/ports.js';
import type { ConsulServer } from '../support/consul.js';
import { ConsulCluster } from '../support/consul-cluster.js';
import type { Fault } from '../support/consul-proxy.js';
import { Seat, type SeatPlan, untilCurrent } from './consul-seat.js';
import { Load } from './faults-load.js';

export const SERVICE = 'digits';
export const CALLER = 'web';
const REPLICAS = 2;
const SERVICE_MS = 5;
const PER_SECOND = 200;
const DEADLINE_MS = 2_000;
/** Stands in for an ACL token: it must never be seen anywhere. */
const TOKEN = 'b1946ac9-2492-4d23-8c6b-5e2f7a90cafe';

export type Verb = 'allow' | 'deny';

interface CatalogueEntry {
  readonly ServiceID: string;
}

export class ConsulWorld {
  readonly replicas: Seat[] = [];
  caller!: Seat;
  load!: Load;
  private readonly folder = mkdtempSync(join(tmpdir(), 'outrider-faults-'));
  private readonly intentions = new Map<string, string>();

  private constructor(readonly cluster: ConsulCluster) {}

  /** Resolves when calls go through. */
  static async open(): Promise<ConsulWorld> {
    const world = new ConsulWorld(await ConsulCluster.start(3));
    try {
      await world.intend('*', '*', 'deny');
      await world.intend(CALLER, SERVICE, 'allow');
      writeFileSync(join(world.folder, 'token'), TOKEN, { mode: 0o600 });
      const { replicas, caller } = await world.mesh(SERVICE, CALLER, {});
      world.replicas.push(...replicas);
      world.caller = caller;
      await untilCurrent(world.seats);
      world.load = await world.startLoad(caller, SERVICE);
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  /** The agent on the machine of the sidecars. */
  get agent(): ConsulServer {
    return this.cluster.client;
  }

  get seats(): readonly Seat[] {
    return [...this.replicas, this.caller];
  }

  startLoad(caller: Seat, service: string): Promise<Load> {
    return Load.start({ target: caller.target(service), perSecond: PER_SECOND, deadlineMs: DEADLINE_MS });
  }

  /** Replicas of a service and a caller of it. `consul`: of their files' `consul` blocks. */
  async mesh(
    service: string,
    callerName: string,
    consul: SeatPlan['consul'],
  ): Promise<{ readonly replicas: readonly Seat[]; readonly caller: Seat }> {
    const ports = new PortBook();
    const find = () => ports.find('127.0.0.1');
    const callerPort = await find();
    const inboundPorts = await Promise.all(Array.from({ length: REPLICAS }, find));
    await ports.release();
    const common = {
      folder: this.folder,
      agent: this.agent,
      consul: { wait: '30s', token_file: join(this.folder, 'token'), ...consul },
    };
    const opened = await Promise.allSettled([
      Seat.open({
        ...common,
        ...{ service: callerName, instance: `${callerName}-1`, upstreams: { [service]: callerPort } },
      }),
      ...inboundPorts.map((inboundPort, i) =>
        Seat.open({
          ...common,
          ...{ service, instance: `${service}-${i + 1}`, inboundPort, serviceMs: SERVICE_MS, upstreams: {} },
        }),
      ),
    ]);
    const seats = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const broken = opened.find((one) => one.status === 'rejected');
    if (broken !== undefined) {
      await Promise.all(seats.map((seat) => seat.close()));
      throw broken.reason;
    }
    const [caller, ...replicas] = seats;
    return { replicas, caller: caller! };
  }

  /** For all sidecars. */
  async spoil(fault: Fault): Promise<void> {
    await Promise.all(this.seats.map(({ proxy }) => proxy.set(fault)));
  }

  /** Writes an intention, or changes the one that is there. */
  async intend(from: string, to: string, action: Verb): Promise<void> {
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
    const found = await this.agent.api<CatalogueEntry[]>('GET', `/catalog/connect/${service}`);
    return found.map(({ ServiceID }) => ServiceID).sort();
  }

  /** Where the secret that stands in for a token can be seen: should be nowhere. */
  leaks(): string[] {
    return this.seats.filter(({ output }) => output.includes(TOKEN)).map(({ name }) => name);
  }

  async close(): Promise<void> {
    await this.load?.stop().catch(() => {});
    await Promise.all([...this.replicas, this.caller].filter(Boolean).map((seat) => seat.close()));
    await this.cluster.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
