/** A real SPIRE: its server and one agent, as processes on loopback, with a trust domain of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { run } from '../process/packed-package.js';
import { until } from '../process/processes.js';

/** The agent, to which entries belong. */
const HOST = '/host';
const STEP_LIMIT_MS = 30_000;

export interface SpireOptions {
  readonly trustDomain: string;
  /** In seconds, of every SVID. */
  readonly ttlS: number;
}

type Part = 'server' | 'agent';

export class Spire {
  private readonly running = new Map<Part, ChildProcess>();
  private readonly apiSocket: string;
  /** Of the Workload API. */
  readonly agentSocket: string;

  private constructor(
    private readonly programs: string,
    private readonly folder: string,
    private readonly options: SpireOptions,
  ) {
    this.apiSocket = join(folder, 'server.sock');
    this.agentSocket = join(folder, 'public', 'agent.sock');
  }

  /** @param programs the folder that has both. @param folder a private one of short name, which stays the caller's. */
  static async start(programs: string, folder: string, options: SpireOptions): Promise<Spire> {
    const spire = new Spire(programs, folder, options);
    try {
      await spire.configure();
      await spire.startServer();
      await spire.startAgent(await spire.joinToken());
      return spire;
    } catch (error) {
      await spire.close();
      throw error;
    }
  }

  /** An entry for the processes of a user; its id. */
  async register(path: string, uid: number): Promise<string> {
    const { trustDomain, ttlS } = this.options;
    const domain = `spiffe://${trustDomain}`;
    const ids = ['-parentID', `${domain}${HOST}`, '-spiffeID', `${domain}${path}`];
    const said = await this.server(
      'entry',
      'create',
      ...ids,
      '-selector',
      `unix:uid:${uid}`,
      '-x509SVIDTTL',
      String(ttlS),
    );
    const [, id] = /Entry ID\s*:\s*(\S+)/.exec(said) ?? [];
    if (id === undefined) throw new Error(said);
    return id;
  }

  /** Deletes an entry. */
  async withdraw(id: string): Promise<void> {
    await this.server('entry', 'delete', '-entryID', id);
  }

  /** SIGKILL. */
  async kill(part: Part): Promise<void> {
    const child = this.running.get(part);
    if (child === undefined) return;
    this.running.delete(part);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** Starts the server, with the data of the one before. */
  async startServer(): Promise<void> {
    this.spawn('server', []);
    await until(
      'the SPIRE server answers',
      async () => (await this.ask('healthcheck')).code === 0,
      STEP_LIMIT_MS,
    );
  }

  /** Starts the agent, which knows the server from before, or joins by the token. */
  async startAgent(joinToken?: string): Promise<void> {
    this.spawn('agent', joinToken === undefined ? [] : ['-joinToken', joinToken]);
    const isHealthy = async (): Promise<boolean> => {
      const program = join(this.programs, 'spire-agent');
      const args = ['healthcheck', '-socketPath', this.agentSocket];
      return (await run(program, args, this.folder, { limitMs: 5_000 })).code === 0;
    };
    await until('the SPIRE agent answers', isHealthy, STEP_LIMIT_MS).catch((error: Error) => {
      throw new Error(`${error.message}: ${this.log('agent')}`);
    });
  }

  /** The last lines of what a part has written. */
  log(part: Part): string {
    return readFileSync(join(this.folder, `${part}.log`), 'utf8')
      .split('\n')
      .slice(-15)
      .join('\n');
  }

  async close(): Promise<void> {
    await this.kill('agent');
    await this.kill('server');
  }

  private async joinToken(): Promise<string> {
    const said = await this.server(
      'token',
      'generate',
      '-spiffeID',
      `spiffe://${this.options.trustDomain}${HOST}`,
    );
    const [, token] = /Token:\s*(\S+)/.exec(said) ?? [];
    if (token === undefined) throw new Error(said);
    return token;
  }

  private async server(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.ask(...args);
    if (code !== 0) throw new Error(`spire-server ${args.join(' ')}: ${stderr}${stdout}`);
    return stdout;
  }

  private ask(...args: string[]) {
    const all = [...args, '-socketPath', this.apiSocket];
    return run(join(this.programs, 'spire-server'), all, this.folder, { limitMs: 10_000 });
  }

  private spawn(part: Part, more: readonly string[]): void {
    const log = openSync(join(this.folder, `${part}.log`), 'a');
    appendFileSync(log, `-- started\n`);
    const args = ['run', '-config', join(this.folder, `${part}.conf`), ...more];
    const child = spawn(join(this.programs, `spire-${part}`), args, {
      cwd: this.folder,
      stdio: ['ignore', log, log],
    });
    this.running.set(part, child);
  }

  private async configure(): Promise<void> {
    const { folder } = this;
    const { trustDomain, ttlS } = this.options;
    const port = await freePort();
    for (const part of ['server', 'agent', 'public']) mkdirSync(join(folder, part), { mode: 0o700 });
    writeFileSync(
      join(folder, 'server.conf'),
      `server {
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  socket_path = "${this.apiSocket}"
  trust_domain = "${trustDomain}"
  data_dir = "${folder}/server"
  log_level = "INFO"
  ca_ttl = "24h"
  agent_ttl = "1h"
  default_x509_svid_ttl = "${ttlS}s"
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "${folder}/server/data.sqlite3" } }
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "disk" { plugin_data { keys_path = "${folder}/server/keys.json" } }
}
`,
    );
    writeFileSync(
      join(folder, 'agent.conf'),
      `agent {
  data_dir = "${folder}/agent"
  log_level = "INFO"
  server_address = "127.0.0.1"
  server_port = "${port}"
  socket_path = "${this.agentSocket}"
  trust_domain = "${trustDomain}"
  insecure_bootstrap = true
}
plugins {
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "disk" { plugin_data { directory = "${folder}/agent" } }
  WorkloadAttestor "unix" { plugin_data {} }
}
`,
    );
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
