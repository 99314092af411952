import { type LoadReport, OwnMetric } from '../codec/orca.js';
import { readReport } from '../codec/orca-metadata.js';
import { ReportedLoad } from '../core/balancing/reported-load.js';
import type { HeaderField } from '../http2/hpack/field.js';
import { hasReport } from '../relay/header-rewrite.js';
import { readsReports } from './balancer-for.js';
import type { Cluster } from './cluster.js';
import type { Endpoint } from './endpoint.js';
import type { ReportSource } from './report-counts.js';

/** Reports in trailers of one endpoint are read at most this often, ms. */
const READ_EVERY_MS = 10;

/** Reads the load report in the trailers of an attempt that has ended, if there is one. @param extras its varying fields. */
export function readTrailers(
  cluster: Cluster,
  endpoint: Endpoint,
  extras: readonly HeaderField[],
  nowMs: number,
): void {
  if (nowMs - endpoint.reportReadMs < READ_EVERY_MS || !hasReport(extras)) return;
  if (!readsReports(cluster.config)) return;
  endpoint.reportReadMs = nowMs;
  const report = readReport(extras, cluster.reports.onFault);
  if (report !== undefined) takeReport(cluster, endpoint, report, 'trailers', nowMs);
}

/**
 * Takes over what an endpoint says of its load. Only Outriders say how many calls they have: from others a report changes nothing in the
 * choice of an endpoint.
 */
export function takeReport(
  cluster: Cluster,
  endpoint: Endpoint,
  { named, applicationUtilization }: LoadReport,
  source: ReportSource,
  nowMs: number,
): void {
  const { reports } = cluster;
  reports.read[source]++;
  const calls = named.get(OwnMetric.calls);
  const concurrency = named.get(OwnMetric.concurrency);
  if (calls === undefined || concurrency === undefined) return;
  if (calls < 0 || concurrency < 0) return reports.onFault('out-of-range');
  endpoint.reported ??= new ReportedLoad();
  const meanCalls =
    applicationUtilization === undefined ? calls : applicationUtilization * Math.max(1, concurrency);
  const longCalls = Math.max(0, named.get(OwnMetric.longCalls) ?? 0);
  const idleStreams = Math.max(0, named.get(OwnMetric.idleStreams) ?? 0);
  const runMs = Math.max(0, (named.get(OwnMetric.runSeconds) ?? 0) * 1000);
  const waitingTokens = Math.max(-1, named.get(OwnMetric.waitingTokens) ?? -1);
  const said = { calls, meanCalls, concurrency, longCalls, idleStreams, runMs, waitingTokens };
  if (!endpoint.reported.take(said, endpoint.inFlight, nowMs)) reports.onFault('contradicted');
}
