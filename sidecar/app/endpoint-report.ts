import type { Cluster } from '../cluster/cluster.js';
import { standbyReason } from '../cluster/eligibility.js';
import { type Endpoint, whyEjected } from '../cluster/endpoint.js';
import { defined, present } from '../config/present.js';
import { PRESSURE_NAMES } from '../core/admission/memory-pressure.js';
import type { SlowStart } from '../core/balancing/slow-start.js';
import { FORESIGHT_DETECTORS } from '../core/foresight/endpoint-foresight.js';
import { Outcome } from '../core/outcome/outcome.js';
import { EjectionState } from '../core/outlier/ejection.js';
import type { OutcomeWindow } from '../core/outlier/outcome-window.js';
import { MAX_CRASHES, type PoisonTable, REMEMBERED_MS } from '../core/retry/poison-table.js';
import { Readiness } from '../http2/constants.js';
import type { InboundAdmission } from '../inbound/admission.js';
import { shownFingerprint } from '../relay/response-cache/request-key.js';
import type { EndpointReport, PoisonReport, QueueReport } from '../telemetry/reports.js';

/** `/endpoints` of one cluster; `latencyRatio` compares each endpoint with its peers. */
export function reportsOf(cluster: Cluster, nowMs: number): EndpointReport[] {
  const ratios = new Map(cluster.allEjections.flatMap((pool) => [...pool.latencyRatios(nowMs)]));
  return cluster.endpoints.map((endpoint) => {
    const latencyRatio = present('latencyRatio', ratios.get(endpoint.ejection));
    return { ...reportOf(cluster, endpoint, nowMs), ...latencyRatio };
  });
}

/**
 * One endpoint: its counters, its state, and the reason for the state in one sentence. Durations
 * are in ms.
 */
export function reportOf(cluster: Cluster, endpoint: Endpoint, nowMs: number): EndpointReport {
  const { ejection, pool } = endpoint;
  const { outcomes } = ejection;
  const reportedLoad = endpoint.reported?.utilizationAt(endpoint.inFlight, nowMs);
  outcomes?.moveTo(nowMs);
  const share = endpoint.weightFactor * endpoint.trust;
  const suspicion = suspicionOf(endpoint);
  const base = {
    upstream: cluster.name,
    ...(cluster.clusterName === '' ? {} : { cluster: cluster.clusterName }),
    ...(endpoint.priority === 0 ? {} : { priority: endpoint.priority }),
    endpoint: endpoint.id,
    address: endpoint.label,
    connections: pool.connectionCount,
    inFlight: endpoint.inFlight,
    ewmaMs: endpoint.latency.peakMs,
    ...(endpoint.latency.meanMs === 0 ? {} : { latencyMs: endpoint.latency.meanMs }),
    weight: endpoint.weight,
    attempts: endpoint.attempts,
    faults: endpoint.outcomes[Outcome.fault]!,
    consecutiveFaults: ejection.consecutiveFaults,
    ejections: ejection.ejections,
    ...(endpoint.locality === '' ? {} : { locality: endpoint.locality }),
    ...(endpoint.models === null ? {} : { models: endpoint.models }),
    ...(endpoint.versions === null ? {} : { versions: endpoint.versions }),
    ...(share === 1 ? {} : { share }),
    ...defined({ suspicion, reportedLoad }),
    ...(outcomes === null ? {} : recent(outcomes)),
  };
  if (!pool.isConnected) {
    const state = pool.isConnecting ? 'connecting' : 'disconnected';
    const why = both(pool.problem, criticalOf(endpoint));
    return { ...base, state, why, sinceMs: nowMs - endpoint.availableSinceMs };
  }
  if (ejection.state === EjectionState.admitted && endpoint.unhealthy !== '') {
    const why = both(both(endpoint.unhealthy, endpoint.eligible ? NO_OTHER : ''), criticalOf(endpoint));
    const starting = endpoint.mayBeStarting ? ({ mayBeStarting: true } as const) : {};
    return { ...base, ...starting, state: 'unhealthy', why, sinceMs: nowMs - endpoint.availableSinceMs };
  }
  if (ejection.state === EjectionState.admitted && endpoint.readiness === Readiness.loading) {
    const why = both(both(LOADING, endpoint.eligible ? NO_OTHER : ''), criticalOf(endpoint));
    const sinceMs = nowMs - endpoint.availableSinceMs;
    return { ...base, mayBeStarting: true, state: 'unhealthy', why, sinceMs };
  }
  if (ejection.isHeld) {
    const why = both(both(PROBATION, criticalOf(endpoint)), ejection.isDown ? whyEjected(endpoint) : '');
    return { ...base, state: 'standby', why, sinceMs: nowMs - endpoint.availableSinceMs };
  }
  if (ejection.state === EjectionState.admitted) {
    const sinceMs = nowMs - Math.max(endpoint.availableSinceMs, ejection.sinceMs);
    const standby = standbyReason(cluster, endpoint);
    if (standby === '') {
      const early = endpoint.isUntested
        ? UNTESTED
        : endpoint.slowStart === null
          ? released(endpoint)
          : warming(endpoint.slowStart);
      const why = both(early, criticalOf(endpoint));
      return { ...base, state: 'eligible', why, sinceMs };
    }
    return { ...base, state: 'standby', why: criticalOf(endpoint) || OTHERS[standby], sinceMs };
  }
  const sinceMs = nowMs - ejection.sinceMs;
  const why = both(both(whyEjected(endpoint), endpoint.unhealthy), criticalOf(endpoint));
  if (ejection.state === EjectionState.probing) return { ...base, state: 'probing', why, sinceMs };
  // Re-admitted when its own sidecar reports the model as serving: there is no time to show.
  if (ejection.isDown) return { ...base, state: 'ejected', why, sinceMs };
  return { ...base, state: 'ejected', why, sinceMs, untilMs: Math.max(0, ejection.untilMs - nowMs) };
}

/** Calls of the last 10 s; without a success ratio when there were none. */
function recent(window: OutcomeWindow): Pick<EndpointReport, 'recentCalls' | 'successRatio'> {
  const { calls: recentCalls, successRatio } = window;
  return recentCalls === 0 ? { recentCalls } : { recentCalls, successRatio };
}

/** Below, a suspicion is noise, and is not shown. */
const SHOWN_SUSPICION = 0.1;

function suspicionOf({ foresight }: Endpoint): EndpointReport['suspicion'] {
  if (foresight === null || foresight.suspicion.value < SHOWN_SUSPICION) return undefined;
  const { value, isSuspect, detector, why } = foresight.suspicion;
  return { value, isSuspect, detector: FORESIGHT_DETECTORS[detector]!, why };
}

const NO_OTHER = 'gets calls anyway, because no other endpoint is healthy';
const PROBATION = 'on probation after its model died; other replicas get the calls';
const LOADING = 'its sidecar says that the model is loading';
const UNTESTED = 'gets calls although it is not checked yet';
const OTHERS = {
  priority: 'endpoints with a lower priority number get the calls',
  locality: 'endpoints in the own locality get the calls',
} as const;

/** It is on probation, and too few others could take its calls. */
function released({ readiness }: Endpoint): string {
  return readiness === Readiness.probation
    ? 'on probation, but gets calls, because too few others can take them'
    : '';
}

function warming({ calls, ratio }: SlowStart): string {
  return `warming up: ${calls} calls, ${Math.round(ratio * 100)} % of its share`;
}

function criticalOf({ critical }: Endpoint): string {
  return critical === '' ? '' : `critical in the registry: ${critical}`;
}

function both(one: string, other: string): string {
  return one === '' || other === '' ? one || other : `${one}; ${other}`;
}

/** The queue before one model. */
export function queueReport(limits: InboundAdmission, nowMs: number): QueueReport {
  const { queue, adaptive, priorities } = limits;
  const { rates, memory } = limits.shared;
  const { running, waiting, waitingBytes, concurrency, expiredTotal, evictedTotal } = queue;
  const classes = priorities?.names.map((name, i) => ({ name, waiting: queue.waitingOf(i) }));
  return {
    ...{ running, waiting, waitingBytes, concurrency, expired: expiredTotal, evicted: evictedTotal },
    ...(adaptive === null ? {} : { unloadedMs: adaptive.unloadedMs }),
    ...present('classes', classes),
    ...(rates === null ? {} : { rateLimited: rates.refused }),
    ...(memory === null ? {} : { pressure: PRESSURE_NAMES[memory.at(nowMs)] }),
  };
}

/**
 * The queues before several models, added up; values that are found for each model (unloaded
 * latency) are omitted.
 */
export function queueReportOfAll(all: readonly InboundAdmission[], nowMs: number): QueueReport {
  const reports = all.map((limits) => queueReport(limits, nowMs));
  const [first] = reports as [QueueReport];
  if (reports.length === 1) return first;
  const sum = (of: (report: QueueReport) => number): number =>
    reports.reduce((total, report) => total + of(report), 0);
  const waitingOf = (i: number): number => sum((report) => report.classes?.[i]?.waiting ?? 0);
  const classes = first.classes?.map(({ name }, i) => ({ name, waiting: waitingOf(i) }));
  const { rateLimited, pressure } = first;
  return {
    running: sum(({ running }) => running),
    waiting: sum(({ waiting }) => waiting),
    waitingBytes: sum(({ waitingBytes }) => waitingBytes),
    concurrency: sum(({ concurrency }) => concurrency),
    expired: sum(({ expired = 0 }) => expired),
    evicted: sum(({ evicted = 0 }) => evicted),
    ...defined({ classes, rateLimited, pressure }),
  };
}

/** Requests that were in crashes of models, and how long each is still remembered, ms. */
export function poisonReports(table: PoisonTable, nowMs: number): PoisonReport[] {
  return table.list(nowMs).map(({ fingerprint, upstream, crashes, lastMs }) => ({
    fingerprint: shownFingerprint(fingerprint),
    upstream,
    crashes,
    isRefused: crashes >= MAX_CRASHES,
    forMs: lastMs + REMEMBERED_MS - nowMs,
  }));
}
