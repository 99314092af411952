/** The Consul of an arm: a development agent as `up --consul dev` starts it, with a proxy before it, which sidecars ask. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { MeshConfig } from '../../../config/model.js';
import { SYSTEM } from '../../../runtime/system.js';
import { presentConsul } from '../../consul/binary.js';
import { DevAgent } from '../../consul/dev-agent.js';
import { CommandFailure } from '../../failure.js';
import { cacheFolder } from '../../package-info.js';
import { prepareConsul } from '../../up/mesh-consul.js';
import { PortAllocator } from '../../up/port-allocator.js';
import type { RunDirectory } from '../../up/run-directory.js';
import { ConsulProxy } from './consul-proxy.js';

const HOST = '127.0.0.1';

/** Why no drill with Consul can be run here; undefined: it can. */
export async function whyNoConsul(): Promise<string | undefined> {
  const found = await presentConsul({ env: process.env, cache: cacheFolder() });
  return found === undefined
    ? 'there is no Consul in PATH (CONSUL_BIN names one; `outrider up --consul dev` brings one along)'
    : undefined;
}

export class OwnConsul {
  private constructor(
    private readonly agent: DevAgent,
    private readonly data: string,
    private readonly ports: PortAllocator,
    readonly proxy: ConsulProxy,
  ) {}

  /** Resolves when it serves, and has the intentions of the mesh. */
  static async start(mesh: MeshConfig, run: RunDirectory): Promise<OwnConsul> {
    const binary = await presentConsul({ env: process.env, cache: cacheFolder() });
    if (binary === undefined) throw new CommandFailure('there is no Consul');
    const folder = run.folder('_consul');
    const found = new PortAllocator();
    const ports = {
      http: await found.find(HOST),
      serfLan: await found.find(HOST),
      rpc: await found.find(HOST),
    };
    await found.release();
    const { datacenter } = mesh;
    const agent = new DevAgent({ binary, folder, ports, datacenter, ...SYSTEM, onChange: () => {} });
    const proxy = await ConsulProxy.open({ agent: { address: `${HOST}:${ports.http}` } });
    const consul = new OwnConsul(agent, join(folder, 'data'), found, proxy);
    agent.start();
    try {
      await prepareConsul(agent, mesh);
      return consul;
    } catch (error) {
      consul.kill();
      throw error;
    }
  }

  /** SIGKILL; it stays away. */
  async die(): Promise<void> {
    this.agent.kill();
    await this.agent.stop();
  }

  /** What it knew is gone: services, intentions, its certificate authority. It must not run. */
  forget(): void {
    rmSync(this.data, { recursive: true, force: true });
  }

  /** Starts again, on the same ports. Does not wait. */
  comeBack(): void {
    this.agent.start();
  }

  /** Ids of what is registered with the agent. */
  async registered(): Promise<readonly string[]> {
    const { body } = await this.agent.api.get('/agent/services');
    return Object.keys(JSON.parse(body) as object);
  }

  /** Whatever is registered with the agent is removed from it, and so from the catalogue. */
  async deregisterAll(): Promise<void> {
    for (const id of await this.registered())
      await this.agent.api.put(`/agent/service/deregister/${encodeURIComponent(id)}`);
  }

  async stop(): Promise<void> {
    await this.agent.stop();
    await this.proxy.close();
    await this.ports.close();
  }

  /** From an `exit` handler, where nothing can be waited for. */
  kill(): void {
    this.agent.kill();
    void this.proxy.close();
    void this.ports.close();
  }
}
