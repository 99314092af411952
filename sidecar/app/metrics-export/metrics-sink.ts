import type { MetricsConfig, SidecarConfig } from '../../config/model.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric, one } from '../../telemetry/metric-rows.js';
import { ExportCounts } from '../../telemetry/metrics-export/export-counts.js';
import type { MetricsExporter } from '../../telemetry/metrics-export/metrics-exporter.js';
import { SeriesStarts } from '../../telemetry/metrics-export/series-starts.js';
import type { AppContext } from '../context.js';

/**
 * Switches the export of metrics on and off as the configuration asks. What encodes and sends them is loaded when it is first
 * needed. A successor exports nothing before it accepts: until then its predecessor is the one of their common name.
 */
export class MetricsSink {
  private config: MetricsConfig | undefined;
  private current: MetricsExporter | undefined;
  private readonly counts = new ExportCounts();
  private starts: SeriesStarts;
  private isHeld: boolean;
  private isClosed = false;

  /** @param read the metrics of the sidecar, when they are exported. */
  constructor(
    private readonly names: Pick<SidecarConfig, 'service' | 'instance'>,
    private readonly context: Pick<AppContext, 'deps'>,
    private readonly read: () => readonly Metric[],
  ) {
    const { clock, sockets } = context.deps;
    this.starts = new SeriesStarts(clock.wallNow());
    this.isHeld = sockets?.isSuccessor === true;
  }

  /** Applies a changed configuration; the collector need not be there. */
  async update(config: MetricsConfig | undefined): Promise<void> {
    if (this.isClosed || JSON.stringify(config) === JSON.stringify(this.config)) return;
    this.config = config;
    this.current?.stop();
    this.current = undefined;
    await this.open();
  }

  /** In a successor, once it accepts. */
  async release(): Promise<void> {
    if (!this.isHeld) return;
    this.isHeld = false;
    // Up to here, its predecessor has told what the mesh did.
    this.starts = new SeriesStarts(this.context.deps.clock.wallNow());
    await this.open();
  }

  private async open(): Promise<void> {
    const { config, isHeld } = this;
    if (config === undefined || isHeld) return;
    const { openMetricsExporter } = await import('./open-exporter.js');
    // Another change came meanwhile, or the end.
    if (this.config !== config || this.isClosed) return;
    const { names, read, starts, counts } = this;
    this.current = openMetricsExporter(config, { names, read, starts, counts }, this.context.deps);
  }

  /** None while it is off. */
  metrics(): Metric[] {
    if (this.config === undefined) return [];
    const { exported, failures, dropped } = this.counts;
    const reasons = Object.entries(dropped).map(([reason, value]) => ({ labels: { reason }, value }));
    return [
      metric('outrider_metric_points_exported_total', one(exported)),
      metric('outrider_metric_points_dropped_total', reasons),
      metric('outrider_metric_export_failures_total', one(failures)),
    ];
  }

  /** The last export, of the metrics at this moment, for a second at most. After that there are no more. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.current?.close();
  }
}
