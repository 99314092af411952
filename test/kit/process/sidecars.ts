/**
 * Real sidecars for the outside tests: processes started by the command line from files, as an operator would.
 *
 * Certificates come from the product's local authority, as in `outrider up`; files lie in a private directory that
 * is removed at the end. Addresses are read from what the sidecar announces, so every listener takes a free port.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readAddress, writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { Address } from '../../../sidecar/config/model.js';
import { LocalCa } from '../../../sidecar/identity/ca/local-ca.js';
import type { TlsMaterial } from '../http2/raw-client.js';
import { ROOT } from './tools.js';

const MAIN = path.join(ROOT, 'dist', 'sidecar', 'main.js');
const TRUST_DOMAIN = 'outrider.local';
const DATACENTER = 'dc1';
const START_LIMIT_MS = 15_000;

/** A sidecar file as a plain object; JSON is YAML. */
export type SidecarFile = Readonly<Record<string, unknown>>;

/** One running sidecar. */
export class SidecarProcess {
  /** Everything it wrote, newest last. */
  output = '';
  readonly exited: Promise<number | null>;

  constructor(
    readonly name: string,
    private readonly child: ChildProcess,
  ) {
    child.stdout?.on('data', (chunk: Buffer) => this.#note(chunk));
    child.stderr?.on('data', (chunk: Buffer) => this.#note(chunk));
    this.exited = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  }

  get pid(): number {
    return this.child.pid as number;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** `inbound`, `upstream NAME`, `upstreams` (the shared one) or `admin`. */
  address(listener: string): Address {
    const found = new RegExp(`[ :]${listener} on ([^,\\s]+)`).exec(this.output)?.[1];
    const read = found === undefined ? undefined : readAddress(found);
    if (read === undefined || !read.ok)
      throw new Error(`${this.name} announced no ${listener}:\n${this.output}`);
    return read.value;
  }

  /** Resolves once it has announced its listeners. */
  async announced(): Promise<void> {
    const endMs = performance.now() + START_LIMIT_MS;
    while (!/^outrider .* on /m.test(this.output)) {
      if (!this.isRunning) throw new Error(`${this.name} ended instead of starting:\n${this.output}`);
      if (performance.now() > endMs) throw new Error(`${this.name} did not start in time:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Resolves once `/ready` says so. */
  async ready(limitMs = 20_000): Promise<void> {
    const endMs = performance.now() + limitMs;
    for (;;) {
      const { status, text } = await this.page('/ready');
      if (status === 200) return;
      if (performance.now() > endMs) throw new Error(`${this.name} is not ready: ${text}\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** A page of the admin listener. */
  page(where: string): Promise<{ readonly status: number; readonly text: string }> {
    const admin = this.address('admin');
    if (admin.kind !== 'tcp') throw new Error('the admin listener is expected on TCP');
    return new Promise((resolve, reject) => {
      const request = http.get(
        { host: admin.host, port: admin.port, path: where, agent: false },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        },
      );
      request.setTimeout(5000, () => request.destroy(new Error(`${this.name}: ${where} took over 5 s`)));
      request.on('error', reject);
    });
  }

  /** Sum of a metric's samples whose labels include `labels`. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const { text } = await this.page('/metrics');
    const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
    let sum = 0;
    for (const line of text.split('\n')) {
      const match = /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line);
      if (match?.[1] === name && wanted.every((label) => (match[2] ?? '').includes(label)))
        sum += Number(match[3]);
    }
    return sum;
  }

  limitHits(limit: string): Promise<number> {
    return this.metric('outrider_limit_hits_total', { limit });
  }

  /** SIGTERM, and SIGKILL if it has not ended after `limitMs`; the exit code, null when it had to be killed. */
  async stop(limitMs = 5000): Promise<number | null> {
    if (!this.isRunning) return this.child.exitCode;
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), limitMs);
    const code = await this.exited;
    clearTimeout(timer);
    return code;
  }

  #note(chunk: Buffer): void {
    this.output = (this.output + chunk.toString('utf8')).slice(-200_000);
  }
}

/** A private directory, an authority and the sidecars started with them. */
export class SidecarBench {
  readonly processes: SidecarProcess[] = [];

  private constructor(
    readonly directory: string,
    private readonly ca: LocalCa,
  ) {}

  static async open(): Promise<SidecarBench> {
    const directory = await mkdtemp(path.join(tmpdir(), 'outrider-test-'));
    const ca = await LocalCa.create({
      trustDomain: TRUST_DOMAIN,
      datacenter: DATACENTER,
      wallNow: () => Date.now(),
    });
    return new SidecarBench(directory, ca);
  }

  /** Files of a fresh leaf for `service`, as a sidecar file's `identity` block. */
  async identity(service: string): Promise<{ cert: string; key: string; roots: string }> {
    const leaf = await this.ca.issueLeaf(service);
    const file = (kind: string): string => path.join(this.directory, `${service}-${kind}.pem`);
    await writeFile(file('cert'), leaf.certChainPem);
    await writeFile(file('key'), leaf.keyPem, { mode: 0o600 });
    await writeFile(file('roots'), leaf.rootsPem);
    return { cert: file('cert'), key: file('key'), roots: file('roots') };
  }

  /** What a test's own TLS client needs to come as `service`. `lifetimeMs` of its leaf: whole seconds; default 1 h. */
  async material(
    service: string,
    alpn: readonly string[] = ['h2'],
    lifetimeMs?: number,
  ): Promise<TlsMaterial> {
    const leaf = await this.ca.issueLeaf(service, lifetimeMs);
    return { cert: leaf.certChainPem, key: leaf.keyPem, ca: leaf.rootsPem, alpn };
  }

  /**
   * Starts one sidecar from a file and waits until it listens. An admin listener is added. `env`: beside our own;
   * `descriptors`: as many files as it may have open.
   */
  async start(
    name: string,
    file: SidecarFile,
    env: Readonly<Record<string, string>> = {},
    descriptors = 0,
  ): Promise<SidecarProcess> {
    const where = path.join(this.directory, `${name}.yaml`);
    await writeFile(
      where,
      JSON.stringify({ admin: '127.0.0.1:0', log: { level: 'warn' }, drain_timeout: '500ms', ...file }),
    );
    const command = [process.execPath, MAIN, 'sidecar', '-c', where];
    if (descriptors > 0) command.unshift('sh', '-c', `ulimit -n ${descriptors}; exec "$@"`, 'sh');
    const child = spawn(command[0]!, command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    const sidecar = new SidecarProcess(name, child);
    this.processes.push(sidecar);
    await sidecar.announced();
    return sidecar;
  }

  /** Stops everything, newest first. */
  async close(): Promise<void> {
    for (const sidecar of this.processes.reverse()) await sidecar.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}

export interface Pair {
  readonly bench: SidecarBench;
  /** The application's sidecar, and where the application calls. */
  readonly caller: SidecarProcess;
  readonly target: Address;
  /** The service's sidecar and its mutual-TLS listener. */
  readonly service: SidecarProcess;
  readonly inbound: Address;
  /** Resolves once both sidecars say they are ready; fails after 20 s. */
  ready(): Promise<void>;
  close(): Promise<void>;
}

export interface PairOptions {
  /** Where the local service listens. */
  readonly local: Address;
  readonly limits?: Readonly<Record<string, unknown>>;
  readonly queue?: Readonly<Record<string, unknown>>;
  /** Where the application calls. Default: a free loopback port. */
  readonly listen?: Address;
  /** A model process for the service's sidecar to own. */
  readonly model?: Readonly<Record<string, unknown>>;
}

/** Two sidecars with mutual TLS between them, as `up` sets them up: `app` may call `testing`. */
export async function startPair(options: PairOptions): Promise<Pair> {
  const bench = await SidecarBench.open();
  try {
    const limits = options.limits ?? {};
    const service = await bench.start('service', {
      service: 'testing',
      identity: await bench.identity('testing'),
      limits,
      ...(options.model === undefined ? {} : { model: options.model }),
      inbound: {
        listen: '127.0.0.1:0',
        local: writeAddress(options.local),
        intentions: [{ from: 'app', to: 'testing', action: 'allow' }],
        queue: { concurrency: 64, max_waiting: 4096, max_waiting_bytes: '1GiB', ...options.queue },
      },
    });
    const inbound = service.address('inbound');
    const listen = options.listen === undefined ? '127.0.0.1:0' : writeAddress(options.listen);
    const caller = await bench.start('caller', {
      service: 'app',
      identity: await bench.identity('app'),
      limits,
      outbound: { upstreams: { testing: { listen, endpoints: [writeAddress(inbound)] } } },
    });
    const target = caller.address('upstream testing');
    const ready = async (): Promise<void> => void (await Promise.all([service.ready(), caller.ready()]));
    return { bench, caller, target, service, inbound, ready, close: () => bench.close() };
  } catch (error) {
    await bench.close();
    throw error;
  }
}
