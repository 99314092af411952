import { REPORT_SOURCES } from '../../cluster/report-counts.js';
import { REPORT_FAULTS } from '../../codec/orca.js';
import type { InboundState } from '../../inbound/inbound-state.js';
import type { UpstreamState } from '../../outbound/upstream-state.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric, metricsOver, one } from '../../telemetry/metric-rows.js';

/** Metrics of load reports: those of endpoints, and those that callers and the local model bring about. */
export function loadReportMetrics(
  outbounds: readonly UpstreamState[],
  inbound: InboundState | undefined,
): Metric[] {
  const metrics = [...reportsOfEndpoints(outbounds), ...(inbound === undefined ? [] : ownReports(inbound))];
  return metrics.filter(({ samples }) => samples.length > 0);
}

function reportsOfEndpoints(outbounds: readonly UpstreamState[]): Metric[] {
  const sum = (outbound: UpstreamState, of: (cluster: UpstreamState['cluster']) => number): number =>
    outbound.clusters.reduce((total, cluster) => total + of(cluster), 0);
  const perUpstream = metricsOver(outbounds, ({ name }) => ({ upstream: name }));
  const clusters = outbounds.flatMap((outbound) => outbound.clusters);
  const loads = clusters.flatMap(({ name, clusterName, context, endpoints }) =>
    endpoints.flatMap(({ label, id, inFlight, reported }) => {
      const value = reported?.utilizationAt(inFlight, context.clock.now());
      const cluster = clusterName === '' ? {} : { cluster: clusterName };
      const labels = { upstream: name, ...cluster, endpoint: label, name: id };
      return value === undefined ? [] : [{ labels, value }];
    }),
  );
  return [
    metric(
      'outrider_load_reports_total',
      perUpstream.by('source', REPORT_SOURCES, (outbound, source) =>
        sum(outbound, ({ reports }) => reports.read[source]),
      ),
    ),
    metric(
      'outrider_load_report_faults_total',
      perUpstream.by('reason', REPORT_FAULTS, (outbound, reason) =>
        sum(outbound, ({ reports }) => reports.faults[reason]),
      ),
    ),
    metric('outrider_endpoint_reported_load', loads),
  ];
}

function ownReports({ load, loadStreams, context }: InboundState): Metric[] {
  const engine = load.engineAt(context.clock.now());
  const { running = 0, waiting = 0, usedTokens = 0, mostTokens = 0 } = engine ?? {};
  const faults = REPORT_FAULTS.map((reason) => ({ labels: { reason }, value: load.faults[reason] }));
  return [
    metric('outrider_load_streams', one(loadStreams.size)),
    metric('outrider_load_streams_refused_total', one(loadStreams.refused)),
    metric('outrider_model_load_report_faults_total', faults),
    metric('outrider_engine_running', engine === null ? [] : one(running)),
    metric('outrider_engine_waiting', engine === null ? [] : one(waiting)),
    metric('outrider_engine_cache_used_ratio', mostTokens === 0 ? [] : one(usedTokens / mostTokens)),
  ];
}
