/**
 * Real sidecars for the outside tests: processes started by the command line from files, as an operator would.
 *
 * Certificates come from the product's local authority, as in `outrider up`; files lie in a private directory that
 * is removed at the end. Addresses are read from what the sidecar announces, so every listener takes a free port.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StatusReport } from '../../../sidecar/admin/status.js';
import { readAddress, writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { Address } from '../../../sidecar/config/model.js';
import { LocalCa } from '../../../sidecar/identity/ca/local-ca.js';
import type { TlsMaterial } from '../http2/raw-client.js';
import { type HttpAnswer, httpAsk } from './http-ask.js';
import { sumOfSamples } from './metrics-page.js';
import { OUTRIDER } from './outrider.js';
import { until } from './processes.js';

/** argv of a model service that is not ours; see `test/kit/service/tiny-model-process.ts`. */
export const TINY_MODEL = [
  process.execPath,
  fileURLToPath(new URL('../service/tiny-model-process.js', import.meta.url)),
];

/** A sidecar file as a plain object; JSON is YAML. */
export type SidecarFile = Readonly<Record<string, unknown>>;

export interface StartOptions {
  readonly name?: string;
  /** The command line before the program's own. */
  readonly before?: readonly string[];
  /** The command of the program; default: that of this build. */
  readonly program?: readonly string[];
  /** That of the model which it owns. */
  readonly model?: readonly string[];
  /** Beside our own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Descriptors that it inherits, from 3 on. */
  readonly inherits?: readonly number[];
  /** Gets the process before it listens, to end it also if it never does. */
  readonly onStart?: (sidecar: SidecarProcess) => void;
}

/** On a machine that is busy with other work a program needs its time to load. */
const START_LIMIT_MS = 30_000;

/** Whatever ends this process, no sidecar stays: a frozen one would not see it. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** One running sidecar. */
export class SidecarProcess {
  /** Everything it wrote, newest last. */
  output = '';
  /** By listener, as they were read: the output that had them may be gone. */
  private readonly addresses = new Map<string, Address>();
  readonly exited: Promise<number | null>;

  constructor(
    readonly name: string,
    readonly child: ChildProcess,
  ) {
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        this.output = (this.output + chunk.toString('utf8')).slice(-200_000);
      });
    this.exited = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
    running.add(child);
    void this.exited.then(() => running.delete(child));
  }

  /** Starts the sidecar of a file as it lies there, and waits until it listens. */
  static async start(file: string, options: StartOptions = {}): Promise<SidecarProcess> {
    const { name = 'the sidecar', before = [], model = [], env = {}, onStart } = options;
    const { program: command = OUTRIDER, inherits = [] } = options;
    const own = model.length > 0 ? ['--', ...model] : [];
    const [program, ...args] = [...before, ...command, 'sidecar', '-c', file, ...own];
    const stdio = ['pipe', 'pipe', 'pipe', ...inherits] as const;
    const child = spawn(program!, args, { env: { ...process.env, ...env }, stdio: [...stdio] });
    const sidecar = new SidecarProcess(name, child);
    onStart?.(sidecar);
    await sidecar.announced();
    return sidecar;
  }

  get pid(): number {
    return this.child.pid as number;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** `inbound`, `upstream NAME`, `upstreams` (the shared one) or `admin`. */
  address(listener: string): Address {
    const known = this.addresses.get(listener);
    if (known !== undefined) return known;
    const found = new RegExp(`(?:[ :]${listener} on |"${listener}":")([^",\\s]+)`).exec(this.output)?.[1];
    const read = found === undefined ? undefined : readAddress(found);
    if (read === undefined || !read.ok)
      throw new Error(`${this.name} announced no ${listener}:\n${this.output}`);
    this.addresses.set(listener, read.value);
    return read.value;
  }

  /** Resolves once it has announced its listeners. */
  async announced(): Promise<void> {
    const listens = (): boolean => /^outrider .* on |"admin":"/m.test(this.output);
    const isSettled = () => listens() || !this.isRunning;
    await until(`${this.name} listens`, isSettled, START_LIMIT_MS).catch(() => undefined);
    if (!listens()) throw new Error(`${this.name} ended, or did not start in time:\n${this.output}`);
  }

  /** Resolves once `/ready` says so. */
  async ready(limitMs = 20_000): Promise<void> {
    let last = '';
    const isReady = async (): Promise<boolean> => {
      const { status, text } = await this.page('/ready');
      last = text;
      return status === 200;
    };
    await until(`${this.name} is ready`, isReady, limitMs).catch((error: Error) => {
      throw new Error(`${error.message}: ${last}\n${this.output}`);
    });
  }

  get adminAddress(): string {
    return writeAddress(this.address('admin'));
  }

  /** A page of the admin listener. */
  page(where: string): Promise<HttpAnswer> {
    return httpAsk(this.address('admin'), { path: where });
  }

  /** What it says of itself. */
  async report(): Promise<StatusReport> {
    return JSON.parse((await this.page('/endpoints')).text);
  }

  /** Sum of a metric's samples whose labels include `labels`. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    return sumOfSamples((await this.page('/metrics')).text, name, labels);
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
    const from = { trustDomain: 'outrider.local', datacenter: 'dc1', wallNow: () => Date.now() };
    return new SidecarBench(directory, await LocalCa.create(from));
  }

  /** Files of a fresh leaf for `service`, as a sidecar file's `identity` block. */
  async identity(service: string): Promise<{ cert: string; key: string; roots: string }> {
    const leaf = await this.ca.issueLeaf(service);
    const file = (kind: string): string => path.join(this.directory, `${service}-${kind}.pem`);
    const paths = { cert: file('cert'), key: file('key'), roots: file('roots') };
    await writeFile(paths.cert, leaf.certChainPem);
    await writeFile(paths.key, leaf.keyPem, { mode: 0o600 });
    await writeFile(paths.roots, leaf.rootsPem);
    return paths;
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
   * Starts one sidecar from a file, as `write` does it, and waits until it listens. `env`: beside our own;
   * `descriptors`: as many files as it may have open.
   */
  async start(
    name: string,
    file: SidecarFile,
    env: Readonly<Record<string, string>> = {},
    descriptors = 0,
  ): Promise<SidecarProcess> {
    const where = await this.write(name, file);
    const before = descriptors > 0 ? ['sh', '-c', `ulimit -n ${descriptors}; exec "$@"`, 'sh'] : [];
    return SidecarProcess.start(where, { name, before, env, onStart: (each) => this.processes.push(each) });
  }

  /**
   * A sidecar before each of the models at these addresses: replicas of the service `model`, which `app` may call. `inbound`: of the
   * block of each. Resolves when all are ready.
   */
  async startReplicas(
    addresses: readonly string[],
    inbound: SidecarFile,
  ): Promise<readonly SidecarProcess[]> {
    const identity = await this.identity('model');
    const intentions = [{ from: 'app', to: 'model', action: 'allow' }];
    const sidecars = await Promise.all(
      addresses.map((local, i) =>
        this.start(`model-${i}`, {
          ...{ service: 'model', identity },
          inbound: { listen: '127.0.0.1:0', local, intentions, ...inbound },
        }),
      ),
    );
    await Promise.all(sidecars.map((each) => each.ready()));
    return sidecars;
  }

  /** Writes the file of a sidecar, with an admin listener; one that runs follows it. Where it lies. */
  async write(name: string, file: SidecarFile): Promise<string> {
    const where = path.join(this.directory, `${name}.yaml`);
    const common = { admin: '127.0.0.1:0', log: { level: 'warn' }, drain_timeout: '500ms' };
    await writeFile(where, JSON.stringify({ ...common, ...file }));
    return where;
  }

  /** What the newest sidecar of this name has written. */
  output(name: string): string {
    return this.processes.findLast((each) => each.name === name)?.output ?? '';
  }

  /** Stops everything, newest first. */
  async close(): Promise<void> {
    for (const sidecar of this.processes.reverse()) await sidecar.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** `caller`: the application's sidecar, called at `target`. `service`: the service's, with `inbound` for mutual TLS. */
export type Pair = Awaited<ReturnType<typeof startPair>>;

export interface PairOptions {
  /** Where the local service listens. */
  readonly local: Address;
  readonly limits?: Readonly<Record<string, unknown>>;
  readonly queue?: Readonly<Record<string, unknown>>;
  /** Where the application calls. Default: a free loopback port. */
  readonly listen?: Address;
  /** A model process for the service's sidecar to own. */
  readonly model?: Readonly<Record<string, unknown>>;
  /** Methods that load and unload models, for `app`. Default: none. */
  readonly controlMethods?: readonly string[];
}

/** Two sidecars with mutual TLS between them, as `up` sets them up: `app` may call `testing`. */
export async function startPair(options: PairOptions) {
  const bench = await SidecarBench.open();
  try {
    const limits = options.limits ?? {};
    const control = options.controlMethods && { control_methods: options.controlMethods };
    const service = await bench.start('service', {
      service: 'testing',
      identity: await bench.identity('testing'),
      limits,
      ...(options.model === undefined ? {} : { model: options.model }),
      inbound: {
        listen: '127.0.0.1:0',
        local: writeAddress(options.local),
        intentions: [{ from: 'app', to: 'testing', action: 'allow', ...control }],
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
    /** Resolves once both sidecars say they are ready; fails after 20 s. */
    const ready = async (): Promise<void> => void (await Promise.all([service.ready(), caller.ready()]));
    return { bench, caller, target, service, inbound, ready, close: () => bench.close() };
  } catch (error) {
    await bench.close();
    throw error;
  }
}
