import { join } from 'node:path';
import { ENGINE_CODECS } from '../codec/engines/engine-codecs.js';
import { HEALTH_CHECK, writeHealthQuestion } from '../codec/health.js';
import { engineModelOf } from '../config/engine-model.js';
import type { Address, InboundConfig, ModelProcessConfig } from '../config/model.js';
import { IntentionTable } from '../core/authorization/intentions.js';
import type { NamedVersion } from '../discovery/consul/registered-models.js';
import { AskedHealth, type AskHealth } from '../health/model/asked-health.js';
import { GrpcClient } from '../health/model/grpc-client.js';
import { HealthResponder } from '../health/model/responder.js';
import { UNKNOWN_SLOTS } from '../inbound/admission.js';
import type { ServedModel } from '../inbound/model-backend.js';
import { Inbound } from '../inbound.js';
import { SOCKET_NAMES } from '../runtime/process/listen-sockets.js';
import { StateFile } from '../runtime/process/state-file.js';
import type { ModelReport } from '../telemetry/reports.js';
import type { Listener } from '../transport/listener.js';
import { type AppContext, openListener } from './context.js';
import { DescribedMethods } from './described-methods.js';
import { EngineLoads } from './engine-loads.js';
import { EngineNumber } from './engine-number.js';
import type { MeshIdentity } from './mesh-identity.js';
import { modelServer } from './model-addresses.js';
import { ModelHost } from './model-host.js';
import { ModelStatuses } from './model-status.js';
import { IndexWatch } from './models/index-watch.js';
import { LifeLog } from './models/life/life-log.js';
import { SingleServerLives } from './models/life/single-server-lives.js';
import { modelsNotReady, reportTogether } from './models/model-reports.js';
import { Recycler, type SuspectModel } from './models/recycler.js';
import { RolloutAgent } from './models/rollout/rollout-agent.js';
import type { RolloutStore } from './models/rollout/store.js';
import { ServedRepository } from './models/served-repository.js';
import { StatisticsReader } from './models/statistics-reader.js';

export interface InboundSideOptions {
  readonly service: string;
  readonly identity: MeshIdentity | undefined;
  /** `registry`: intentions come from Consul, by `setIntentions`. */
  readonly intentionsFrom: 'file' | 'registry';
  /** Absent: the model server is started by something else. */
  readonly process?: ModelProcessConfig | undefined;
  /** Longest time that calls of a version may take to end once another one has taken over. */
  readonly drainTimeoutMs: () => number;
  /** For logs and the state file. */
  readonly instance: string;
  /** Where states are kept beyond the process; absent: they are not. */
  readonly stateDir?: string | undefined;
  /** Where the replicas of the service agree on rollouts; absent: there is no such place. */
  readonly rolloutStore?: RolloutStore | undefined;
}

/**
 * The side towards peers: the inbound listener, the calls to the local models, and the state of
 * those models.
 */
export class InboundSide {
  readonly inbound: Inbound;
  /** Undefined: no model has processes of its own. */
  readonly repository: ServedRepository | undefined;
  readonly statuses: ModelStatuses;
  /** Where each version of a model stands. */
  readonly lives: LifeLog;
  /** Undefined where the model server may be of another make. */
  readonly statistics: StatisticsReader | undefined;
  /** Undefined: processes run until they end. */
  recycler: Recycler | undefined;
  /** Undefined: versions do not change by rollouts. */
  rollouts: RolloutAgent | undefined;
  /** Called after every change of a model's state. */
  onModel: () => void = () => {};
  address: Address | undefined;
  /** Undefined: its methods are known without asking. */
  private readonly described: DescribedMethods | undefined;
  /** Undefined: it is no engine, or one that does not say it. */
  private readonly slots: EngineNumber | undefined;
  private readonly engineContext: EngineNumber | undefined;
  private readonly loads: EngineLoads | undefined;
  /** The only model server, where models have no processes of their own. */
  private readonly single: ModelHost | undefined;
  private listener: Listener | undefined;
  private index: IndexWatch | undefined;
  private intentions: IntentionTable;
  private fileVersion = 0;

  constructor(
    private config: InboundConfig,
    private readonly context: AppContext,
    private readonly options: InboundSideOptions,
  ) {
    const { dataPlane, limits, deps } = context;
    const { service, identity } = options;
    this.intentions = options.intentionsFrom === 'file' ? this.tableOf(config) : IntentionTable.notLoaded(0);
    const { instance, stateDir } = options;
    const file =
      stateDir === undefined
        ? undefined
        : new StateFile(
            join(stateDir, `${encodeURIComponent(instance)}${STATE_FILE}`),
            deps.logger,
            deps.timers,
          );
    this.lives = new LifeLog({ ...deps, instance, file });
    this.repository = ServedRepository.open(config, { ...options, lives: this.lives }, context);
    const only = this.repository === undefined ? modelServer(config, options.process?.isolation) : undefined;
    this.single = only && new ModelHost(only, context, { hasOthers: false });
    this.inbound = new Inbound(config, {
      service,
      models: this.repository?.initial ?? servedBy(this.single!),
      intentions: this.intentions,
      context: dataPlane,
      replayBytes: limits.replayBytesPerCall,
      engineModel: engineModelOf(config, options.process),
      readMemory: deps.readMemory,
    });
    this.single?.attach(
      this.inbound.state.backends.map((backend) => ({ backend, instance: backend.instances[0]! })),
    );
    if (options.process?.isolation !== undefined)
      this.statistics = new StatisticsReader(() => this.hosts, context);
    this.repository?.attach(this.inbound, this.statistics);
    this.statuses = new ModelStatuses(config, this.hosts, context);
    this.repository?.reportTo(this.statuses, () => this.onModel());
    this.openRollouts();
    this.openRecycler();
    this.described = this.describeMethods(this.single);
    this.slots = this.askEngine('slots', (slots) => this.takeSlots(slots));
    this.engineContext = this.askEngine('context', (tokens) => this.inbound.state.setEngineContext(tokens));
    this.loads = this.askLoads(this.single);
    if (this.single !== undefined) this.follow(this.single);
    this.inbound.state.health = this.makeResponder();
    identity?.onRotated(({ rootsChanged }) => {
      if (rootsChanged) this.listener?.review((session) => identity.stillTrusts(session));
    });
    identity?.onExpiry(() => this.listener?.retireSessions());
  }

  /** Where there is one model server, it may know services that this sidecar does not. */
  private makeResponder(): HealthResponder {
    const { statuses, single, context } = this;
    const { timers } = context.deps;
    const known = (service: string): boolean | undefined => statuses.serving(service);
    const isOwn = (service: string): boolean => statuses.has(service);
    if (single === undefined) return new HealthResponder(known, isOwn);
    const client = new GrpcClient(single.address, timers);
    const ask: AskHealth = (service, timeoutMs) =>
      client.call(HEALTH_CHECK, writeHealthQuestion(service), { timeoutMs, maxBytes: 64 });
    return new HealthResponder(known, isOwn, new AskedHealth(ask, timers, () => client.close()));
  }

  /** Rollouts, where versions change by them. */
  private openRollouts(): void {
    const { repository, context, lives, options } = this;
    const { process: model, rolloutStore, service, instance } = options;
    if (repository === undefined || model?.rollout === undefined || rolloutStore === undefined) return;
    const { windowMs, agreement, samples, canary, maxLatency } = model.rollout;
    // A process that does not start in time is started again once.
    const loadMs = 2 * model.startTimeoutMs;
    this.rollouts = new RolloutAgent({
      ...{ context, service, instance, lives, store: rolloutStore, repository: repository.repository },
      settings: { windowMs, agreement, samples, canary, maxLatency, loadMs },
      isProven: (revision) => this.statuses.proven(revision.backend.instances),
      moved: (revision) => repository.moved(revision),
    });
    if (model.rollout.follow) repository.onListed = () => void this.rollouts?.follow();
  }

  /** Replaces processes before they fail, where the file asks for it. */
  private openRecycler(): void {
    const { repository, context, options } = this;
    const { process: model, rolloutStore: store } = options;
    if (repository === undefined || model?.recycle === undefined) return;
    this.recycler = new Recycler({
      ...{ repository: repository.repository, context, limits: model.recycle, store },
      isRollingOut: () => this.rollouts?.isUnderWay === true,
      memoryOf: ({ hosts }) => {
        const own = (this.statistics?.memory() ?? []).filter(({ host }) => hosts.includes(host));
        return Math.max(0, ...own.map(({ bytes }) => bytes));
      },
      moved: (revision) => repository.moved(revision),
    });
  }

  /** A detector suspects a process of a version; empty `cause`: it does not any more. With `recycle` fresh ones follow. */
  suspect(suspect: SuspectModel, cause: string): void {
    this.recycler?.suspect(suspect, cause);
  }

  /** The only model server: its state is that of all models. */
  private follow(single: ModelHost): void {
    const lives = new SingleServerLives(single, this.lives);
    single.onChange = (hosted) => {
      this.statuses.changed(hosted.instance);
      lives.observe(hosted);
      const isReady = single.hosted.some((each) => each.instance.isReady);
      this.described?.update(isReady);
      this.slots?.update(isReady);
      this.engineContext?.update(isReady);
      this.loads?.update(isReady);
      this.onModel();
    };
  }

  /** Asks a service what methods it has, each time it starts. Several processes of our own serve what is known without asking. */
  private describeMethods(host: ModelHost | undefined): DescribedMethods | undefined {
    if (host !== undefined && this.config.reflection !== false)
      return new DescribedMethods(host.address, this.context, (list) => this.inbound.state.describe(list));
    this.inbound.state.describe(undefined);
    return undefined;
  }

  /** Asks a language-model engine, each time it starts, how many calls it runs at once, or how long its context is. */
  private askEngine(what: 'slots' | 'context', onAnswer: (value: number) => void): EngineNumber | undefined {
    const { engine } = this.config;
    const said = engine === undefined ? null : ENGINE_CODECS[engine][what];
    if (this.single === undefined || said === null) return undefined;
    return new EngineNumber(this.single.address, said, this.context, onAnswer);
  }

  /** Asks it what it has to do, for load reports and metrics. */
  private askLoads(host: ModelHost | undefined): EngineLoads | undefined {
    const { engine } = this.config;
    const layout = engine === undefined ? null : ENGINE_CODECS[engine].loads;
    if (host === undefined || layout === null) return undefined;
    const { context, inbound } = this;
    return new EngineLoads(host.address, layout, context, (load) =>
      inbound.state.load.takeEngine(load, context.deps.clock.now()),
    );
  }

  private takeSlots(slots: number): void {
    const { concurrency } = this.config.queue;
    const { logger } = this.context.deps;
    this.inbound.state.setEngineSlots(slots);
    if (slots > 0 && concurrency > slots)
      logger.warn(
        { concurrency, slots },
        'calls wait in the engine: queue.concurrency is above what it runs',
      );
    if (slots === 0 && concurrency === 0)
      logger.warn({ concurrency: UNKNOWN_SLOTS }, 'the engine does not say how many calls it runs at once');
  }

  /** The model servers. */
  get hosts(): readonly ModelHost[] {
    return this.single === undefined ? this.repository!.hosts : [this.single];
  }

  /** Each version of a model that calls find here, as far as that is known. */
  get served(): readonly NamedVersion[] {
    return this.repository?.repository.loaded.served() ?? this.index?.models ?? this.statuses.models;
  }

  /** From now on `onChange` is called when `served` may have changed; a server of another make is asked for its index. */
  followServed(onChange: () => void): void {
    if (this.repository !== undefined) this.repository.onServed = onChange;
    else if (this.options.process?.isolation === undefined) {
      this.index = new IndexWatch(this.config.local, this.context.deps, onChange);
      this.index.start();
    }
  }

  /** `start` is called for each model server, now and when one is added, to start its process. */
  ownModels(start: (host: ModelHost) => void): void {
    if (this.repository !== undefined) this.repository.ownModels(start);
    else start(this.single!);
  }

  async start(): Promise<void> {
    for (const host of this.hosts) host.start();
    this.repository?.start();
    this.rollouts?.start();
    this.recycler?.start();
    this.statistics?.start();
    const { mtls, listen } = this.config;
    const { identity } = this.options;
    const security =
      mtls === 'off' ? undefined : identity?.security({ alsoPlaintext: mtls === 'permissive' });
    this.listener = openListener(this.context, SOCKET_NAMES.inbound, {
      address: listen,
      ...security,
      onStream: (session, stream, block, ended) => this.inbound.accept(session, stream, block, ended),
    });
    this.inbound.state.onReadiness = (readiness) => this.listener!.announceReadiness(readiness);
    this.listener.announceReadiness(this.inbound.state.readiness);
    this.address = await this.listener.listen();
  }

  /** Applies a changed `inbound` block. */
  update(config: InboundConfig): void {
    this.config = config;
    if (this.options.intentionsFrom === 'file') this.intentions = this.tableOf(config);
    this.inbound.state.update(config, this.intentions, this.listener?.sessions ?? []);
  }

  /** Intentions from Consul. Calls in flight that are no longer allowed are ended. */
  setIntentions(table: IntentionTable): void {
    this.intentions = table;
    this.inbound.state.setIntentions(table, this.listener?.sessions ?? []);
  }

  private tableOf(config: InboundConfig): IntentionTable {
    this.fileVersion++;
    return new IntentionTable(config.intentions, config.defaultIntention, this.fileVersion);
  }

  /** All models together: ready while one is; `why` lists the others. */
  model(): ModelReport {
    return reportTogether(this.hosts);
  }

  /** Each model; without a name for a server of another make. */
  models(): readonly ModelReport[] {
    return this.hosts.flatMap((host) => host.reports());
  }

  /** What keeps this side from being ready, each in one sentence. */
  notReady(): string[] {
    const { repository } = this;
    return modelsNotReady(
      this.inbound.state.backends.filter(({ isRetired }) => !isRetired),
      (backend) => repository !== undefined && !repository.isInitial(backend),
    );
  }

  get listeners(): readonly Listener[] {
    return this.listener === undefined ? [] : [this.listener];
  }

  /** No version of a model is loaded or unloaded from now on: the sidecar drains. */
  stopLoading(): void {
    this.repository?.stop();
    this.recycler?.stop();
    this.leaveStore();
  }

  /** A successor keeps the states of the models from here on. */
  handOver(): void {
    this.lives.handOver();
  }

  /** What the replicas agree by is left, with the locks and the session there. */
  private leaveStore(): void {
    if (this.rollouts !== undefined) void this.rollouts.stop();
    else void this.options.rolloutStore?.close().catch(() => {});
  }

  stop(): void {
    this.listener?.stop();
    this.statuses.close();
    this.index?.close();
    this.repository?.stop();
    this.statistics?.stop();
    this.described?.stop();
    this.slots?.stop();
    this.engineContext?.stop();
    this.loads?.stop();
    for (const host of this.hosts) host.stop();
    this.recycler?.stop();
    this.leaveStore();
    this.lives.close();
  }
}

/** In the directory for states, after the name of the instance. */
const STATE_FILE = '.models.json';

/** The models of one server. */
function servedBy({ names, pool }: ModelHost): readonly ServedModel[] {
  return names.map((name) => ({ name, pools: [pool] }));
}
