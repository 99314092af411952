import type { Socket } from 'node:net';
import type { Address } from '../config/model.js';
import type { ProcessEnd } from '../core/health/process-end.js';
import { type ModelClient, openModelClient } from '../health/model/grpc-client.js';
import { type ModelAnswer, queryModel } from '../health/model/readiness-query.js';
import { queryServerLife } from '../health/model/server-life.js';
import type { ActivityReport } from '../inbound/model-activity.js';
import type { ModelBackend } from '../inbound/model-backend.js';
import type { ModelInstance, ModelState } from '../inbound/model-instance.js';
import { removeLeftSocket } from '../runtime/process/left-socket.js';
import { socketProblem } from '../runtime/process/socket-trust.js';
import type { Timer } from '../runtime/time/timers.js';
import type { FaultHit, FaultStrike } from '../supervise/supervisor.js';
import type { ModelReport } from '../telemetry/reports.js';
import { Pool } from '../transport/pool.js';
import { combineActivity } from './combined-activity.js';
import type { AppContext } from './context.js';
import type { ModelServerSpec } from './model-addresses.js';

/**
 * Longest wait between two connects to the model server: it is on this machine, and calls wait for
 * it.
 */
const LOCAL_BACKOFF_MS = 250;
/**
 * Between two readiness queries, while the state of a model is unknown, and while a model has
 * failed to load.
 */
const QUERY_MS = 250;
const FAILED_QUERY_MS = 5_000;
const QUERY_TIMEOUT_MS = 1_000;
/** Until a socket that may be another user's is looked at again. */
const UNTRUSTED_MS = 1_000;
/**
 * Beside other model servers, one that ended this often before it was ever ready no longer delays
 * readiness.
 */
const MAX_FAILED_STARTS = 2;

/** The process of a model server, in the care of a supervisor. */
export interface OwnedProcess {
  report(): ModelReport;
  /** Resolves when it has ended. */
  stop(): Promise<void>;
  /** For drills: ends or freezes the process that serves, where that may be done. */
  strike(blow: FaultStrike): FaultHit;
  /** Lets that process go on. */
  thaw(pid: number): void;
}

/** A model at one of its servers. */
export interface HostedModel {
  readonly backend: ModelBackend;
  readonly instance: ModelInstance;
}

/**
 * One model server: the connection to it, the models that it serves (each an instance of a backend of `Inbound`) and their
 * state. The state comes from the supervisor where the sidecar owns the process, else from the connection; a
 * server of several models is also asked which of them it serves.
 */
export class ModelHost {
  readonly pool: Pool;
  hosted: readonly HostedModel[] = [];
  private supervisor: OwnedProcess | undefined;
  /** Why its socket is not connected to. */
  private untrusted: string | undefined;
  private isReady = false;
  private isOnProbation = false;
  /** Its only model is loaded, and runs for the first time. */
  isWarming = false;
  /** A sidecar before this one had given its process up. */
  wasGivenUp = false;
  /** Why models did not load, by model. */
  private readonly failures = new Map<string, string>();
  private readonly client: ModelClient;
  /** For the question whether the server is ending. */
  private readonly lifeClient: ModelClient;
  private timer: Timer | undefined;
  private isQuerying = false;
  private isStopped = false;
  /** Called after every change of a model's state. */
  onChange: (hosted: HostedModel) => void = () => {};

  constructor(
    private readonly server: ModelServerSpec,
    private readonly context: AppContext,
    /** `hasOthers`: this sidecar has other model servers too. */
    private readonly options: { readonly hasOthers: boolean; readonly isVersioned?: boolean },
  ) {
    const { settings, dataPlane, deps } = context;
    this.client = openModelClient(server.address, deps);
    this.lifeClient = openModelClient(server.address, deps);
    this.pool = new Pool(
      {
        config: { connections: 1, connectTimeoutMs: 5000, pingIntervalMs: 0, pingTimeoutMs: 0, maxAgeMs: 0 },
        settings,
        dial: () => this.dial(),
        whyNot: () => this.untrusted ?? '',
        backoffMaxMs: LOCAL_BACKOFF_MS,
        redialMs: UNTRUSTED_MS,
        onChange: () => this.onConnection(),
      },
      dataPlane,
    );
  }

  /** Undefined where the socket may be another user's. The pool asks again: it may be put right. */
  private dial(): Socket | undefined {
    const { address } = this.server;
    const problem = address.kind === 'unix' ? socketProblem(address.path, address.owner) : undefined;
    const { deps, dataPlane } = this.context;
    if (problem !== undefined && problem !== this.untrusted)
      deps.logger.error({ problem }, 'the model is not connected to');
    const isNew = problem !== undefined && problem !== this.untrusted;
    this.untrusted = problem;
    if (isNew && this.supervisor === undefined)
      for (const each of this.hosted) this.set(each, { kind: 'away', why: problem });
    return problem === undefined ? dataPlane.network.dial(address) : undefined;
  }

  get address(): Address {
    return this.server.address;
  }

  /** Name of its only model, for a process that serves one model only; undefined: it serves all. */
  get model(): string | undefined {
    return this.server.only;
  }

  /** The version that its process is told to serve; undefined: its process knows. */
  get version(): string | undefined {
    return this.server.version;
  }

  /** Number of this instance of its model, from 1; undefined: the model has one. */
  get instance(): number | undefined {
    return this.server.instance;
  }

  /** Why this model did not load; undefined when it did, or is loading. */
  whyFailed(name: string): string | undefined {
    return this.failures.get(name);
  }

  /** Names of the models that it serves; one empty name: all that a server of another make has. */
  get names(): readonly string[] {
    const { models } = this.server;
    return models.length === 0 ? [''] : models.map(({ name }) => name);
  }

  /** Connects the instances that `Inbound` created, one for each of `names`. */
  attach(hosted: readonly HostedModel[]): void {
    this.hosted = hosted;
    for (const { instance } of hosted)
      instance.endingServer.ask = (timeoutMs, onLife) =>
        void queryServerLife(this.lifeClient, timeoutMs).then(onLife);
  }

  /** Activity of the process, over all its models. */
  activity(): ActivityReport {
    return combineActivity(this.hosted.map(({ instance }) => instance.activity.report()));
  }

  // ---- state ----

  /** The supervisor reports the state of the process from now on. */
  superviseBy(owned: OwnedProcess): void {
    this.supervisor = owned;
    for (const { instance } of this.hosted) instance.lostCalls.hasSupervisor = true;
  }

  /** From the supervisor: the process has ended, and its calls with it. */
  processEnded(end: ProcessEnd): void {
    for (const { instance } of this.hosted) instance.onProcessEnd(end);
  }

  /**
   * From the supervisor: a change of the process. Calls do not wait for a process that is given up.
   */
  processChanged({ state, why, restarts, isOnProbation = false }: ModelReport): void {
    const wasOnProbation = this.isOnProbation;
    this.isOnProbation = isOnProbation;
    this.isReady = state === 'ready';
    this.isWarming = false;
    if (state === 'ready') {
      this.serves();
      if (wasOnProbation && !isOnProbation)
        for (const each of this.hosted) if (each.instance.isReady) this.set(each, { kind: 'ready' });
    } else {
      const isOver =
        state === 'given-up' ||
        (this.options.hasOthers && state === 'backoff' && restarts >= MAX_FAILED_STARTS);
      for (const each of this.hosted)
        if (isOver || each.instance.state.kind !== 'starting')
          this.set(each, { kind: 'away', why: this.failures.get(each.backend.name) ?? why });
    }
    if (state === 'starting') this.queryLater(QUERY_MS);
    for (const each of this.hosted) this.onChange(each);
  }

  /** Without a supervisor, a model is ready while there is a connection. */
  private onConnection(): void {
    if (this.supervisor !== undefined) return;
    const { pool } = this;
    this.isReady = pool.isConnected;
    if (pool.isConnected) return this.serves();
    if (pool.isConnecting) return;
    for (const each of this.hosted)
      if (each.instance.isReady) this.set(each, { kind: 'away', why: pool.problem });
  }

  /** The server answers: its only model is ready; which of several are, has to be asked. */
  private serves(): void {
    const [first] = this.hosted;
    if (this.hosted.length === 1) this.becameReady(first!);
    else void this.query();
  }

  private becameReady(hosted: HostedModel): void {
    this.failures.delete(hosted.backend.name);
    const { isOnProbation } = this;
    if (!hosted.instance.isReady)
      this.set(hosted, { kind: 'ready', ...(isOnProbation ? { isOnProbation } : {}) });
  }

  private set(hosted: HostedModel, state: ModelState): void {
    hosted.instance.setState(state);
    this.onChange(hosted);
  }

  // ---- readiness queries ----

  private queryLater(delayMs: number): void {
    if (this.server.models.length === 0 || this.isStopped) return;
    this.timer?.cancel();
    this.timer = this.context.deps.timers.after(delayMs, () => void this.query(), { unref: true });
  }

  /**
   * Asks until each model is ready or has failed; models that failed are asked again, because they
   * may load later.
   */
  private async query(): Promise<void> {
    if (this.isQuerying) return;
    this.isQuerying = true;
    for (const each of this.hosted)
      if (!each.instance.isReady)
        this.onAnswer(each, await queryModel(this.client, each.backend.name, QUERY_TIMEOUT_MS));
    this.isQuerying = false;
    const open = this.hosted.filter(({ instance }) => !instance.isReady);
    if (open.length === 0) return this.client.close();
    const areKnown = open.every(({ backend }) => this.failures.has(backend.name));
    this.queryLater(areKnown ? FAILED_QUERY_MS : QUERY_MS);
  }

  private onAnswer(hosted: HostedModel, answer: ModelAnswer): void {
    if (this.isStopped) return;
    if (answer.kind === 'unknown') {
      if (answer.isWarming !== true || this.isWarming || this.server.only === undefined) return;
      this.isWarming = true;
      return this.onChange(hosted);
    }
    if (answer.kind === 'ready') {
      // Not before the supervisor has found the process ready.
      if (this.isReady) this.becameReady(hosted);
      return;
    }
    const { why } = answer;
    const { name } = hosted.backend;
    const isNew = this.failures.get(name) !== why;
    this.failures.set(name, why);
    if (isNew) this.context.deps.logger.error({ model: name, why }, 'model is not served');
    if (isNew || hosted.instance.state.kind !== 'away') this.set(hosted, { kind: 'away', why });
  }

  // ---- drills ----

  /** Ends or freezes its process; it is spared where the sidecar does not own it. */
  strike(blow: FaultStrike): FaultHit {
    const why = 'its process is not supervised by this sidecar';
    return this.supervisor?.strike(blow) ?? { kind: 'spared', why };
  }

  /** Ends a freeze. */
  thaw(pid: number): void {
    this.supervisor?.thaw(pid);
  }

  // ---- reports ----

  /** What speaks against a process that serves, in one sentence; empty: nothing. */
  get suspicion(): string {
    return this.isOnProbation ? this.report().why : '';
  }

  /** State of the process. */
  report(): ModelReport {
    if (this.supervisor !== undefined) return this.supervisor.report();
    return { state: 'foreign', why: this.pool.problem, restarts: 0 };
  }

  /** State of each model. */
  reports(): readonly ModelReport[] {
    const report = this.report();
    return this.hosted.map(({ backend: { name }, instance: { state } }) => {
      const failure = this.failures.get(name);
      const { instance } = this;
      const which = {
        ...(this.options.isVersioned === true ? { version: this.version ?? '' } : {}),
        ...(instance === undefined ? {} : { instance }),
      };
      const named = { ...(name === '' ? {} : { name }), ...which, ...report };
      // One that is stopped because it did not load has failed.
      const isUp = ['ready', 'starting', 'foreign', 'stopped'].includes(report.state);
      if (failure !== undefined && isUp && state.kind !== 'ready')
        return { ...named, state: 'failed', why: failure };
      return this.isReady && state.kind === 'starting' ? { ...named, state: 'starting' } : named;
    });
  }

  /** Nothing starts its process: it will not serve. */
  refuse(why: string): void {
    for (const each of this.hosted) this.set(each, { kind: 'away', why });
  }

  /** Stops its process as well, and resolves when that has ended. */
  async end(): Promise<void> {
    await this.supervisor?.stop();
    this.stop();
    const { address } = this;
    if (address.kind !== 'unix') return;
    // Another sidecar may have this path by now.
    for (const path of [address.path, `${address.path}.w`]) await removeLeftSocket(path).catch(() => false);
  }

  start(): void {
    this.pool.start();
  }

  stop(): void {
    this.isStopped = true;
    this.timer?.cancel();
    this.client.close();
    this.lifeClient.close();
    this.pool.stop();
  }
}
