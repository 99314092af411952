/** A whole sidecar, as `startSidecar` builds it, in a process of the simulated world. */
import type { AppContext } from '../../../sidecar/app/context.js';
import type { InboundSide } from '../../../sidecar/app/inbound-side.js';
import type { OutboundSide } from '../../../sidecar/app/outbound-side.js';
import type { RunningSidecar } from '../../../sidecar/app/running-sidecar.js';
import { startSidecar } from '../../../sidecar/app/sidecar.js';
import { parseSidecarFile } from '../../../sidecar/config/file/parse.js';
import type { Address, SidecarConfig } from '../../../sidecar/config/model.js';
import type { LogFields, Logger } from '../../../sidecar/runtime/log/logger.js';
import type { RegistryReport } from '../../../sidecar/telemetry/reports.js';
import type { Dice } from '../dice.js';
import { type Issuer, SimIdentity } from './sim-identity.js';
import { SimModelClient } from './sim-model-client.js';
import { SimProcess } from './sim-process.js';

/** The parts of a running sidecar that the oracle looks into. */
export interface Insides {
  readonly context: AppContext;
  readonly outbound: OutboundSide;
  readonly inbound?: InboundSide;
  readonly consul?: { report(): RegistryReport };
}

/** @throws Error with what is wrong with the file. */
export function configOf(file: object): SidecarConfig {
  const parsed = parseSidecarFile(JSON.stringify(file), '/sim/sidecar.yaml');
  if (!parsed.ok) throw new Error(parsed.problems.map((each) => JSON.stringify(each)).join('; '));
  return parsed.config;
}

export interface SidecarEvents {
  readonly world: ConstructorParameters<typeof SimProcess>[2];
  log(sidecar: string, level: string, fields: LogFields, message: string): void;
}

export class SimSidecar {
  process: SimProcess;
  running: RunningSidecar | undefined;
  identity: SimIdentity;
  private starts = 0;
  private clients = 0;
  private readonly service: string;

  constructor(
    readonly name: string,
    readonly host: string,
    private file: object,
    private readonly events: SidecarEvents,
    private readonly dice: Dice,
    readonly issuer: Issuer,
  ) {
    this.service = (file as { service: string }).service;
    this.process = this.newProcess();
    this.identity = new SimIdentity(this.service, this.events.world.net, this.process, this.issuer);
  }

  private newProcess(): SimProcess {
    this.starts++;
    return new SimProcess(`sidecar ${this.name}`, this.host, this.events.world, this.dice.of(this.starts));
  }

  async start(): Promise<void> {
    if (this.process.isDead) {
      this.process = this.newProcess();
      this.identity = new SimIdentity(this.service, this.events.world.net, this.process, this.issuer);
    }
    const { process, identity } = this;
    const logger = this.logger();
    const running = await startSidecar(configOf(this.file), {
      clock: process,
      timers: process,
      random: process.random,
      logger,
      version: '0',
      env: {},
      host: this.host,
      network: process.network,
      defer: process.defer,
      openIdentity: () => identity,
      modelClient: (address) =>
        new SimModelClient(address, process, this.dice.of(`client ${++this.clients}`)),
    });
    if (this.process === process && !process.isDead) this.running = running;
  }

  private logger(): Logger {
    const at =
      (level: string) =>
      (fields: LogFields, message: string): void =>
        this.events.log(this.name, level, fields, message);
    return {
      debug: () => {},
      info: () => {},
      warn: at('warn'),
      error: at('error'),
      setLevel: () => {},
      flush: () => {},
    };
  }

  async reload(file: object): Promise<void> {
    this.file = file;
    await this.running?.reload(configOf(file));
  }

  kill(): void {
    this.process.kill();
    this.running = undefined;
  }

  /** As on SIGTERM: it drains, ends, and a new process starts. */
  async giveWay(): Promise<void> {
    const { running, process } = this;
    if (running === undefined || process.isDead) return;
    await running.drain();
    await running.stop();
    if (this.process !== process || process.isDead) return;
    this.kill();
    await this.start();
  }

  get insides(): Insides | undefined {
    return this.running as unknown as Insides | undefined;
  }

  addressOf(upstream: string): Address | undefined {
    return this.running?.addresses.upstreams[upstream];
  }
}
