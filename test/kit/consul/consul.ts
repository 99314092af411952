/**
 * A real Consul agent for tests: on free loopback ports, with a temporary directory, ended by its process id.
 *
 * It dies with the test process, whatever becomes of that. A port that another program takes between finding and binding makes
 * the agent start again on others; once it has answered, it keeps its ports for life, so that it can come back after a
 * kill at the same address.
 */

import { randomUUID } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request as plain } from 'node:http';
import { request as secure } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type ConsulBinary, findConsul } from '../../../sidecar/cli/consul/binary.js';
import { withoutConsulVariables } from '../../../sidecar/cli/consul/dev-agent.js';
import { ChildProcessHandle } from '../../../sidecar/supervise/child-process.js';
import { freePort } from '../process/free-port.js';
import { until } from '../process/processes.js';
import { ROOT } from '../process/tools.js';
import {
  type AgentPorts,
  agentConfig,
  type ConsulOptions,
  type ConsulTls,
  isInMemory,
  makeTls,
  readTls,
} from './consul-config.js';

const HOST = '127.0.0.1';
const START_LIMIT_MS = 30_000;
const PORT_TRIES = 5;

let found: Promise<ConsulBinary> | undefined;

/** The program, found or brought once per test process. */
export function consulBinary(): Promise<ConsulBinary> {
  found ??= findConsul({ env: process.env, cache: path.join(ROOT, '.cache') });
  return found;
}

/** For `before` hooks: the suite is skipped, said loudly, where no Consul can be had. */
export async function consulOrSkip(context: Mocha.Context): Promise<ConsulBinary> {
  context.timeout(320_000);
  try {
    return await consulBinary();
  } catch (error) {
    process.stderr.write(`\nSKIPPING TESTS: ${error instanceof Error ? error.message : String(error)}\n`);
    return context.skip();
  }
}

interface ApiReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const running = new Set<ConsulServer>();
process.on('exit', () => {
  for (const server of running) server.discard();
});

export class ConsulServer {
  private process: ChildProcessHandle | undefined;
  private exited: Promise<string> = Promise.resolve('never started');
  private readonly folder = mkdtempSync(path.join(tmpdir(), 'outrider-consul-'));
  private readonly nodeId = randomUUID();
  private ports!: AgentPorts;
  /** May do everything; undefined without ACLs. */
  readonly token: string | undefined;
  /** Undefined without TLS. */
  tls: ConsulTls | undefined;

  private constructor(
    private readonly binary: ConsulBinary,
    private readonly options: ConsulOptions,
  ) {
    this.token = options.acl === true ? randomUUID() : undefined;
    running.add(this);
  }

  /** Resolves when it has a leader, an authority and itself in the catalogue. `awaitLeader: false`: when it answers. */
  static async start(
    options: ConsulOptions & { readonly awaitLeader?: boolean } = {},
  ): Promise<ConsulServer> {
    const server = new ConsulServer(await consulBinary(), options);
    try {
      if (options.tls !== undefined)
        server.tls = await makeTls(server.binary.path, server.folder, options.datacenter);
      await server.findPorts();
      if (options.awaitLeader !== false) await server.ready();
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** Throws while it does not run. */
  get pid(): number {
    if (this.process?.pid === undefined || !this.process.alive) throw new Error('this agent does not run');
    return this.process.pid;
  }

  get isRunning(): boolean {
    return this.process?.alive === true;
  }

  get port(): number {
    return this.ports.api;
  }

  /** `host:port` of the API; `join` and `joinWan` are for other agents, `rpc` is how the cluster names a leader. */
  get address(): string {
    return `${HOST}:${this.ports.api}`;
  }

  get join(): string {
    return `${HOST}:${this.ports.serfLan}`;
  }

  get joinWan(): string {
    return `${HOST}:${this.ports.serfWan}`;
  }

  get rpc(): string {
    return `${HOST}:${this.ports.rpc}`;
  }

  get url(): string {
    return `${this.tls === undefined ? 'http' : 'https'}://${this.address}`;
  }

  get version(): string {
    return this.binary.version;
  }

  /** What the agent has written, all starts together. */
  get log(): string {
    return readFileSync(path.join(this.folder, 'log'), 'utf8');
  }

  /** The answer's JSON (text where it is none). Throws on any other status than 2xx. `pathname` from /v1 on, with its query. */
  async api<T = unknown>(method: string, pathname: string, body?: unknown, token = this.token): Promise<T> {
    const reply = await this.request(method, pathname, body, token);
    if (reply.status < 200 || reply.status > 299)
      throw new Error(`${method} ${pathname}: ${reply.status} ${reply.body.trim()}`);
    try {
      return JSON.parse(reply.body) as T;
    } catch {
      return reply.body as T;
    }
  }

  /** Registers a service with the agent, in the agent's words; a port of 1 where none is given. */
  register(definition: object): Promise<unknown> {
    return this.api('PUT', '/agent/service/register', { Port: 1, ...definition });
  }

  deregister(id: string): Promise<unknown> {
    return this.api('PUT', `/agent/service/deregister/${encodeURIComponent(id)}`);
  }

  /** Whatever it answers. */
  request(method: string, pathname: string, body?: unknown, token = this.token): Promise<ApiReply> {
    return new Promise((resolve, reject) => {
      const headers = token === undefined ? {} : { 'x-consul-token': token };
      const send = this.tls === undefined ? plain : secure;
      const material = this.tls === undefined ? {} : readTls(this.tls);
      const request = send(`${this.url}/v1${pathname}`, { method, headers, agent: false, ...material });
      request.on('error', reject).on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('error', reject).on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const { statusCode: status = 0, headers } = response;
          resolve({ status, headers, body: Buffer.concat(chunks).toString('utf8') });
        });
      });
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** Waits for a leader, Connect's roots, tokens that work, and for the node itself in the catalogue. */
  async ready(limitMs = START_LIMIT_MS): Promise<void> {
    await until(`consul has a leader:\n${this.tail()}`, () => this.isReady(), limitMs);
  }

  /** Ends it at once. */
  async kill(): Promise<void> {
    this.process?.signal('SIGKILL');
    await this.exited;
  }

  /** It stays alive and connected, and answers nothing. */
  freeze(): void {
    this.process?.signal('SIGSTOP');
  }

  thaw(): void {
    this.process?.signal('SIGCONT');
  }

  /**
   * Kills what still runs and starts again on the same ports; waits until it answers and, by default, has a leader.
   *
   * `state`: `kept` needs a persistent agent. `forgotten`: it has forgotten the services and checks registered with it
   * and keeps the cluster's state, as after the loss of a client's disk. `empty`: everything, the authority included.
   */
  async restart({ state, awaitLeader = true }: Restart): Promise<void> {
    if (isInMemory(this.options) && state !== 'empty')
      throw new Error(`start the agent with \`persistent\` to restart it with its state ${state}`);
    await this.kill();
    const data = (name: string) => path.join(this.folder, 'data', name);
    const lost = { kept: [], forgotten: ['services', 'checks', 'proxy'], empty: [''] }[state];
    for (const name of lost) rmSync(data(name), { recursive: true, force: true });
    await this.launch();
    if (awaitLeader) await this.ready();
  }

  /** Ends it for good and removes its files. */
  async stop(): Promise<void> {
    await this.kill();
    this.discard();
  }

  /** Without waiting for its end. */
  discard(): void {
    this.process?.signal('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    running.delete(this);
  }

  private async findPorts(): Promise<void> {
    for (let i = 0; ; i++) {
      this.ports = await freePorts();
      try {
        await this.launch();
        return;
      } catch (error) {
        if (i === PORT_TRIES || !/address already in use/.test(this.tail())) throw error;
      }
    }
  }

  /** Resolves when the API answers. */
  private async launch(): Promise<void> {
    const { folder, nodeId, ports, token } = this;
    mkdirSync(path.join(folder, 'data'), { recursive: true });
    const facts = { folder, nodeId, ports, version: this.version, ...(token === undefined ? {} : { token }) };
    const file = path.join(folder, 'agent.json');
    writeFileSync(file, JSON.stringify(agentConfig(this.options, facts)), { mode: 0o600 });
    const mode = isInMemory(this.options) ? ['-dev'] : [];
    const log = openSync(path.join(folder, 'log'), 'a', 0o600);
    this.exited = new Promise((resolve) => {
      const argv = [this.binary.path, 'agent', ...mode, '-config-file', file];
      this.process = new ChildProcessHandle(argv, {
        env: withoutConsulVariables(process.env),
        stdout: log,
        stderr: log,
        onExit: resolve,
      });
    });
    closeSync(log);
    const answers = async () => !this.isRunning || (await this.isAnswering());
    await until('consul answers', answers, START_LIMIT_MS);
    if (!this.isRunning) throw new Error(`consul ${await this.exited}:\n${this.tail()}`);
  }

  private async isAnswering(): Promise<boolean> {
    const reply = await this.request('GET', '/status/leader').catch(() => undefined);
    return reply?.status === 200;
  }

  private async isReady(): Promise<boolean> {
    try {
      const leader = await this.api<string>('GET', '/status/leader');
      const roots = await this.api<{ ActiveRootID?: string }>('GET', '/agent/connect/ca/roots');
      const nodes = await this.api<{ ID: string }[]>('GET', '/catalog/nodes');
      return leader !== '' && Boolean(roots.ActiveRootID) && nodes.some(({ ID }) => ID === this.nodeId);
    } catch {
      return false;
    }
  }

  private tail(): string {
    return this.log.split('\n').slice(-12).join('\n');
  }
}

/** The sidecar of a service on loopback, as it is registered. */
export function proxyOf(service: string, port: number): object {
  const place = { Address: HOST, Port: port, Proxy: { DestinationServiceName: service } };
  return { Kind: 'connect-proxy', Name: `${service}-sidecar-proxy`, ...place };
}

interface Restart {
  readonly state: 'kept' | 'forgotten' | 'empty';
  readonly awaitLeader?: boolean;
}

async function freePorts(): Promise<AgentPorts> {
  return {
    api: await freePort(),
    serfLan: await freePort(),
    serfWan: await freePort(),
    rpc: await freePort(),
  };
}
