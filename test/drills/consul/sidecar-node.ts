/**
 * One place of a mesh on Consul: a real sidecar process on ports of its own, which it keeps over restarts, with a
 * proxy before its agent that can spoil what it hears, and, beside a replica, a model process.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StatusReport } from '../../../sidecar/admin/status.js';
import { FaultProxy } from '../../kit/consul/fault-proxy.js';
import { until } from '../../kit/process/processes.js';
import type { SidecarBench, SidecarFile, SidecarProcess } from '../../kit/process/sidecars.js';
import { Model } from '../faults/model.js';
import { measure } from '../faults/times.js';

export interface NodePlan {
  readonly service: string;
  readonly instance: string;
  readonly bench: SidecarBench;
  readonly agent: { readonly address: string };
  /** Of the sidecar's `consul` block; `address` is added. */
  readonly consul: SidecarFile;
  /** Its private key outlives the process, beside what else it remembers of Consul. */
  readonly keepsKeys: boolean;
  /** Directory for what the sidecars of this node write, all starts together. */
  readonly logs?: string;
  readonly inboundPort?: number;
  /** Service time of the model, which is started for it. */
  readonly serviceMs?: number;
  /** Port by upstream. */
  readonly upstreams: Readonly<Record<string, number>>;
}

const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 10_000;

export class SidecarNode {
  private current: SidecarProcess | undefined;
  private model: Model | undefined;
  /** What earlier processes of this node wrote. */
  private written = '';

  private constructor(
    readonly plan: NodePlan,
    readonly proxy: FaultProxy,
  ) {}

  /** Resolves when the sidecar has announced its listeners. */
  static async open(plan: NodePlan): Promise<SidecarNode> {
    const node = new SidecarNode(plan, await FaultProxy.start(plan.agent));
    try {
      if (plan.serviceMs !== undefined) node.model = await Model.start({ serviceMs: plan.serviceMs });
      await node.start();
      return node;
    } catch (error) {
      await node.close();
      throw error;
    }
  }

  get name(): string {
    return this.plan.instance;
  }

  get process(): SidecarProcess {
    if (this.current === undefined) throw new Error(`${this.name} does not run`);
    return this.current;
  }

  get pid(): number {
    return this.process.pid;
  }

  /** Everything its sidecars wrote so far. */
  get output(): string {
    return this.written + (this.current?.output ?? '');
  }

  /** Address of the listener for an upstream, for an application. */
  target(upstream: string): string {
    return `127.0.0.1:${this.plan.upstreams[upstream]}`;
  }

  async status(): Promise<StatusReport> {
    return JSON.parse((await this.process.page('/endpoints')).text);
  }

  /** What it says about itself; nothing when every query has its answer from the agent, and what is to be registered is. */
  async problems(): Promise<string[]> {
    const { registry } = await this.status();
    if (registry === undefined || registry.queries.length === 0) return ['it has no query'];
    const queries = registry.queries.filter(({ state }) => state !== 'current');
    return [
      ...(registry.registered === false ? [`not registered: ${registry.problem}`] : []),
      ...queries.map((query) => [`${query.name}: ${query.state}`, query.problem ?? []].flat().join(', ')),
    ];
  }

  /** Status of `/ready`, and what it says. */
  readiness(): Promise<{ readonly status: number; readonly text: string }> {
    return this.process.page('/ready');
  }

  /** Time until `/ready` says 200; undefined when it does not. */
  async untilReady(limitMs = START_LIMIT_MS): Promise<number | undefined> {
    return measure(async () => (await this.readiness()).status === 200, limitMs);
  }

  /** Again on the same ports, with the same file. */
  async start(): Promise<void> {
    this.current = await this.plan.bench.start(this.name, this.file());
  }

  /** SIGTERM, and its whole drain; or SIGKILL. */
  async end(how: 'drained' | 'killed'): Promise<void> {
    const { current } = this;
    if (current === undefined) return;
    if (how === 'killed') process.kill(current.pid, 'SIGKILL');
    else await current.stop(STOP_LIMIT_MS);
    await current.exited;
    this.written += current.output;
    this.current = undefined;
  }

  async close(how: 'drained' | 'killed' = 'drained'): Promise<void> {
    await this.proxy.set({ kind: 'none' });
    await this.end(how);
    const { logs } = this.plan;
    if (logs !== undefined) {
      await mkdir(logs, { recursive: true });
      await writeFile(join(logs, `${this.name}.log`), this.written);
    }
    await this.model?.kill();
    await this.proxy.stop();
  }

  private file(): SidecarFile {
    const { service, instance, inboundPort, bench, keepsKeys } = this.plan;
    const cache = { dir: join(bench.directory, `${instance}-cache`), keys: keepsKeys };
    const upstreams = Object.entries(this.plan.upstreams).map(
      ([name, port]) => [name, { listen: `127.0.0.1:${port}`, consul: { service: name } }] as const,
    );
    const queue = { concurrency: 32, max_waiting: 4096 };
    const inbound = { listen: `127.0.0.1:${inboundPort}`, local: this.model?.address, queue };
    return {
      service,
      instance,
      log: { level: 'info' },
      drain_timeout: '3s',
      consul: { address: this.proxy.url, cache, ...this.plan.consul },
      ...(inboundPort !== undefined && { inbound }),
      ...(upstreams.length > 0 && { outbound: { upstreams: Object.fromEntries(upstreams) } }),
    };
  }
}

/** Why nodes have not everything from Consul; empty when they have. */
export async function problemsOf(nodes: readonly SidecarNode[]): Promise<string> {
  const each = async (node: SidecarNode) => (await node.problems()).map((what) => `${node.name}: ${what}`);
  return (await Promise.all(nodes.map(each))).flat().join('; ');
}

/** Whether all of them have everything from Consul. */
export async function areCurrent(nodes: readonly SidecarNode[]): Promise<boolean> {
  return (await problemsOf(nodes)) === '';
}

/** Resolves when all of them have everything from Consul. */
export async function untilCurrent(nodes: readonly SidecarNode[], limitMs = START_LIMIT_MS): Promise<void> {
  await until('every sidecar is current', () => areCurrent(nodes), limitMs).catch(async (error: Error) => {
    throw new Error(`${error.message}: ${await problemsOf(nodes)}`);
  });
}
