import type { Address } from '../config/model.js';
import type { ProcessEnd } from '../core/health/process-end.js';
import { GrpcClient } from '../health/model/grpc-client.js';
import { askModel, type ModelAnswer } from '../health/model/readiness-query.js';
import type { ActivityReport } from '../inbound/model-activity.js';
import type { ModelBackend, ModelState, ServedModel } from '../inbound/model-backend.js';
import type { Inbound } from '../inbound.js';
import type { Timer } from '../runtime/time/timers.js';
import type { ModelReport } from '../telemetry/reports.js';
import { dialPlain } from '../transport/dial.js';
import { Pool } from '../transport/pool.js';
import { evidenceOfAll } from './combined-activity.js';
import type { AppContext } from './context.js';
import type { ModelPlace } from './model-addresses.js';

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
  slots: readonly ModelBackend[] = [];
  private inbound: Inbound | undefined;
  private supervisor: (() => ModelReport) | undefined;
  private isReady = false;
  /** Why models did not load, by their names. */
  private readonly failures = new Map<string, string>();
  private readonly client: GrpcClient;
  private timer: Timer | undefined;
  private isAsking = false;
  private isStopped = false;
  /** The state of one of its models changed. */
  onChange: (slot: ModelBackend) => void = () => {};

  constructor(
    private readonly place: ModelPlace,
    private readonly parts: AppContext,
    /** There are other hosts. */
    private readonly hasCompany: boolean,
  ) {
    const { settings, dataPlane, deps } = parts;
    this.client = new GrpcClient(place.address, deps.timers);
    this.pool = new Pool(
      {
        config: { connections: 1, connectTimeoutMs: 5000, pingIntervalMs: 0, pingTimeoutMs: 0, maxAgeMs: 0 },
        settings,
        dial: () => dialPlain(place.address),
        backoffMaxMs: LOCAL_BACKOFF_MS,
        onChange: () => this.onConnection(),
      },
      dataPlane,
    );
  }

  get address(): Address {
    return this.place.address;
  }

  /** The name of the one model that a process of its own serves; undefined: it serves all there are. */
  get model(): string | undefined {
    return this.place.only;
  }

  whyFailed({ name }: ModelBackend): string | undefined {
    return this.failures.get(name);
  }

  served(): readonly ServedModel[] {
    const { pool } = this;
    const { models } = this.place;
    return models.length === 0 ? [{ name: '', pool }] : models.map(({ name }) => ({ name, pool }));
  }

  attach(inbound: Inbound, slots: readonly ModelBackend[]): void {
    this.inbound = inbound;
    this.slots = slots;
  }

  activity(): ActivityReport {
    return evidenceOfAll(this.slots.map(({ runs }) => runs.activity()));
  }

  // ---- how it is ----

  superviseBy(report: () => ModelReport): void {
    this.supervisor = report;
    for (const { lost } of this.slots) lost.isTold = true;
  }

  /** From a supervisor: the process has ended, and so have the calls in it. */
  ended(end: ProcessEnd): void {
    for (const slot of this.slots) this.inbound?.modelEnded(end, slot);
  }

  /** From a supervisor: the process came, went or is on its way. One that is given up is not waited for any more. */
  changed({ state, why, restarts }: ModelReport): void {
    this.isReady = state === 'ready';
    if (state === 'ready') this.serves();
    else {
      const isOver =
        state === 'given-up' || (this.hasCompany && state === 'backoff' && restarts >= HOPELESS_RESTARTS);
      for (const slot of this.slots)
        if (isOver || slot.state.kind !== 'starting')
          this.set(slot, { kind: 'away', why: this.failures.get(slot.name) ?? why });
    }
    if (state === 'starting') this.askLater(ASK_MS);
    for (const slot of this.slots) this.onChange(slot);
  }

  /** A model that is not supervised is ready when it can be reached. */
  private onConnection(): void {
    if (this.supervisor !== undefined) return;
    const { pool } = this;
    this.isReady = pool.isConnected;
    if (pool.isConnected) return this.serves();
    if (pool.isConnecting) return;
    for (const slot of this.slots)
      if (slot.state.kind === 'ready') this.set(slot, { kind: 'away', why: pool.problem });
  }

  /** A process that serves is one that serves its only model; of several it has to say which. */
  private serves(): void {
    const [first] = this.slots;
    if (this.slots.length === 1) this.becameReady(first!);
    else void this.ask();
  }

  private becameReady(slot: ModelBackend): void {
    this.failures.delete(slot.name);
    if (slot.state.kind !== 'ready') this.set(slot, { kind: 'ready' });
  }

  private set(slot: ModelBackend, state: ModelState): void {
    this.inbound?.setModel(state, slot);
    this.onChange(slot);
  }

  // ---- questions about models ----

  private askLater(delayMs: number): void {
    if (this.place.models.length === 0 || this.isStopped) return;
    this.timer?.cancel();
    this.timer = this.parts.deps.timers.after(delayMs, () => void this.ask(), { unref: true });
  }

  /** Until each model is ready or known not to be; after that now and then, for what did not load may load later. */
  private async ask(): Promise<void> {
    if (this.isAsking) return;
    this.isAsking = true;
    for (const slot of this.slots)
      if (slot.state.kind !== 'ready') this.heard(slot, await askModel(this.client, slot.name, ANSWER_MS));
    this.isAsking = false;
    const open = this.slots.filter(({ state }) => state.kind !== 'ready');
    if (open.length === 0) return this.client.close();
    const areKnown = open.every(({ name }) => this.failures.has(name));
    this.askLater(areKnown ? ASK_AGAIN_MS : ASK_MS);
  }

  private heard(slot: ModelBackend, answer: ModelAnswer): void {
    if (this.isStopped || answer.kind === 'unknown') return;
    if (answer.kind === 'ready') {
      // The supervisor has its own opinion of when a process is ready.
      if (this.isReady) this.becameReady(slot);
      return;
    }
    const { why } = answer;
    const isNews = this.failures.get(slot.name) !== why;
    this.failures.set(slot.name, why);
    if (isNews) this.parts.deps.logger.error({ model: slot.name, why }, 'model is not served');
    if (isNews || slot.state.kind !== 'away') this.set(slot, { kind: 'away', why });
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
    return this.slots.map(({ name, state }) => {
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
