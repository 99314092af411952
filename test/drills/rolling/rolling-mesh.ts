/**
 * A mesh on Consul as a service manager keeps it: each sidecar a process of its own with a file of its own, which can be ended,
 * killed, started again, and followed by another process, of whichever build is installed at that moment.
 */
import { spawn } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StatusReport } from '../../../sidecar/admin/status.js';
import { ConsulServer } from '../../kit/consul/consul.js';
import { freePort } from '../../kit/process/free-port.js';
import {
  admin,
  DIGITS_MODELS,
  isReady,
  type Outcome,
  outcomeOf,
  Scratch,
} from '../../kit/process/outrider.js';
import { isRunning, processesWith, until } from '../../kit/process/processes.js';
import { SidecarProcess } from '../../kit/process/sidecars.js';
import { type Build, Installation, PRESENT } from './builds.js';

const HOST = '127.0.0.1';
export const SERVICE = 'mine';
const READY_MS = 60_000;
/** For a drain, with the streams that are under way. */
const END_MS = 40_000;

interface RollingOptions {
  readonly replicas?: number;
  /** The block `rollout` of the replicas; absent: versions do not change. */
  readonly rollout?: Readonly<Record<string, unknown>>;
  readonly instances?: number;
  /** Statuses after which the caller's route tries again; default: `unavailable`. */
  readonly retryOn?: readonly string[];
  /** What is installed at the start of each replica, and of the caller; default: this version. */
  readonly replicaBuild?: Build;
  readonly callerBuild?: Build;
}

/** One place of the mesh, whichever process has it. */
export class Place {
  readonly installation: Installation;
  private process: SidecarProcess | undefined;

  constructor(
    readonly name: string,
    readonly admin: string,
    private readonly file: string,
    installation: Installation,
  ) {
    this.installation = installation;
  }

  /** Of the sidecar that this place has now. */
  get pids(): number[] {
    return processesWith(this.file);
  }

  /** All that its first process, and those that inherited its output, have written. */
  get output(): string {
    return this.process?.output ?? '';
  }

  /** Resolves when it is ready. */
  async start(): Promise<void> {
    const { name, installation } = this;
    this.process = await SidecarProcess.start(this.file, { name, program: installation.command });
    await this.ready();
  }

  async ready(): Promise<void> {
    await until(`${this.name} is ready`, () => isReady(this.admin), READY_MS).catch(async (error: Error) => {
      const said = await admin(this.admin, '/ready').catch(String);
      throw new Error(`${error.message}: ${JSON.stringify(said)}\n${this.output.slice(-2000)}`);
    });
  }

  /** SIGTERM, and its whole drain. */
  async end(): Promise<void> {
    const { pids } = this;
    for (const pid of pids) process.kill(pid, 'SIGTERM');
    await until(`${this.name} has ended`, () => !pids.some(isRunning), END_MS);
  }

  /** As a service manager does it. */
  async restart(): Promise<void> {
    await this.end();
    await this.start();
  }

  /** At once; its model, which sees that, ends too. */
  async kill(): Promise<void> {
    const { pids } = this;
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await until(`${this.name} is gone`, () => !pids.some(isRunning));
  }

  /** `outrider sidecar --takeover` of what is installed; resolves when the process before has ended. */
  async takeOver(): Promise<void> {
    const before = this.pids;
    const { code, stderr } = await this.command('sidecar', '-c', this.file, '--takeover');
    if (code !== 0) throw new Error(`${this.name}: ${stderr}\n${this.output.slice(-2000)}`);
    await until(`the predecessor of ${this.name} has ended`, () => !before.some(isRunning), END_MS);
    await this.ready();
  }

  /** A command of the program that is installed here. */
  command(...args: readonly string[]): Promise<Outcome> {
    const [program, ...own] = this.installation.command;
    return outcomeOf(spawn(program!, [...own, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  async report(): Promise<StatusReport> {
    return JSON.parse((await admin(this.admin, '/endpoints')).body);
  }
}

/** Replicas of `mine` with the model `digits`, each with a directory of versions that all share, and one caller. */
export class RollingMesh {
  readonly replicas: Place[] = [];
  caller!: Place;
  /** Where an application calls, `host:port`. */
  target = '';
  private readonly scratch = new Scratch();

  private constructor(readonly consul: ConsulServer) {}

  /** Resolves when all are ready. */
  static async start(options: RollingOptions = {}): Promise<RollingMesh> {
    const mesh = new RollingMesh(await ConsulServer.start());
    try {
      await mesh.make(options);
      return mesh;
    } catch (error) {
      await mesh.close();
      throw error;
    }
  }

  /** The directory with the versions of the model. */
  get model(): string {
    return join(this.scratch.path, 'models/digits');
  }

  /** Its directory of states. */
  stateOf(place: Place): string {
    return join(this.scratch.path, `${place.name}-state`);
  }

  get places(): readonly Place[] {
    return [...this.replicas, this.caller];
  }

  async close(): Promise<void> {
    for (const pid of processesWith(this.scratch.path)) process.kill(pid, 'SIGKILL');
    await this.consul.stop();
    this.scratch.remove();
  }

  private async make(options: RollingOptions): Promise<void> {
    const {
      replicas = 2,
      replicaBuild = PRESENT,
      callerBuild = PRESENT,
      retryOn = ['unavailable'],
    } = options;
    cpSync(join(DIGITS_MODELS, 'digits'), this.model, { recursive: true });
    await this.consul.api('POST', '/connect/intentions', {
      ...{ SourceName: 'app', DestinationName: SERVICE, SourceType: 'consul', Action: 'allow' },
    });
    const address = async () => `${HOST}:${await freePort()}`;
    const files: (() => Place)[] = [];
    for (let i = 1; i <= replicas; i++) {
      const [inbound, adminAt] = [await address(), await address()];
      files.push(() => this.replica(`${SERVICE}-${i}`, { inbound, adminAt, options, build: replicaBuild }));
    }
    const [adminAt, target] = [await address(), await address()];
    this.target = target;
    for (const make of files) this.replicas.push(make());
    await Promise.all(this.replicas.map((each) => each.start()));
    this.caller = this.place('app-1', callerBuild, adminAt, () =>
      callerFile(target, this.consul.url, retryOn),
    );
    await this.caller.start();
  }

  private replica(name: string, made: MadeReplica): Place {
    const { inbound, adminAt, options, build } = made;
    return this.place(name, build, adminAt, ({ command }) => {
      const models = join(this.scratch.path, 'models');
      const hasVersions = options.rollout !== undefined || options.instances !== undefined;
      const which = hasVersions ? ['--model', '{model}={version}'] : [];
      const serve = ['serve', '--models', models, ...which, '--listen', '{socket}', '--exit-with-stdin'];
      return {
        ...{ service: SERVICE, instance: name, consul: { address: this.consul.url } },
        ...(options.rollout === undefined ? {} : { state_dir: join(this.scratch.path, `${name}-state`) }),
        model: {
          command: [...command, ...serve],
          ...(hasVersions ? { isolation: 'process' } : {}),
          ...(options.rollout === undefined ? {} : { rollout: options.rollout }),
          ...(options.instances === undefined ? {} : { instances: options.instances }),
        },
        inbound: {
          ...{ listen: inbound, local: `unix:${join(this.scratch.path, name, 'model.sock')}` },
          ...{ golden: { models }, queue: { concurrency: 32, max_waiting: 4096 } },
        },
      };
    });
  }

  private place(
    name: string,
    build: Build,
    adminAt: string,
    file: (installation: Installation) => object,
  ): Place {
    const installation = new Installation(join(this.scratch.path, `${name}-installed`));
    installation.install(build);
    const where = join(this.scratch.path, `${name}.yaml`);
    const common = { admin: adminAt, log: { level: 'info' }, drain_timeout: '20s' };
    writeFileSync(where, JSON.stringify({ ...common, ...file(installation) }));
    return new Place(name, adminAt, where, installation);
  }
}

interface MadeReplica {
  readonly inbound: string;
  readonly adminAt: string;
  readonly options: RollingOptions;
  readonly build: Build;
}

/** An author of the model says that asking twice does no harm; everything else is as it comes. */
function callerFile(listen: string, consul: string, retryOn: readonly string[]): object {
  const routes = [
    {
      methods: ['/inference.GRPCInferenceService/ModelInfer'],
      ...{ idempotent: true, timeout: '20s', attempt_timeout: '10s' },
      retry: { attempts: 3, on: retryOn },
    },
  ];
  return {
    ...{ service: 'app', instance: 'app-1', consul: { address: consul } },
    outbound: { upstreams: { [SERVICE]: { listen, routes } } },
  };
}
