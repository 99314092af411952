import type { EngineLoad } from '../codec/engines/engine-load.js';
import { framed } from '../codec/grpc-message.js';
import {
  LoadReport,
  MAX_NAMED_VALUES,
  OWN_METRICS,
  OwnMetric,
  REPORT_FAULTS,
  type ReportFault,
  writeLoadReport,
} from '../codec/orca.js';
import { BINARY_REPORT, readReport, writeReportValue } from '../codec/orca-metadata.js';
import { LoadAverages } from '../core/admission/load-averages.js';
import { QueueState } from '../core/admission/queue.js';
import { SERVER_ERRORS } from '../core/outcome/status.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';
import { NO_FIELDS } from '../http2/stream.js';
import { hasReport } from '../relay/header-rewrite.js';
import type { NamedQueue } from './backend/backend-queues.js';
import type { InboundCall, Ticket } from './call.js';
import type { ModelBackend } from './model-backend.js';

/** A report in trailers is made anew after this time, ms; a place that became free since the last one is told sooner. */
const TRAILER_EVERY_MS = 10;
const FREE_PLACE_EVERY_MS = 1;
/** What the model says itself is read at most this often, and counts for this long, ms. */
const MODEL_EVERY_MS = 100;
const MODEL_REPORT_MS = 10_000;
/** What an engine says counts for this long, ms: it is asked each second. */
const ENGINE_LOAD_MS = 5_000;
/** Share in use of the cache of an engine. */
const KV_CACHE = 'kv_cache';
/** A call that runs for so many times the mean is a long one: when it ends is not known from the others. */
const LONG_RUN = 4;
/** Models that are named one by one, and values of the model's own that are passed on. */
const MAX_MODELS = 16;
const MAX_OF_MODEL = MAX_NAMED_VALUES - MAX_MODELS - Object.keys(OwnMetric).length;

/** What callers are told of the load of the local models, made from their queues when it is asked for. */
export class LoadReporter {
  /** Tokens of calls that wait are told. */
  tellsTokens = false;
  private readonly averages = new LoadAverages();
  /** What the language-model engine has said last; null: nothing. */
  private ofEngine: EngineLoad | null = null;
  private ofEngineMs = 0;
  /** The last of the model itself; null: there was none. */
  private ofModel: LoadReport | null = null;
  private ofModelMs = 0;
  private readMs = Number.NEGATIVE_INFINITY;
  /** What was wrong in what models say. */
  readonly faults = Object.fromEntries(REPORT_FAULTS.map((fault) => [fault, 0])) as Record<
    ReportFault,
    number
  >;
  private readonly onFault = (fault: ReportFault): void => {
    this.faults[fault]++;
  };
  private fields: readonly HeaderField[] = NO_FIELDS;
  private fieldsMs = Number.NEGATIVE_INFINITY;
  /** They say that another call would wait. */
  private fieldsSayFull = false;

  constructor(private readonly backends: readonly ModelBackend[]) {}

  /** A call of a model has ended with this status. Called while it has its place. */
  onEnd(status: number, { queueState, waitsSinceMs, queueStartedMs }: Ticket, nowMs: number): void {
    const isRunning = queueState === QueueState.running;
    const sinceMs = waitsSinceMs > 0 ? waitsSinceMs : queueStartedMs;
    this.averages.end(SERVER_ERRORS.has(status), isRunning ? nowMs - sinceMs : 0, nowMs);
  }

  /** Reads what a model says of itself in the trailers of an answer. @param extras their varying fields. */
  takeTrailers(extras: readonly HeaderField[], nowMs: number): void {
    if (nowMs - this.readMs < MODEL_EVERY_MS || !hasReport(extras)) return;
    this.readMs = nowMs;
    const report = readReport(extras, this.onFault);
    if (report === undefined) return;
    this.ofModel = report;
    this.ofModelMs = nowMs;
  }

  /** A language-model engine says what it has to do. */
  takeEngine(load: EngineLoad, nowMs: number): void {
    this.ofEngine = load;
    this.ofEngineMs = nowMs;
  }

  /** What it has said lately; null: nothing. */
  engineAt(nowMs: number): EngineLoad | null {
    return nowMs - this.ofEngineMs < ENGINE_LOAD_MS ? this.ofEngine : null;
  }

  /** Calls that the models have. */
  get calls(): number {
    let calls = 0;
    for (const { queues } of this.backends)
      for (const { queue } of queues.all) calls += queue.running + queue.waiting;
    return calls;
  }

  /** Calls that the models run at once. */
  private get concurrency(): number {
    let places = 0;
    for (const { queues } of this.backends)
      for (const { limits } of queues.list) places += limits.queue.concurrency;
    return places;
  }

  /** Open streams on which nothing moves: they have no place, and are not among the calls. */
  get idleStreams(): number {
    let streams = 0;
    for (const { queues } of this.backends) for (const { queue } of queues.all) streams += queue.idle;
    return streams;
  }

  /** Calls that have run for much longer than those of their model usually do, without the one that ends. */
  longCallsAt(nowMs: number, ending: Ticket | null = null): number {
    let calls = 0;
    for (const { queues, instances } of this.backends) {
      const usualMs = meanRunMs(queues.list);
      if (usualMs === 0) continue;
      for (const { activity } of instances)
        calls += activity.startedBefore(nowMs - usualMs * LONG_RUN, ending);
    }
    return calls;
  }

  /**
   * The trailers' fields for a call that ends: the same array for 10 ms, in which a call that ends may be counted. That one of the others is
   * not, whose caller would take it for the call of another one, and a full endpoint.
   */
  trailer({ ticket }: InboundCall, nowMs: number): readonly HeaderField[] {
    const ageMs = nowMs - this.fieldsMs;
    if (ageMs < (this.fieldsSayFull ? FREE_PLACE_EVERY_MS : TRAILER_EVERY_MS)) return this.fields;
    const ending = ticket !== null && ticket.queueState === QueueState.running ? ticket : null;
    const calls = this.calls - (ending === null ? 0 : 1);
    const isFull = calls >= this.concurrency;
    if (ageMs < TRAILER_EVERY_MS && isFull) return this.fields;
    this.fields = [makeField(BINARY_REPORT, writeReportValue(this.report(calls, nowMs, ending)))];
    this.fieldsMs = nowMs;
    this.fieldsSayFull = isFull;
    return this.fields;
  }

  /** A message of gRPC with the report of now. */
  message(nowMs: number): Buffer {
    return framed(writeLoadReport(this.report(this.calls, nowMs, null)));
  }

  /** @param ending the call in whose trailers it goes; null: it does not. */
  private report(calls: number, nowMs: number, ending: Ticket | null): LoadReport {
    const { averages } = this;
    averages.sample(calls, nowMs);
    const report = new LoadReport();
    const queues = this.backends.flatMap((each) => each.queues.list);
    const { concurrency } = this;
    report.applicationUtilization = averages.calls / Math.max(1, concurrency);
    report.rps = averages.rps;
    report.eps = averages.eps;
    const { named } = report;
    named.set(OwnMetric.calls, calls);
    named.set(OwnMetric.concurrency, concurrency);
    const longCalls = this.longCallsAt(nowMs, ending);
    if (longCalls > 0) named.set(OwnMetric.longCalls, longCalls);
    const { idleStreams } = this;
    if (idleStreams > 0) named.set(OwnMetric.idleStreams, idleStreams);
    named.set(OwnMetric.runSeconds, meanRunMs(queues) / 1000);
    const waitMs = queues.map(({ limits }) => limits.queue.expectedWaitMs());
    named.set(OwnMetric.waitSeconds, Math.max(0, ...waitMs) / 1000);
    if (this.tellsTokens)
      named.set(
        OwnMetric.waitingTokens,
        sum(queues, ({ limits }) => limits.queue.waitingCost),
      );
    const ofEngine = this.engineAt(nowMs);
    if (ofEngine !== null) addEngine(report, ofEngine);
    if (queues.length > 1) addModels(named, queues);
    if (this.ofModel !== null && nowMs - this.ofModelMs < MODEL_REPORT_MS) merge(report, this.ofModel);
    return report;
  }
}

/** What the engine has of our calls and of others. */
function addEngine({ named, utilization }: LoadReport, { running, waiting, ...cache }: EngineLoad): void {
  named.set(OwnMetric.engineRunning, running);
  named.set(OwnMetric.engineWaiting, waiting);
  if (cache.mostTokens > 0) utilization.set(KV_CACHE, Math.min(1, cache.usedTokens / cache.mostTokens));
}

function sum(queues: readonly NamedQueue[], of: (queue: NamedQueue) => number): number {
  return queues.reduce((total, queue) => total + of(queue), 0);
}

/** Over the models that have run anything, those with more calls counting more. */
function meanRunMs(queues: readonly NamedQueue[]): number {
  const weightOf = ({ limits: { queue } }: NamedQueue): number =>
    queue.serviceMs > 0 ? 1 + queue.running : 0;
  const weights = sum(queues, weightOf);
  const runMs = sum(queues, (each) => each.limits.queue.serviceMs * weightOf(each));
  return weights === 0 ? 0 : runMs / weights;
}

/** The busiest models by name; versions of one count together. What shares a queue with others has no name. */
function addModels(named: Map<string, number>, queues: readonly NamedQueue[]): void {
  const loads = new Map<string, { calls: number; concurrency: number }>();
  for (const { name, limits } of queues) {
    if (name === '') continue;
    const { queue } = limits;
    const load = loads.get(name) ?? { calls: 0, concurrency: 0 };
    load.calls += queue.running + queue.waiting;
    load.concurrency += queue.concurrency;
    loads.set(name, load);
  }
  const rows = [...loads].map(([name, load]) => [name, load.calls / Math.max(1, load.concurrency)] as const);
  rows.sort((a, b) => b[1] - a[1]);
  for (const [name, utilization] of rows.slice(0, MAX_MODELS))
    named.set(`${OWN_METRICS}utilization.${name.slice(0, 64)}`, utilization);
}

/** What the model says of its processor, its memory and by names of its own; of its queue we know more. */
function merge(report: LoadReport, said: LoadReport): void {
  report.cpuUtilization = said.cpuUtilization;
  report.memUtilization = said.memUtilization;
  for (const [name, value] of said.utilization) report.utilization.set(name, value);
  for (const [name, value] of [...said.named].slice(0, MAX_OF_MODEL))
    if (!name.startsWith(OWN_METRICS)) report.named.set(name, value);
}
