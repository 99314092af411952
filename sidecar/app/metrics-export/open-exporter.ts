/** What the export of metrics needs while it is on; loaded when it is. */

import type { MetricsConfig, SidecarConfig } from '../../config/model.js';
import { processStats } from '../../runtime/process/stats.js';
import type { Metric } from '../../telemetry/metric.js';
import { MetricsExporter, type MetricsExportPlan } from '../../telemetry/metrics-export/metrics-exporter.js';
import { RequestWriter } from '../../telemetry/otlp/otlp-request.js';
import { METRICS } from '../../telemetry/otlp/otlp-sender.js';
import { openSender } from '../collector-sender.js';
import type { Deps } from '../context.js';
import { telemetrySource } from '../telemetry-source.js';

/** Where the metrics come from, and what outlives the exporter. */
export interface ExporterSource extends Pick<MetricsExportPlan, 'starts' | 'counts'> {
  readonly names: Pick<SidecarConfig, 'service' | 'instance'>;
  /** Those of the sidecar, without those of its process. */
  readonly read: () => readonly Metric[];
}

/** Begins to export what `/metrics` shows. */
export function openMetricsExporter(
  config: MetricsConfig,
  { names, read, starts, counts }: ExporterSource,
  deps: Deps,
): MetricsExporter {
  const { readProcess = processStats } = deps;
  const sender = openSender(config, METRICS, deps);
  const writer = new RequestWriter(telemetrySource(names, config.attributes, deps));
  const all = async (): Promise<readonly Metric[]> => [...read(), ...(await readProcess())];
  return new MetricsExporter(
    { intervalMs: config.intervalMs, read: all, starts, counts },
    writer,
    sender,
    deps,
  );
}
