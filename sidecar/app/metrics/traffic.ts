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
import { metricsOver, one } from './rows.js';

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
  const perCall = metricsOver(calls, labelsOf);
  return [
    perCall.counter('outrider_calls_started_total', 'Calls that arrived.', (call) => call.started),
    counter('outrider_calls_total', 'Calls that ended, by the gRPC status the caller got.', finished),
    counter(
      'outrider_local_replies_total',
      'Calls the sidecar answered itself, by outrider-reason.',
      answers,
    ),
    perCall.gauge(
      'outrider_calls_in_flight',
      'Calls that have arrived and not ended.',
      (call) => call.inFlight,
    ),
    perCall.counter(
      'outrider_retries_total',
      'Attempts beyond the first of their call.',
      (call) => call.retries,
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
function clusterLabels({ name, clusterName }: Cluster): Record<string, string> {
  return clusterName === '' ? { upstream: name } : { upstream: name, cluster: clusterName };
}

function sumOf(cluster: Cluster, read: (ejections: EjectionPool) => number): number {
  return cluster.allEjections.reduce((sum, each) => sum + read(each), 0);
}

function upstreamMetrics(outbounds: readonly Outbound[]): Metric[] {
  const clusters = outbounds.flatMap((outbound) => outbound.clusters);
  const perCluster = metricsOver(clusters, clusterLabels);
  const rows = clusters.flatMap((cluster) => cluster.endpoints.map((endpoint) => ({ cluster, endpoint })));
  const perEndpoint = metricsOver(rows, ({ cluster, endpoint }) => ({
    ...clusterLabels(cluster),
    endpoint: endpoint.label,
  }));
  const outcomes = perEndpoint.by('outcome', OUTCOME_NAMES, ({ endpoint }, _, i) => endpoint.outcomes[i]!);
  const ejections = perEndpoint.by(
    'detector',
    DETECTOR_NAMES,
    ({ endpoint }, _, i) => endpoint.ejection.ejectionsBy[i]!,
  );
  const inspected = clusters.flatMap((cluster) =>
    Object.entries(cluster.sweep?.inspector?.counts ?? {}).map(([result, value]) => ({
      labels: { ...clusterLabels(cluster), result },
      value: value as number,
    })),
  );
  const detected = perCluster.by('detector', DETECTOR_NAMES, (cluster, _, i) =>
    sumOf(cluster, ({ counts }) => counts.by[i]!.detected),
  );
  const notEnforced = DETECTOR_NAMES.flatMap((detector, i) =>
    metricsOver(clusters, (cluster) => ({ ...clusterLabels(cluster), detector })).by(
      'reason',
      ['observed', 'overCap', 'lastEligible'],
      (cluster, reason) => sumOf(cluster, ({ counts }) => counts.by[i]!.notEnforced[reason]),
    ),
  );
  return [
    perEndpoint.counter(
      'outrider_attempts_total',
      'Attempts begun at an endpoint.',
      ({ endpoint }) => endpoint.attempts,
    ),
    counter('outrider_attempt_outcomes_total', 'Attempts ended, by outcome.', outcomes),
    perEndpoint.gauge(
      'outrider_endpoint_in_flight',
      'Attempts under way.',
      ({ endpoint }) => endpoint.inFlight,
    ),
    perEndpoint.gauge(
      'outrider_endpoint_eligible',
      '1 when the endpoint may receive traffic.',
      ({ endpoint }) => Number(endpoint.eligible),
    ),
    perEndpoint.gauge(
      'outrider_endpoint_healthy',
      '0 while the health check speaks against the endpoint.',
      ({ endpoint }) => Number(endpoint.unhealthy === ''),
    ),
    perEndpoint.gauge(
      'outrider_endpoint_share',
      'What the endpoint takes of its weight: less than 1 while it warms up, is full or is far away.',
      ({ endpoint }) => endpoint.weightFactor,
    ),
    perEndpoint.gauge(
      'outrider_endpoint_ewma_seconds',
      'Peak-sensitive average of latency.',
      ({ endpoint }) => endpoint.latency.peakMs / 1000,
    ),
    perEndpoint.gauge(
      'outrider_endpoint_connections',
      'Live connections.',
      ({ endpoint }) => endpoint.pool.connectionCount,
    ),
    perEndpoint.gauge(
      'outrider_endpoint_ejected',
      '1 while the endpoint is ejected or on probation.',
      ({ endpoint }) => Number(endpoint.ejection.state !== EjectionState.admitted),
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
    perCluster.counter(
      'outrider_panics_total',
      'Times fewer than half of the endpoints were eligible.',
      ({ panics }) => panics,
    ),
    perCluster.counter(
      'outrider_retry_budget_refused_total',
      'Retries refused for lack of budget.',
      ({ budget }) => budget.refused,
    ),
    perEndpoint.gauge(
      'outrider_endpoint_priority',
      'Lower goes first; from 1000 on the registry calls the endpoint critical.',
      ({ endpoint }) => endpoint.priority,
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
