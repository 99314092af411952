import type { Cluster } from '../../cluster/cluster.js';
import { MISS_REASONS } from '../../cluster/served-models/model-claims.js';
import { OUTCOME_NAMES } from '../../core/outcome/outcome.js';
import { statusName } from '../../core/outcome/status.js';
import { DETECTOR_NAMES } from '../../core/outlier/detectors.js';
import { EjectionState } from '../../core/outlier/ejection.js';
import type { EjectionPool } from '../../core/outlier/ejection-pool.js';
import { LIMIT_NAMES } from '../../http2/limits.js';
import type { InboundState } from '../../inbound/inbound-state.js';
import type { UpstreamState } from '../../outbound/upstream-state.js';
import { type CallStats, LATENCY_BOUNDS_MS, type StatsRegistry } from '../../telemetry/call-stats.js';
import type { HistogramSample, Metric, Sample } from '../../telemetry/metric.js';
import { histogramSample, metric, metricsOver, one } from '../../telemetry/metric-rows.js';
import type { MemoryBudget } from '../../transport/memory-budget.js';
import { queueMetrics } from './admission.js';
import { engineMetrics } from './engines.js';
import { foresightMetrics } from './foresight.js';
import { loadReportMetrics } from './load-reports.js';
import { methodMetrics } from './methods.js';
import { resilienceMetrics } from './resilience.js';

/** Where the metrics of calls, endpoints and connections are read. */
export interface MetricSources {
  readonly stats: StatsRegistry;
  readonly memory: MemoryBudget;
  readonly outbounds: readonly UpstreamState[];
  readonly inbound: InboundState | undefined;
  readonly rejectedReloads: number;
  readonly rotations: number;
  /** The newest identity is not used, or none can be asked for. */
  readonly isIdentityFailing: boolean;
  /** Seconds until our certificate expires; undefined without one. */
  readonly leafSecondsLeft: number | undefined;
  /** Seconds that it is valid in all. */
  readonly leafLifetimeSeconds: number | undefined;
}

/** Metrics of calls, upstreams, queues, connections and the identity, read at scrape time. */
export function metricsOf(sources: MetricSources): Metric[] {
  return [
    ...callMetrics(sources.stats.calls),
    ...engineMetrics(sources.stats.engines),
    ...upstreamMetrics(sources.outbounds),
    ...loadReportMetrics(sources.outbounds, sources.inbound),
    ...methodMetrics(sources.outbounds),
    ...resilienceMetrics(sources.outbounds),
    ...queueMetrics(sources.inbound),
    ...connectionMetrics(sources),
  ];
}

function labelsOf({ direction, service, method, model, version }: CallStats): Record<string, string> {
  const named = { ...(model === '' ? {} : { model }), ...(version === '' ? {} : { version }) };
  return { direction, service, method, ...named };
}

/** One sample for each direction, service and method; where calls are told apart by their model, for each of these. */
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
    const { latency, latencySumMs: sumMs } = call;
    seconds.push(histogramSample(labels, latency, { boundsMs: LATENCY_BOUNDS_MS, sumMs }));
  }
  const perCall = metricsOver(calls, labelsOf);
  return [
    perCall.metric('outrider_calls_started_total', (call) => call.started),
    metric('outrider_calls_total', finished),
    metric('outrider_local_replies_total', answers),
    perCall.metric('outrider_calls_in_flight', (call) => call.inFlight),
    perCall.metric('outrider_retries_total', (call) => call.retries),
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

function upstreamMetrics(outbounds: readonly UpstreamState[]): Metric[] {
  const clusters = outbounds.flatMap((outbound) => outbound.clusters);
  const perUpstream = metricsOver(outbounds, ({ name }) => ({ upstream: name }));
  const perCluster = metricsOver(clusters, clusterLabels);
  const rows = clusters.flatMap((cluster) => cluster.endpoints.map((endpoint) => ({ cluster, endpoint })));
  const perEndpoint = metricsOver(rows, ({ cluster, endpoint }) => ({
    ...clusterLabels(cluster),
    endpoint: endpoint.label,
    // Beside the address: two machines may have instances of one name.
    name: endpoint.id,
  }));
  const outcomes = perEndpoint.by('outcome', OUTCOME_NAMES, ({ endpoint }, _, i) => endpoint.outcomes[i]!);
  const ejections = perEndpoint.by(
    'detector',
    DETECTOR_NAMES,
    ({ endpoint }, _, i) => endpoint.ejection.ejectionsBy[i]!,
  );
  const inspected = perCluster.counts('result', ({ sweep }) => sweep?.inspector?.counts ?? {});
  const misses = metricsOver(
    clusters.filter(
      ({ claims, modelMisses }) => claims !== null || MISS_REASONS.some((why) => modelMisses[why] > 0),
    ),
    clusterLabels,
  ).counts('reason', ({ modelMisses }) => modelMisses);
  const detected = perCluster.by('detector', DETECTOR_NAMES, (cluster, _, i) =>
    sumOf(cluster, ({ counts }) => counts.by[i]!.detected),
  );
  const notEnforced = DETECTOR_NAMES.flatMap((detector, i) =>
    metricsOver(clusters, (cluster) => ({ ...clusterLabels(cluster), detector })).by(
      'reason',
      ['observed', 'overCap', 'lastEligible', 'othersFull'],
      (cluster, reason) => sumOf(cluster, ({ counts }) => counts.by[i]!.notEnforced[reason]),
    ),
  );
  return [
    perEndpoint.metric('outrider_attempts_total', ({ endpoint }) => endpoint.attempts),
    metric('outrider_attempt_outcomes_total', outcomes),
    perEndpoint.metric('outrider_endpoint_in_flight', ({ endpoint }) => endpoint.inFlight),
    perEndpoint.metric('outrider_endpoint_eligible', ({ endpoint }) => Number(endpoint.eligible)),
    perEndpoint.metric('outrider_endpoint_healthy', ({ endpoint }) => Number(endpoint.unhealthy === '')),
    perEndpoint.metric('outrider_endpoint_share', ({ endpoint }) => endpoint.weightFactor * endpoint.trust),
    perEndpoint.metric('outrider_endpoint_ewma_seconds', ({ endpoint }) => endpoint.latency.peakMs / 1000),
    perEndpoint.metric(
      'outrider_endpoint_first_message_seconds',
      ({ endpoint }) => (endpoint.firstMessage?.peakMs ?? 0) / 1000,
    ),
    perEndpoint.metric(
      'outrider_endpoint_stream_messages_per_second',
      ({ endpoint }) => endpoint.pace.messagesPerSecond,
    ),
    perEndpoint.metric('outrider_endpoint_connections', ({ endpoint }) => endpoint.pool.connectionCount),
    perEndpoint.metric('outrider_endpoint_ejected', ({ endpoint }) =>
      Number(endpoint.ejection.state !== EjectionState.admitted),
    ),
    metric('outrider_ejections_total', ejections),
    metric('outrider_ejections_detected_total', detected),
    metric('outrider_ejections_not_enforced_total', notEnforced),
    metric('outrider_outputs_inspected_total', inspected),
    metric('outrider_model_misses_total', misses),
    // There are no series of endpoints where there is none: their absence alone could not be told from that of a sidecar.
    perCluster.metric('outrider_upstream_endpoints', ({ endpoints }) => endpoints.length),
    perCluster.metric('outrider_panics_total', ({ panics }) => panics),
    perCluster.metric('outrider_retry_budget_refused_total', ({ budget }) => budget.refused),
    perEndpoint.metric('outrider_endpoint_priority', ({ endpoint }) => endpoint.priority),
    perUpstream.metric('outrider_streams_resumed_total', ({ resumed }) => resumed),
    perUpstream.metric(
      'outrider_calls_waiting_for_discovery',
      ({ breaker }) => breaker.waitingCalls - breaker.coldCalls,
    ),
    ...foresightMetrics(clusters, clusterLabels),
    ...coldStartMetrics(outbounds),
  ];
}

/** Of upstreams whose calls wait for an endpoint that is up. */
function coldStartMetrics(outbounds: readonly UpstreamState[]): Metric[] {
  const cold = outbounds.flatMap(({ name, breaker, coldStart }) =>
    coldStart === null ? [] : [{ labels: { upstream: name }, breaker, coldStart }],
  );
  const perUpstream = metricsOver(cold, ({ labels }) => labels);
  return [
    perUpstream.metric('outrider_cold_start_waiting', ({ breaker }) => breaker.coldCalls),
    metric(
      'outrider_cold_start_calls_total',
      perUpstream.counts('result', ({ coldStart }) => coldStart.counts),
    ),
    metric(
      'outrider_wakes_total',
      perUpstream.counts('result', ({ coldStart }) => coldStart.wakes),
    ),
  ];
}

/** Connections, limits, memory, configuration and identity of the sidecar. */
function connectionMetrics(sources: MetricSources): Metric[] {
  const { stats } = sources;
  const limits = LIMIT_NAMES.map((limit) => ({ labels: { limit }, value: stats.limits.get(limit) ?? 0 }));
  const failures = [...stats.handshakeFailures].map(([reason, value]) => ({ labels: { reason }, value }));
  const metrics = [
    metric('outrider_limit_hits_total', limits),
    metric('outrider_protocol_errors_total', one(stats.protocolErrors)),
    metric('outrider_defects_total', one(stats.defects)),
    metric('outrider_connections_accepted_total', one(stats.connectionsAccepted)),
    metric('outrider_connections_open', one(stats.connectionsOpen)),
    metric('outrider_connections_convicted_total', one(stats.connectionsReplaced)),
    metric('outrider_handshake_failures_total', failures),
    metric('outrider_buffered_bytes', one(sources.memory.held)),
    metric('outrider_waiting_bytes', one(sources.memory.waiting.bytes)),
    metric('outrider_granted_bytes', one(sources.memory.grantedBytes())),
    metric('outrider_shed_calls_total', one(stats.shedCalls)),
    metric('outrider_unread_responses_total', one(stats.unreadResponses)),
    metric('outrider_config_reloads_rejected_total', one(sources.rejectedReloads)),
    metric('outrider_identity_rotations_total', one(sources.rotations)),
    metric('outrider_identity_failing', one(sources.isIdentityFailing ? 1 : 0)),
  ];
  if (sources.leafSecondsLeft !== undefined)
    metrics.push(metric('outrider_identity_expires_seconds', one(sources.leafSecondsLeft)));
  if (sources.leafLifetimeSeconds !== undefined)
    metrics.push(metric('outrider_identity_lifetime_seconds', one(sources.leafLifetimeSeconds)));
  return metrics;
}
