/**
 * A Consul cluster on one machine: servers that elect a leader among them, and one client agent as a sidecar sees it.
 *
 * All on 127.0.0.1, on ports of their own. Every agent keeps its state on disk, so that a killed one can come back.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../process/processes.js';
import { ConsulServer } from './consul.js';
import type { ConsulOptions } from './consul-config.js';

const ANSWER_LIMIT_MS = 1_000;

export class ConsulCluster {
  private constructor(
    readonly servers: readonly ConsulServer[],
    /** The agent that sidecars talk to; it is no server. */
    readonly client: ConsulServer,
  ) {}

  /** Resolves when a leader is elected and the client is in the catalogue. */
  static async start(count = 3): Promise<ConsulCluster> {
    const started: ConsulServer[] = [];
    const start = async (options: ConsulOptions) => {
      const join = started.map((server) => server.join);
      const agent = await ConsulServer.start({ ...options, join, awaitLeader: false });
      started.push(agent);
      return agent;
    };
    try {
      for (let i = 1; i <= count; i++) await start({ expect: count, persistent: true, node: `server-${i}` });
      const client = await start({ role: 'client', node: 'client' });
      const servers = started.slice(0, count);
      await Promise.all(started.map((agent) => agent.ready()));
      return new ConsulCluster(servers, client);
    } catch (error) {
      await Promise.all(started.map((server) => server.stop()));
      throw error;
    }
  }

  /** The server that leads, as the others see it; waits until they agree on one that runs. */
  async leader(limitMs = 20_000): Promise<ConsulServer> {
    return until('the cluster has a leader', () => this.agreedLeader(), limitMs);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.servers, this.client].map((agent) => agent.stop()));
  }

  /** Those that are down or frozen have no say. */
  private async agreedLeader(): Promise<ConsulServer | undefined> {
    const running = this.servers.filter((server) => server.isRunning);
    const said = await Promise.all(running.map((server) => leaderSeenBy(server)));
    const voices = said.filter((leader) => leader !== undefined);
    if (new Set(voices).size !== 1) return undefined;
    return running.find((server, i) => said[i] === server.rpc);
  }
}

/** Undefined: it does not answer. */
async function leaderSeenBy(server: ConsulServer): Promise<string | undefined> {
  const asked = server.api<string>('GET', '/status/leader').catch(() => undefined);
  return Promise.race([asked, delay(ANSWER_LIMIT_MS, undefined, { ref: false })]);
}
