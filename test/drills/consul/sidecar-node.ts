/**
 * One place of a mesh on Consul: a real sidecar process on ports of its own, which it keeps over restarts, with a
 * proxy before its agent that can spoil what it hears, and, beside a replica, a model process.
 */

import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StatusReport } from '../../../sidecar/admin/status.js';
import type { ChildProcessHandle } from '../../../sidecar/supervise/child-process.js';
import { FaultProxy } from '../../kit/consul/consul-proxy.js';
import { OUTRIDER, REPOSITORY } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { SidecarProcess } from '../../kit/process/sidecars.js';
import { startModel } from '../faults/model-process.js';
import { measure } from '../faults/row.js';

/** What one node is started with. */
export interface NodePlan {
  readonly service: string;
  readonly instance: string;
  /** A private directory. */
  readonly folder: string;
  readonly agent: { readonly address: string };
  /** Of the sidecar's `consul` block; `address` is added. */
  readonly consul: Readonly<Record<string, unknown>>;
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

/** A sidecar with the proxy before its agent, and its model if it has one. */
export class SidecarNode {
  private current: SidecarProcess | undefined;
  private model: ChildProcessHandle | undefined;
  private modelPort: number | undefined;
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
      if (plan.serviceMs !== undefined) {
        const model = await startModel(plan.serviceMs);
        node.model = model.process;
        node.modelPort = model.port;
      }
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

  /** Every query has its answer from the agent, and what is to be registered is. */
  async isCurrent(): Promise<boolean> {
    const { registry } = await this.status();
    if (registry === undefined) return false;
    const read = registry.queries.length > 0 && registry.queries.every(({ state }) => state === 'current');
    return read && registry.registered !== false;
  }

  /** What it says about itself when it hears nothing good from Consul. */
  async problems(): Promise<string[]> {
    const { registry } = await this.status();
    const queries = registry?.queries.filter(({ state }) => state !== 'current') ?? [];
    return [
      ...(registry?.registered === false ? [`not registered: ${registry.problem}`] : []),
      ...queries.map(
        ({ name, state, problem }) => `${name}: ${state}${problem === undefined ? '' : `, ${problem}`}`,
      ),
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
    const file = join(this.plan.folder, `${this.name}.yaml`);
    await writeFile(file, JSON.stringify(this.file()));
    const [command, ...args] = [...OUTRIDER, 'sidecar', '-c', file];
    const child = spawn(command!, args, { cwd: REPOSITORY, stdio: ['ignore', 'pipe', 'pipe'] });
    this.current = new SidecarProcess(this.name, child);
    running.add(this);
    await this.current.announced();
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
    if (this.plan.logs !== undefined) await this.leaveLog(this.plan.logs);
    this.model?.signal('SIGKILL');
    await this.proxy.stop();
    running.delete(this);
  }

  private async leaveLog(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${this.name}.log`), this.written);
  }

  /** Without waiting. */
  kill(): void {
    if (this.current?.isRunning) process.kill(this.current.pid, 'SIGKILL');
  }

  private file(): object {
    const { service, instance, inboundPort, upstreams, folder, keepsKeys } = this.plan;
    const cache = { dir: join(folder, `${instance}-cache`), keys: keepsKeys };
    return {
      service,
      instance,
      admin: '127.0.0.1:0',
      log: { level: 'info' },
      drain_timeout: '3s',
      consul: { address: this.proxy.url, cache, ...this.plan.consul },
      ...(inboundPort === undefined ? {} : { inbound: this.inbound(inboundPort) }),
      ...(Object.keys(upstreams).length === 0 ? {} : { outbound: { upstreams: this.upstreams() } }),
    };
  }

  private inbound(port: number): object {
    const queue = { concurrency: 32, max_waiting: 4096 };
    return { listen: `127.0.0.1:${port}`, local: `127.0.0.1:${this.modelPort}`, queue };
  }

  private upstreams(): object {
    const all = Object.entries(this.plan.upstreams);
    return Object.fromEntries(
      all.map(([name, port]) => [name, { listen: `127.0.0.1:${port}`, consul: { service: name } }]),
    );
  }
}

/** Nodes whose sidecar may run: ended with this process. */
const running = new Set<SidecarNode>();
process.on('exit', () => {
  for (const node of running) node.kill();
});

/** For messages: why nodes are not what they should be. */
export async function whyNotCurrent(nodes: readonly SidecarNode[]): Promise<string> {
  const all = await Promise.all(
    nodes.map(async (node) => (await node.problems()).map((problem) => `${node.name}: ${problem}`)),
  );
  return all.flat().join('; ');
}

/** Resolves when all of them have everything from Consul. */
export async function untilCurrent(nodes: readonly SidecarNode[], limitMs = START_LIMIT_MS): Promise<void> {
  await until('every sidecar is current', () => areCurrent(nodes), limitMs).catch(async (error: Error) => {
    throw new Error(`${error.message}: ${await whyNotCurrent(nodes)}`);
  });
}

/** Whether all of them have everything from Consul. */
export async function areCurrent(nodes: readonly SidecarNode[]): Promise<boolean> {
  const all = await Promise.all(nodes.map((node) => node.isCurrent()));
  return all.every(Boolean);
}
