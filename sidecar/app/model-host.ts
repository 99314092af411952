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

/** A connect on this machine costs next to nothing, and calls wait for it: at most this between two. */
const LOCAL_BACKOFF_MS = 250;
/** Between two questions about models of which nothing is known, and about those that did not load. */
const ASK_MS = 250;
const ASK_AGAIN_MS = 5_000;
const ANSWER_MS = 1_000;
/** A process that has ended so often before it was ever ready is not waited for any more, as long as it has company. */
const HOPELESS_RESTARTS = 2;

export class ModelHost {
  readonly pool: Pool;
  backends: readonly ModelBackend[] = [];
  private supervisor: (() => ModelReport) | undefined;
  private isReady = false;
  /** Why models did not load, by their names. */
  private readonly failures = new Map<string, string>();
  private readonly client: GrpcClient;
  private timer: Timer | undefined;
  private isAsking = false;
  private isStopped = false;
  /** The state of one of its models changed. */
  onChange: (backend: ModelBackend) => void = () => {};

  constructor(
    private readonly server: ModelServerSpec,
    private readonly context: AppContext,
    /** There are other hosts. */
    private readonly hasOthers: boolean,
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

  /** The name of the one model that a process of its own serves; undefined: it serves all there are. */
  get model(): string | undefined {
    return this.server.only;
  }

  whyFailed({ name }: ModelBackend): string | undefined {
    return this.failures.get(name);
  }

  served(): readonly ServedModel[] {
    const { pool } = this;
    const { models } = this.server;
    return models.length === 0 ? [{ name: '', pool }] : models.map(({ name }) => ({ name, pool }));
  }

  attach(backends: readonly ModelBackend[]): void {
    this.backends = backends;
  }

  activity(): ActivityReport {
    return combineActivity(this.backends.map(({ activity }) => activity.report()));
  }

  // ---- how it is ----

  superviseBy(report: () => ModelReport): void {
    this.supervisor = report;
    for (const { lostCalls } of this.backends) lostCalls.hasSupervisor = true;
  }

  /** From a supervisor: the process has ended, and so have the calls in it. */
  processEnded(end: ProcessEnd): void {
    for (const backend of this.backends) backend.onProcessEnd(end);
  }

  /** From a supervisor: the process came, went or is on its way. One that is given up is not waited for any more. */
  processChanged({ state, why, restarts }: ModelReport): void {
    this.isReady = state === 'ready';
    if (state === 'ready') this.serves();
    else {
      const isOver =
        state === 'given-up' || (this.hasOthers && state === 'backoff' && restarts >= HOPELESS_RESTARTS);
      for (const backend of this.backends)
        if (isOver || backend.state.kind !== 'starting')
          this.set(backend, { kind: 'away', why: this.failures.get(backend.name) ?? why });
    }
    if (state === 'starting') this.askLater(ASK_MS);
    for (const backend of this.backends) this.onChange(backend);
  }

  /** A model that is not supervised is ready when it can be reached. */
  private onConnection(): void {
    if (this.supervisor !== undefined) return;
    const { pool } = this;
    this.isReady = pool.isConnected;
    if (pool.isConnected) return this.serves();
    if (pool.isConnecting) return;
    for (const backend of this.backends)
      if (backend.state.kind === 'ready') this.set(backend, { kind: 'away', why: pool.problem });
  }

  /** A process that serves is one that serves its only model; of several it has to say which. */
  private serves(): void {
    const [first] = this.backends;
    if (this.backends.length === 1) this.becameReady(first!);
    else void this.ask();
  }

  private becameReady(backend: ModelBackend): void {
    this.failures.delete(backend.name);
    if (backend.state.kind !== 'ready') this.set(backend, { kind: 'ready' });
  }

  private set(backend: ModelBackend, state: ModelState): void {
    backend.setState(state);
    this.onChange(backend);
  }

  // ---- questions about models ----

  private askLater(delayMs: number): void {
    if (this.server.models.length === 0 || this.isStopped) return;
    this.timer?.cancel();
    this.timer = this.context.deps.timers.after(delayMs, () => void this.ask(), { unref: true });
  }

  /** Until each model is ready or known not to be; after that now and then, for what did not load may load later. */
  private async ask(): Promise<void> {
    if (this.isAsking) return;
    this.isAsking = true;
    for (const backend of this.backends)
      if (backend.state.kind !== 'ready')
        this.onAnswer(backend, await queryModel(this.client, backend.name, ANSWER_MS));
    this.isAsking = false;
    const open = this.backends.filter(({ state }) => state.kind !== 'ready');
    if (open.length === 0) return this.client.close();
    const areKnown = open.every(({ name }) => this.failures.has(name));
    this.askLater(areKnown ? ASK_AGAIN_MS : ASK_MS);
  }

  private onAnswer(backend: ModelBackend, answer: ModelAnswer): void {
    if (this.isStopped || answer.kind === 'unknown') return;
    if (answer.kind === 'ready') {
      // The supervisor has its own opinion of when a process is ready.
      if (this.isReady) this.becameReady(backend);
      return;
    }
    const { why } = answer;
    const isNews = this.failures.get(backend.name) !== why;
    this.failures.set(backend.name, why);
    if (isNews) this.context.deps.logger.error({ model: backend.name, why }, 'model is not served');
    if (isNews || backend.state.kind !== 'away') this.set(backend, { kind: 'away', why });
  }

  // ---- reports ----

  /** Of the process. */
  report(): ModelReport {
    if (this.supervisor !== undefined) return this.supervisor();
    return { state: 'foreign', why: this.pool.problem, restarts: 0 };
  }

  /** Of each of its models. */
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
