import type { Address } from '../config/model.js';
import type { ProcessEnd } from '../core/health/process-end.js';
import { GrpcClient } from '../health/model/grpc-client.js';
import { type ModelAnswer, queryModel } from '../health/model/readiness-query.js';
import type { ActivityReport } from '../inbound/model-activity.js';
import type { ModelBackend, ModelState, ServedModel } from '../inbound/model-backend.js';
import type { Timer } from '../runtime/time/timers.js';
import type { ModelReport } from '../telemetry/reports.js';
import { dialPlain } from '../transport/dial.js';
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
/**
 * Beside other model servers, one that ended this often before it was ever ready no longer delays
 * readiness.
 */
const MAX_FAILED_STARTS = 2;

/**
 * One model server: the connection to it, its models (backends of `Inbound`) and their state. The
 * state comes from the supervisor where the sidecar owns the process, else from the connection; a
 * server of several models is also asked which of them it serves.
 */
export class ModelHost {
  readonly pool: Pool;
  backends: readonly ModelBackend[] = [];
  private supervisor: (() => ModelReport) | undefined;
  private isReady = false;
  /** Why models did not load, by model. */
  private readonly failures = new Map<string, string>();
  private readonly client: GrpcClient;
  private timer: Timer | undefined;
  private isQuerying = false;
  private isStopped = false;
  /** Called after every change of a model's state. */
  onChange: (backend: ModelBackend) => void = () => {};

  constructor(
    private readonly server: ModelServerSpec,
    private readonly context: AppContext,
    /** `hasOthers`: this sidecar has other model servers too. */
    private readonly options: { readonly hasOthers: boolean },
  ) {
    const { settings, dataPlane, deps } = context;
    this.client = new GrpcClient(server.address, deps.timers);
    this.pool = new Pool(
      {
        config: { connections: 1, connectTimeoutMs: 5000, pingIntervalMs: 0, pingTimeoutMs: 0, maxAgeMs: 0 },
        settings,
        dial: () => dialPlain(server.address),
        backoffMaxMs: LOCAL_BACKOFF_MS,
        onChange: () => this.onConnection(),
      },
      dataPlane,
    );
  }

  get address(): Address {
    return this.server.address;
  }

  /** Name of its only model, for a process that serves one model only; undefined: it serves all. */
  get model(): string | undefined {
    return this.server.only;
  }

  /** Why this model did not load; undefined when it did, or is loading. */
  whyFailed({ name }: ModelBackend): string | undefined {
    return this.failures.get(name);
  }

  /** The backends to create for this server. */
  served(): readonly ServedModel[] {
    const { pool } = this;
    const { models } = this.server;
    return models.length === 0 ? [{ name: '', pool }] : models.map(({ name }) => ({ name, pool }));
  }

  /** Connects the backends that `Inbound` created from `served`. */
  attach(backends: readonly ModelBackend[]): void {
    this.backends = backends;
  }

  /** Activity of the process, over all its models. */
  activity(): ActivityReport {
    return combineActivity(this.backends.map(({ activity }) => activity.report()));
  }

  // ---- state ----

  /** The supervisor reports the state of the process from now on. */
  superviseBy(report: () => ModelReport): void {
    this.supervisor = report;
    for (const { lostCalls } of this.backends) lostCalls.hasSupervisor = true;
  }

  /** From the supervisor: the process has ended, and its calls with it. */
  processEnded(end: ProcessEnd): void {
    for (const backend of this.backends) backend.onProcessEnd(end);
  }

  /**
   * From the supervisor: a change of the process. Calls do not wait for a process that is given up.
   */
  processChanged({ state, why, restarts }: ModelReport): void {
    this.isReady = state === 'ready';
    if (state === 'ready') this.serves();
    else {
      const isOver =
        state === 'given-up' ||
        (this.options.hasOthers && state === 'backoff' && restarts >= MAX_FAILED_STARTS);
      for (const backend of this.backends)
        if (isOver || backend.state.kind !== 'starting')
          this.set(backend, { kind: 'away', why: this.failures.get(backend.name) ?? why });
    }
    if (state === 'starting') this.queryLater(QUERY_MS);
    for (const backend of this.backends) this.onChange(backend);
  }

  /** Without a supervisor, a model is ready while there is a connection. */
  private onConnection(): void {
    if (this.supervisor !== undefined) return;
    const { pool } = this;
    this.isReady = pool.isConnected;
    if (pool.isConnected) return this.serves();
    if (pool.isConnecting) return;
    for (const backend of this.backends)
      if (backend.state.kind === 'ready') this.set(backend, { kind: 'away', why: pool.problem });
  }

  /** The server answers: its only model is ready; which of several are, has to be asked. */
  private serves(): void {
    const [first] = this.backends;
    if (this.backends.length === 1) this.becameReady(first!);
    else void this.query();
  }

  private becameReady(backend: ModelBackend): void {
    this.failures.delete(backend.name);
    if (backend.state.kind !== 'ready') this.set(backend, { kind: 'ready' });
  }

  private set(backend: ModelBackend, state: ModelState): void {
    backend.setState(state);
    this.onChange(backend);
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
    for (const backend of this.backends)
      if (backend.state.kind !== 'ready')
        this.onAnswer(backend, await queryModel(this.client, backend.name, QUERY_TIMEOUT_MS));
    this.isQuerying = false;
    const open = this.backends.filter(({ state }) => state.kind !== 'ready');
    if (open.length === 0) return this.client.close();
    const areKnown = open.every(({ name }) => this.failures.has(name));
    this.queryLater(areKnown ? FAILED_QUERY_MS : QUERY_MS);
  }

  private onAnswer(backend: ModelBackend, answer: ModelAnswer): void {
    if (this.isStopped || answer.kind === 'unknown') return;
    if (answer.kind === 'ready') {
      // Not before the supervisor has found the process ready.
      if (this.isReady) this.becameReady(backend);
      return;
    }
    const { why } = answer;
    const isNew = this.failures.get(backend.name) !== why;
    this.failures.set(backend.name, why);
    if (isNew) this.context.deps.logger.error({ model: backend.name, why }, 'model is not served');
    if (isNew || backend.state.kind !== 'away') this.set(backend, { kind: 'away', why });
  }

  // ---- reports ----

  /** State of the process. */
  report(): ModelReport {
    if (this.supervisor !== undefined) return this.supervisor();
    return { state: 'foreign', why: this.pool.problem, restarts: 0 };
  }

  /** State of each model. */
  reports(): readonly ModelReport[] {
    const report = this.report();
    return this.backends.map(({ name, state }) => {
      const failure = this.failures.get(name);
      const named = { ...(name === '' ? {} : { name }), ...report };
      const isUp = report.state === 'ready' || report.state === 'starting' || report.state === 'foreign';
      if (failure !== undefined && isUp && state.kind !== 'ready')
        return { ...named, state: 'failed', why: failure };
      return this.isReady && state.kind === 'starting' ? { ...named, state: 'starting' } : named;
    });
  }

  start(): void {
    this.pool.start();
  }

  stop(): void {
    this.isStopped = true;
    this.timer?.cancel();
    this.client.close();
    this.pool.stop();
  }
}
