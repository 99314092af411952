import type { Cluster } from '../../cluster/cluster.js';
import { OUTCOME_NAMES } from '../../core/outcome/outcome.js';
import { statusName } from '../../core/outcome/status.js';
import { DETECTOR_NAMES } from '../../core/outlier/detectors.js';
import { EjectionState } from '../../core/outlier/ejection.js';
import type { EjectionPool } from '../../core/outlier/ejection-pool.js';
import { LIMIT_NAMES } from '../../http2/limits.js';
import type { Inbound } from '../../inbound.js';
import type { Outbound } from '../../outbound.js';
import { type CallStats, LATENCY_BOUNDS_MS, type StatsRegistry } from '../../telemetry/call-stats.js';
import type { HistogramSample, Metric, Sample } from '../../telemetry/metric.js';
import { counter, gauge } from '../../telemetry/metric.js';
import type { MemoryBudget } from '../../transport/memory-budget.js';
import { queueMetrics } from './admission.js';
import { resilienceMetrics } from './resilience.js';

/** Where the metrics of calls, endpoints and connections are read. */
export interface MetricSources {
  readonly stats: StatsRegistry;
  readonly memory: MemoryBudget;
  readonly outbounds: readonly Outbound[];
  readonly inbound: Inbound | undefined;
  readonly rejectedReloads: number;
  readonly rotations: number;
  /** Seconds until our certificate expires; undefined without one. */
  readonly leafSecondsLeft: number | undefined;
}

/** Metrics of calls, upstreams, queues, connections and the identity, read at scrape time. */
export function metricsOf(sources: MetricSources): Metric[] {
  return [
    ...callMetrics(sources.stats.calls),
    ...upstreamMetrics(sources.outbounds),
    ...resilienceMetrics(sources.outbounds),
    ...queueMetrics(sources.inbound),
    ...connectionMetrics(sources),
  ];
}

function labelsOf(call: CallStats): Record<string, string> {
  return { direction: call.direction, service: call.service, method: call.method };
}

/** One sample for each direction, service and method. */
function callMetrics(calls: readonly CallStats[]): Metric[] {
  const finished: Sample[] = [];
  const answers: Sample[] = [];
  const seconds: HistogramSample[] = [];
  for (const call of calls) {
    const labels = labelsOf(call);
    call.byStatus.forEach((value, status) => {
      if (value > 0) finished.push({ labels: { ...labels, grpc_status: statusName(status) }, value });
    });
    for (const [reason, value] of call.byReason) answers.push({ labels: { ...labels, reason }, value });
    let total = 0;
    const counts = Array.from(call.latency, (n) => {
      total += n;
      return total;
    });
    seconds.push({
      labels,
      bounds: LATENCY_BOUNDS_MS.map((ms) => ms / 1000),
      counts,
      sum: call.latencySumMs / 1000,
    });
  }
  const each = (read: (call: CallStats) => number): Sample[] =>
    calls.map((call) => ({ labels: labelsOf(call), value: read(call) }));
  return [
    counter(
      'outrider_calls_started_total',
      'Calls that arrived.',
      each((call) => call.started),
    ),
    counter('outrider_calls_total', 'Calls that ended, by the gRPC status the caller got.', finished),
    counter(
      'outrider_local_replies_total',
      'Calls the sidecar answered itself, by outrider-reason.',
      answers,
    ),
    gauge(
      'outrider_calls_in_flight',
      'Calls that have arrived and not ended.',
      each((call) => call.inFlight),
    ),
    counter(
      'outrider_retries_total',
      'Attempts beyond the first of their call.',
      each((call) => call.retries),
    ),
    {
      kind: 'histogram',
      name: 'outrider_call_seconds',
      help: 'Time from arrival to the end of a call.',
      samples: seconds,
    },
  ];
}

/**
 * The label `cluster` is present only where traffic rules make several clusters of one upstream.
 */
function upstreamLabels({ name, clusterName }: Cluster): Record<string, string> {
  return clusterName === '' ? { upstream: name } : { upstream: name, cluster: clusterName };
}

function sumOf(upstream: Cluster, read: (ejections: EjectionPool) => number): number {
  return upstream.allEjections.reduce((sum, each) => sum + read(each), 0);
}

function upstreamMetrics(outbounds: readonly Outbound[]): Metric[] {
  const upstreams = outbounds.flatMap((outbound) => outbound.clusters);
  const rows = upstreams.flatMap((upstream) =>
    upstream.endpoints.map((endpoint) => ({
      endpoint,
      labels: { ...upstreamLabels(upstream), endpoint: endpoint.label },
    })),
  );
  const each = (read: (row: (typeof rows)[number]) => number): Sample[] =>
    rows.map((row) => ({ labels: row.labels, value: read(row) }));
  const perUpstream = (read: (upstream: Cluster) => number): Sample[] =>
    upstreams.map((upstream) => ({ labels: upstreamLabels(upstream), value: read(upstream) }));
  const outcomes = rows.flatMap(({ endpoint, labels }) =>
    OUTCOME_NAMES.map((outcome, i) => ({ labels: { ...labels, outcome }, value: endpoint.outcomes[i]! })),
  );
  const ejections = rows.flatMap(({ endpoint, labels }) =>
    DETECTOR_NAMES.map((detector, i) => ({
      labels: { ...labels, detector },
      value: endpoint.ejection.ejectionsBy[i]!,
    })),
  );
  const inspected = upstreams.flatMap((upstream) =>
    Object.entries(upstream.sweep?.inspector?.counts ?? {}).map(([result, value]) => ({
      labels: { ...upstreamLabels(upstream), result },
      value: value as number,
    })),
  );
  const detected = upstreams.flatMap((upstream) =>
    DETECTOR_NAMES.map((detector, i) => ({
      labels: { ...upstreamLabels(upstream), detector },
      value: sumOf(upstream, ({ counts }) => counts.by[i]!.detected),
    })),
  );
  const notEnforced = upstreams.flatMap((upstream) =>
    DETECTOR_NAMES.flatMap((detector, i) =>
      (['observed', 'overCap', 'lastEligible'] as const).map((reason) => ({
        labels: { ...upstreamLabels(upstream), detector, reason },
        value: sumOf(upstream, ({ counts }) => counts.by[i]!.notEnforced[reason]),
      })),
    ),
  );
  return [
    counter(
      'outrider_attempts_total',
      'Attempts begun at an endpoint.',
      each(({ endpoint }) => endpoint.attempts),
    ),
    counter('outrider_attempt_outcomes_total', 'Attempts ended, by outcome.', outcomes),
    gauge(
      'outrider_endpoint_in_flight',
      'Attempts under way.',
      each(({ endpoint }) => endpoint.inFlight),
    ),
    gauge(
      'outrider_endpoint_eligible',
      '1 when the endpoint may receive traffic.',
      each(({ endpoint }) => Number(endpoint.eligible)),
    ),
    gauge(
      'outrider_endpoint_healthy',
      '0 while the health check speaks against the endpoint.',
      each(({ endpoint }) => Number(endpoint.unhealthy === '')),
    ),
    gauge(
      'outrider_endpoint_share',
      'What the endpoint takes of its weight: less than 1 while it warms up, is full or is far away.',
      each(({ endpoint }) => endpoint.weightFactor),
    ),
    gauge(
      'outrider_endpoint_ewma_seconds',
      'Peak-sensitive average of latency.',
      each(({ endpoint }) => endpoint.latency.peakMs / 1000),
    ),
    gauge(
      'outrider_endpoint_connections',
      'Live connections.',
      each(({ endpoint }) => endpoint.pool.connectionCount),
    ),
    gauge(
      'outrider_endpoint_ejected',
      '1 while the endpoint is ejected or on probation.',
      each(({ endpoint }) => Number(endpoint.ejection.state !== EjectionState.admitted)),
    ),
    counter(
      'outrider_ejections_total',
      'Ejections enforced, by the detector that found the endpoint out.',
      ejections,
    ),
    counter('outrider_ejections_detected_total', 'Times a detector tripped, enforced or not.', detected),
    counter(
      'outrider_ejections_not_enforced_total',
      'Times a detector tripped and nothing was ejected: it only observes, too many are ejected, or it is the last one.',
      notEnforced,
    ),
    counter(
      'outrider_outputs_inspected_total',
      'Sampled answers of ModelInfer: in order; charged, for a peer answers the same request properly; acquitted, for it does not; unproven; unreadable.',
      inspected,
    ),
    counter(
      'outrider_panics_total',
      'Times fewer than half of the endpoints were eligible.',
      perUpstream(({ panics }) => panics),
    ),
    counter(
      'outrider_retry_budget_refused_total',
      'Retries refused for lack of budget.',
      perUpstream(({ budget }) => budget.refused),
    ),
    gauge(
      'outrider_endpoint_priority',
      'Lower goes first; from 1000 on the registry calls the endpoint critical.',
      each(({ endpoint }) => endpoint.priority),
    ),
    gauge(
      'outrider_calls_waiting_for_discovery',
      'Calls that wait until the endpoints of their upstream are known.',
      outbounds.map(({ name, breaker }) => ({ labels: { upstream: name }, value: breaker.waitingCalls })),
    ),
  ];
}

/** Connections, limits, memory, configuration and identity of the sidecar. */
function connectionMetrics(sources: MetricSources): Metric[] {
  const { stats } = sources;
  const one = (value: number): Sample[] => [{ labels: {}, value }];
  const limits = LIMIT_NAMES.map((limit) => ({ labels: { limit }, value: stats.limits.get(limit) ?? 0 }));
  const failures = [...stats.handshakeFailures].map(([reason, value]) => ({ labels: { reason }, value }));
  const metrics = [
    counter('outrider_limit_hits_total', 'Times a bound against hostile peers was hit.', limits),
    counter(
      'outrider_protocol_errors_total',
      'Connections ended for breaking HTTP/2.',
      one(stats.protocolErrors),
    ),
    counter('outrider_defects_total', 'Errors of our own that ended a connection.', one(stats.defects)),
    counter('outrider_connections_accepted_total', 'Connections accepted.', one(stats.connectionsAccepted)),
    gauge('outrider_connections_open', 'Accepted connections that are open.', one(stats.connectionsOpen)),
    counter(
      'outrider_connections_convicted_total',
      'Connections to endpoints or to the model that were replaced because the peer reset every call on them.',
      one(stats.connectionsReplaced),
    ),
    counter('outrider_handshake_failures_total', 'TLS peers refused, by reason.', failures),
    gauge(
      'outrider_buffered_bytes',
      'Payload held for another attempt, and promised by wide stream windows.',
      one(sources.memory.held),
    ),
    gauge(
      'outrider_waiting_bytes',
      'Payload that waits to be passed on, and 4 KiB for each open stream of a peer.',
      one(sources.memory.waiting.octets),
    ),
    gauge(
      'outrider_granted_bytes',
      'What peers may send at once by the stream windows they have been given.',
      one(sources.memory.grantedBytes()),
    ),
    counter(
      'outrider_shed_calls_total',
      'Calls ended for want of memory, on the connections that held most.',
      one(stats.shedCalls),
    ),
    counter(
      'outrider_config_reloads_rejected_total',
      'Changed configurations that were not taken over.',
      one(sources.rejectedReloads),
    ),
    counter(
      'outrider_identity_rotations_total',
      'Identities taken over since the start.',
      one(sources.rotations),
    ),
  ];
  if (sources.leafSecondsLeft !== undefined) {
    metrics.push(
      gauge(
        'outrider_identity_expires_seconds',
        'Seconds until our certificate expires.',
        one(sources.leafSecondsLeft),
      ),
    );
  }
  return metrics;
}
