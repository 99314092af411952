/** A whole sidecar, as `startSidecar` builds it, in a process of the simulated world. */
import type { AppContext } from '../../../sidecar/app/context.js';
import type { InboundSide } from '../../../sidecar/app/inbound-side.js';
import type { OutboundSide } from '../../../sidecar/app/outbound-side.js';
import type { OwnedModel, RunningSidecar } from '../../../sidecar/app/running-sidecar.js';
import type { Tracing } from '../../../sidecar/app/traces/tracing.js';
import type { Address, SidecarConfig } from '../../../sidecar/config/model.js';
import type { LogFields, Logger } from '../../../sidecar/runtime/log/logger.js';
import type { ListenSockets } from '../../../sidecar/runtime/process/listen-sockets.js';
import type { ExportCounts } from '../../../sidecar/telemetry/metrics-export/export-counts.js';
import type { RegistryReport } from '../../../sidecar/telemetry/reports.js';
import type { Dice } from '../dice.js';
import { configOf, type Release } from './release.js';
import { type Issuer, SimIdentity } from './sim-identity.js';
import { SimModelClient } from './sim-model-client.js';
import { SimProcess } from './sim-process.js';
import type { SimSupervisor } from './sim-supervisor.js';

/** The parts of a running sidecar that the oracle looks into. */
export interface Insides {
  readonly context: AppContext;
  readonly outbound: OutboundSide;
  readonly inbound?: InboundSide;
  readonly consul?: { report(): RegistryReport };
  /** Of the file in force. */
  readonly current: SidecarConfig;
  readonly metricsExport: { readonly counts: ExportCounts };
  readonly traces: { readonly current: Tracing | undefined };
}

export interface SidecarEvents {
  readonly world: ConstructorParameters<typeof SimProcess>[2];
  log(sidecar: string, level: string, fields: LogFields, message: string): void;
  /** Starts the process of a version of its model. */
  own(sidecar: SimSidecar, host: OwnedModel): SimSupervisor;
  /** Its process was killed. */
  killed(sidecar: SimSidecar): void;
}

const READY_POLL_MS = 25;

export class SimSidecar {
  process: SimProcess;
  running: RunningSidecar | undefined;
  identity: SimIdentity;
  private starts = 0;
  private clients = 0;
  private readonly service: string;
  private owned: SimSupervisor[] = [];
  private sockets: ListenSockets;
  /** Of the youngest process. */
  private release: Release;
  private readonly releaseOf = new WeakMap<RunningSidecar, Release>();
  /** The last reload of each process; it never rejects. */
  private readonly reloads = new WeakMap<RunningSidecar, Promise<void>>();
  /** A successor that does not accept yet: it is told of a changed file too. */
  private successor: RunningSidecar | undefined;
  /** The process that a successor has taken over from, while it drains. */
  private before: SimProcess | undefined;

  constructor(
    readonly name: string,
    readonly host: string,
    private file: object,
    private readonly events: SidecarEvents,
    private readonly dice: Dice,
    readonly issuer: Issuer,
    /** Each process is of one of them. */
    private readonly releases: readonly Release[],
  ) {
    this.service = (file as { service: string }).service;
    [this.release] = releases as [Release];
    this.process = this.newProcess();
    this.identity = this.newIdentity();
    this.sockets = new this.release.ListenSockets();
  }

  private newIdentity(): SimIdentity {
    const { Caller } = this.release;
    return new SimIdentity(this.service, this.events.world.net, this.process, this.issuer, Caller);
  }

  private newProcess(): SimProcess {
    this.starts++;
    this.release = this.dice.of(`release ${this.starts}`).pick(this.releases);
    return new SimProcess(`sidecar ${this.name}`, this.host, this.events.world, this.dice.of(this.starts));
  }

  async start(): Promise<void> {
    if (this.process.isDead) this.renew();
    const { process } = this;
    const running = await this.begin(new this.release.ListenSockets());
    if (this.process !== process || process.isDead) return;
    this.running = running;
    if ('model' in this.file) running.ownModels((host) => this.owned.push(this.events.own(this, host)));
  }

  private renew(): void {
    this.process = this.newProcess();
    this.identity = this.newIdentity();
  }

  private async begin(sockets: ListenSockets): Promise<RunningSidecar> {
    const { process, identity, release, file } = this;
    const logger = this.logger();
    this.sockets = sockets;
    if (this.releases.length > 1) logger.info({ release: release.name }, 'begins');
    const running = await release.startSidecar(configOf(file, release), {
      sockets,
      clock: process,
      timers: process,
      random: process.random,
      logger,
      version: '0',
      env: {},
      host: this.host,
      readProcess: () => Promise.resolve([]),
      network: process.network,
      defer: process.defer,
      openIdentity: () => identity,
      modelClient: (address) =>
        new SimModelClient(address, process, this.dice.of(`client ${++this.clients}`)),
    });
    this.releaseOf.set(running, release);
    // As a process whose file changes while it starts.
    for (let read = file; this.file !== read && !process.isDead; ) {
      read = this.file;
      await this.reloadNext(running);
    }
    return running;
  }

  private logger(): Logger {
    const at =
      (level: string) =>
      (fields: LogFields, message: string): void =>
        this.events.log(this.name, level, fields, message);
    return {
      debug: () => {},
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      setLevel: () => {},
      flush: () => {},
    };
  }

  async reload(file: object): Promise<void> {
    this.file = file;
    for (const each of [this.running, this.successor]) if (each !== undefined) await this.reloadNext(each);
  }

  /** Reads the file as it is then: reloads of a process follow each other (as cli/sidecar/reload.ts has it). */
  private reloadNext(running: RunningSidecar): Promise<void> {
    const before = this.reloads.get(running) ?? Promise.resolve();
    const reload = before.then(async () => {
      await running.reload(configOf(this.file, this.releaseOf.get(running)!));
    });
    this.reloads.set(
      running,
      reload.catch(() => {}),
    );
    return reload;
  }

  kill(): void {
    this.end();
    this.events.killed(this);
  }

  private end(): void {
    this.process.kill();
    this.before?.kill();
    this.before = undefined;
    this.running = undefined;
    this.successor = undefined;
    for (const each of this.owned.splice(0)) each.kill();
  }

  /** As on SIGTERM: it drains, ends, and a new process starts. */
  async giveWay(): Promise<void> {
    const { running, process } = this;
    if (running === undefined || process.isDead) return;
    await running.drain();
    await running.stop();
    if (this.process !== process || process.isDead) return;
    this.end();
    await this.start();
  }

  /**
   * A successor inherits the listening sockets, accepts once it is ready, and only then this process drains and ends (as
   * cli/sidecar/takeover.ts does it).
   */
  async takeOver(): Promise<void> {
    const { running, process, sockets } = this;
    if (running === undefined || process.isDead || process.isFrozen || this.before !== undefined) return;
    const handed = sockets.all().map(({ name, fd, at }) => [name, { fd, at }] as const);
    const generation = sockets.generation + 1;
    this.before = process;
    this.renew();
    const fresh = this.process;
    const own = new this.release.ListenSockets({
      holdBack: true,
      generation,
      sockets: Object.fromEntries(handed),
    });
    const successor = await this.begin(own);
    if (this.process !== fresh || fresh.isDead) return;
    this.successor = successor;
    await this.untilReady(successor, fresh);
    this.running = successor;
    this.successor = undefined;
    successor.accept();
    running.handOver();
    await running.drain();
    await running.stop();
    process.kill();
    this.before = undefined;
  }

  private untilReady(successor: RunningSidecar, process: SimProcess): Promise<void> {
    return new Promise((resolve) => {
      const poll = (): void => {
        if (successor.view.notReady().length === 0) resolve();
        else process.after(READY_POLL_MS, poll);
      };
      poll();
    });
  }

  get insides(): Insides | undefined {
    return this.running as unknown as Insides | undefined;
  }

  addressOf(upstream: string): Address | undefined {
    return this.running?.addresses.upstreams[upstream];
  }
}
