import { MODEL_INFER, MODEL_STREAM_INFER } from '../codec/inference.js';
import type { DetectorsConfig, SlowStartConfig, UpstreamConfig } from '../config/model.js';
import { CallKind } from '../core/balancing/balancer.js';
import { SlowStart } from '../core/balancing/slow-start.js';
import { CallTimes } from '../core/health/probe-timeout.js';
import { CallClasses, NO_MODEL } from '../core/outlier/call-class.js';
import { isOn } from '../core/outlier/detectors.js';
import { type EjectionEvent, EjectionState } from '../core/outlier/ejection.js';
import { FOREIGN_INFERENCES, modelLayoutOf } from '../core/routing/method.js';
import { Readiness } from '../http2/constants.js';
import { headerViewOf } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { WheelEntry } from '../runtime/time/timing-wheel.js';
import type { ChunkList } from '../transport/chunk-list.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Endpoint } from './endpoint.js';
import { ForesightSweep } from './foresight/foresight-sweep.js';
import { OutputInspector } from './output-check/sampler.js';
import type { PriorityLevel } from './priority-level.js';
import { ModelView } from './served-models/model-key.js';

const EVERY_MS = 1_000;
/** After what is certain of an endpoint the next sweep comes earlier, and no sooner after the last one than this, ms. */
const LEAST_MS = 100;
/** After this many sweeps without a call all windows are empty, and the sweep pauses. */
const LAST_SWEEPS = 11;
/** Least share of its weight that an endpoint keeps which refuses calls as full, or is slow and needed: without calls it could not show that it no longer is. */
const LEAST_WHEN_FULL = 0.1;

const view = new ModelView();

/** The cluster as its sweep sees it. */
export interface SweepTarget {
  readonly endpoints: readonly Endpoint[];
  readonly priorityLevels: readonly PriorityLevel[];
  /** Full endpoints get fewer calls by the balancer's own doing. */
  readonly feelsLoad: boolean;
  /** Another eligible endpoint, to compare with. */
  peerOf(endpoint: Endpoint): Endpoint | undefined;
  onEjectionEvent(event: EjectionEvent, endpoint: Endpoint): void;
  /** A suspicion has begun or ended. */
  onSuspicion(change: 'rose' | 'fell', endpoint: Endpoint): void;
  /** An endpoint is on probation: whether calls are held back from it may have changed. */
  onProbation(): void;
  /** Weights of endpoints have changed. */
  onReweighed(): void;
}

/** A call, as far as it says what kind of call it is. */
export interface RequestSample {
  readonly kind: CallKind;
  readonly block: HeaderBlock;
  readonly requestBytes: number;
  /** The request from its first byte on; null: nothing is kept. */
  readonly buffered: ChunkList | null;
  /** Noted while the request was still kept; null: it was not. */
  model: Uint8Array | null;
}

/** For how long an attempt ran at least and at most, ms: its time without the waits in queues at the endpoint. */
export interface RunTime {
  leastMs: number;
  mostMs: number;
}

/** Whether a detector, foresight, slow start or a health check timed by calls needs the sweep. */
export function needsSweep({ ejection, slowStart, health, foresight }: UpstreamConfig): boolean {
  const detects = ejection.detectors !== undefined || foresight !== undefined;
  return detects || slowStart !== undefined || isTimedByCalls(health);
}

/** The responses to these checks wait behind the work of the model, so that they are timed by its calls. */
function isTimedByCalls(health: UpstreamConfig['health']): boolean {
  return health?.kind === 'grpc' && health.timeoutMs === undefined;
}

/**
 * Examines the endpoints of a cluster once a second while it has traffic: runs the detectors, looks ahead, ends slow starts, and lowers the
 * weight of endpoints that refuse calls as full. Between sweeps it only records what calls bring.
 */
export class OutlierSweep extends WheelEntry {
  /** Null: endpoints get their share at once. */
  private slowStart: SlowStartConfig | null = null;
  /** Checks responses for invalid output; null: that detector is off. */
  inspector: OutputInspector | null = null;
  /** What health checks wait by; null: by what the file says, or there are none. */
  callTimes: CallTimes | null = null;
  private idleSweeps = 0;
  private lastMs = Number.NEGATIVE_INFINITY;
  private sawStall = false;
  /** Calls are told apart by their kind, and timed. */
  private comparesTimes = false;
  /** The times of endpoints are compared with each other. */
  private comparesPeers = false;
  private readonly classes = new CallClasses();
  readonly foresight: ForesightSweep;

  constructor(
    private readonly context: DataPlaneContext,
    private readonly cluster: SweepTarget,
  ) {
    super();
    this.foresight = new ForesightSweep(cluster, this.classes);
  }

  /** Takes over changed settings. */
  configure({ balance, ejection, slowStart, health, foresight }: UpstreamConfig): void {
    this.slowStart = slowStart ?? null;
    const comparedPeers = this.comparesPeers;
    this.comparesPeers = isOn(ejection.detectors?.latency) && !keepsCallsApart(balance);
    // The detector reads what is there: what was recorded under the old settings would still eject for ten seconds.
    if (comparedPeers && !this.comparesPeers) this.resetLatencies();
    this.comparesTimes = this.comparesPeers || foresight !== undefined;
    this.foresight.configure(foresight);
    this.callTimes = isTimedByCalls(health) ? (this.callTimes ?? new CallTimes()) : null;
    this.inspectBy(ejection.detectors?.invalidOutput);
  }

  private inspectBy(outputs: DetectorsConfig['invalidOutput']): void {
    if (outputs === undefined || outputs.mode === 'off') {
      this.inspector?.stop();
      this.inspector = null;
      return;
    }
    this.inspector ??= new OutputInspector(
      this.context,
      (endpoint) => this.cluster.peerOf(endpoint),
      () => this.sweepSoon(),
    );
    this.inspector.rate.ratio = outputs.sampleRatio;
  }

  /** A unary call that began at `startMs` has succeeded, or a stream has its first message; the endpoint took `tookMs`, waits included. */
  onSuccess(
    endpoint: Endpoint,
    startMs: number,
    tookMs: number,
    ran: Readonly<RunTime>,
    call: RequestSample,
    nowMs: number,
  ): void {
    const { ejection, slowStart } = endpoint;
    this.callTimes?.record(tookMs, nowMs);
    if (
      this.comparesTimes &&
      // An endpoint in slow start is slow, and gets fewer calls already.
      slowStart === null &&
      ejection.state === EjectionState.admitted &&
      startMs >= ejection.sinceMs
    ) {
      const kind = this.kindOf(call, nowMs);
      if (kind >= 0) {
        if (this.comparesPeers) ejection.latencies?.record(kind, ran.leastMs, nowMs, ran.mostMs);
        endpoint.foresight?.recent.record(kind, tookMs);
      }
    }
    if (slowStart !== null) this.recordWarmUp(endpoint, call.kind, tookMs, nowMs);
  }

  /** −1: it is compared with no other. */
  private kindOf(call: RequestSample, nowMs: number): number {
    const { classes } = this;
    const { requestBytes, model, buffered } = call;
    const { path } = headerViewOf(call.block);
    if (!namesModel(path)) return classes.indexOf(path, NO_MODEL, 0, requestBytes, nowMs);
    if (model !== null) return classes.indexOf(path, model, model.length, requestBytes, nowMs);
    // A request without a model name is compared with requests of the same method and size.
    if (buffered === null || !view.read(buffered, modelLayoutOf(path))) return -1;
    return classes.indexOf(path, view.bytes, view.length, requestBytes, nowMs);
  }

  /** What is kept of its request is let go before its end. */
  recordModel(call: RequestSample): void {
    if (!this.comparesTimes || call.buffered === null) return;
    const { path } = headerViewOf(call.block);
    if (!namesModel(path)) return;
    if (view.read(call.buffered, modelLayoutOf(path))) call.model = view.copy();
  }

  /** A call ended, with success or not: the sweep goes on for as long as there are calls. */
  onEnd(nowMs: number): void {
    this.idleSweeps = 0;
    if (!this.isScheduled) this.context.wheel.add(this, nowMs + EVERY_MS);
  }

  /** A connection to it has been cut that was made at `sinceMs`. What happens while this process stands still says nothing of an endpoint. */
  onCut({ ejection }: Endpoint, sinceMs: number, lostCalls: number): void {
    const { connections, state } = ejection;
    if (connections === null || state !== EjectionState.admitted || this.context.hasStalled()) return;
    connections.record(sinceMs, lostCalls, this.context.clock.now());
    if (connections.inRow > 0) this.sweepSoon();
  }

  /** Its sidecar has lost a call that began at `startMs` with the connection to its model. */
  onLostAtModel({ ejection }: Endpoint, startMs: number, nowMs: number): void {
    const { connections, state } = ejection;
    if (connections === null || state !== EjectionState.admitted || startMs < ejection.sinceMs) return;
    connections.recordAtModel(startMs, nowMs);
    if (connections.inRow > 0) this.sweepSoon();
  }

  /** A charge that a peer has confirmed may be the last that was missing: no call need find the endpoint for another second. */
  private sweepSoon(): void {
    const { wheel, clock } = this.context;
    wheel.cancel(this);
    wheel.add(this, Math.max(clock.now(), this.lastMs + LEAST_MS));
  }

  /** The endpoint has just come, or recovered: slow start begins. */
  startSlowly(endpoint: Endpoint): void {
    this.resetLatencies();
    endpoint.foresight?.forget();
    if (this.slowStart === null) return;
    endpoint.slowStart = new SlowStart(this.slowStart, this.context.clock.now());
    this.comparePeers(endpoint);
    endpoint.updateEffectiveWeight();
    this.cluster.onReweighed();
  }

  stop(): void {
    this.context.wheel.cancel(this);
    this.inspector?.stop();
    this.foresight.configure(undefined);
  }

  fire(): void {
    const now = this.context.clock.now();
    this.lastMs = now;
    this.idleSweeps += 1;
    this.sweep(now);
    const goesOn = this.idleSweeps < LAST_SWEEPS || this.foresight.isSuspicious;
    if (goesOn && !this.isScheduled) this.context.wheel.add(this, now + EVERY_MS);
  }

  private sweep(now: number): void {
    const { endpoints, priorityLevels } = this.cluster;
    const isAfterStall = this.isAfterStall();
    if (isAfterStall) {
      // What was measured while the event loop stood still, or of the backlog after it, says nothing about an endpoint.
      // The call times that health checks wait by stay: a wait that is too long does no harm.
      this.resetLatencies();
    } else {
      for (const { ejections } of priorityLevels)
        ejections.sweep(now, (member, event) => {
          const endpoint = endpoints.find(({ ejection }) => ejection === member);
          if (endpoint !== undefined) this.cluster.onEjectionEvent(event, endpoint);
        });
    }
    this.foresight.sweep(now, isAfterStall ? 'stalled' : 'running');
    for (const endpoint of endpoints) this.updateWeight(endpoint, now);
    // That others are full is seen by looking, and no event tells it.
    if (endpoints.some(({ readiness }) => readiness === Readiness.probation)) this.cluster.onProbation();
  }

  /** Whether the event loop stood still before this sweep or the last one, which may have come before the backlog was worked off. */
  private isAfterStall(): boolean {
    const before = this.sawStall;
    this.sawStall = this.context.hasStalled();
    return before || this.sawStall;
  }

  private updateWeight(endpoint: Endpoint, now: number): void {
    const { slowStart, ejection } = endpoint;
    const { weightFactor: before } = endpoint;
    if (slowStart !== null) {
      slowStart.check(now);
      if (slowStart.isOver) this.endSlowStart(endpoint);
      else this.comparePeers(endpoint);
    }
    if (!this.cluster.feelsLoad && ejection.outcomes !== null) {
      ejection.outcomes.moveTo(now);
      const { overloads, successes, faults } = ejection.outcomes;
      const refused = overloads === 0 ? 0 : overloads / (overloads + successes + faults);
      endpoint.overloadFactor = Math.min(refused, 1 - LEAST_WHEN_FULL);
    }
    if (!this.cluster.feelsLoad) endpoint.slowFactor = Math.max(1 / ejection.slowness, LEAST_WHEN_FULL);
    endpoint.updateEffectiveWeight();
    if (endpoint.weightFactor !== before) this.cluster.onReweighed();
  }

  private recordWarmUp(endpoint: Endpoint, kind: CallKind, tookMs: number, now: number): void {
    const { peerLatencyMs, peerStreamMs } = endpoint;
    const warmUp = endpoint.slowStart!;
    warmUp.record(tookMs, kind === CallKind.unary ? peerLatencyMs : peerStreamMs, now);
    if (warmUp.isOver) this.endSlowStart(endpoint);
    endpoint.updateEffectiveWeight();
  }

  private endSlowStart(endpoint: Endpoint): void {
    endpoint.slowStart = null;
    this.resetLatencies();
  }

  /**
   * Times are compared from here on. An endpoint that did the work of one that was away, or not yet warm, took longer for it: what
   * it needed then says nothing about what it needs beside its peers.
   */
  private resetLatencies(): void {
    for (const { ejection } of this.cluster.endpoints) ejection.latencies?.clear();
  }

  private comparePeers(endpoint: Endpoint): void {
    const peers = this.cluster.endpoints.filter(
      (each) => each !== endpoint && each.slowStart === null && each.eligible,
    );
    endpoint.peerLatencyMs = medianOf(peers.map(({ latency }) => latency.meanMs));
    endpoint.peerStreamMs = medianOf(peers.map(({ firstMessage }) => firstMessage?.meanMs ?? 0));
  }
}

/**
 * Calls for a model, or whose prompts begin alike, go to one endpoint, and elsewhere only while that is full. What is passed on so comes
 * when the other one is as busy with work of its own, so that times of the same calls there and at home are times of different
 * moments, which say nothing of the endpoints.
 */
function keepsCallsApart(balance: UpstreamConfig['balance']): boolean {
  if (balance.kind === 'prefix') return true;
  if (balance.kind !== 'ring-hash') return false;
  return balance.hashOn?.model === true || balance.hashOn?.prompt !== undefined;
}

/** Calls of these methods take the time of the model that they name. */
function namesModel(path: string): boolean {
  return path === MODEL_INFER || path === MODEL_STREAM_INFER || FOREIGN_INFERENCES.has(path);
}

/** Median of those above 0, which stands for unknown; 0: there are none. */
function medianOf(times: readonly number[]): number {
  const known = times.filter((ms) => ms > 0).sort((a, b) => a - b);
  return known.length === 0 ? 0 : known[(known.length - 1) >> 1]!;
}
