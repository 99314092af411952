import type { SidecarConfig, TracesConfig } from '../../config/model.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric, one } from '../../telemetry/metric-rows.js';
import type { Recorders } from '../../telemetry/recorders.js';
import type { AppContext } from '../context.js';
import type { Tracing } from './tracing.js';

/**
 * Switches traces on and off as the configuration asks. What makes and exports spans is loaded when it is first needed: a
 * sidecar without traces has none of it in memory.
 */
export class TraceSink {
  private config: TracesConfig | undefined;
  private current: Tracing | undefined;
  /** Former ones that still send their last spans. */
  private readonly closing = new Set<Promise<void>>();

  constructor(
    private readonly names: Pick<SidecarConfig, 'service' | 'instance'>,
    private readonly context: Pick<AppContext, 'deps' | 'dataPlane'>,
    private readonly recorders: Recorders,
  ) {}

  /** Applies a changed configuration; the collector need not be there. Counts begin anew with it. */
  async update(config: TracesConfig | undefined): Promise<void> {
    if (JSON.stringify(config) === JSON.stringify(this.config)) return;
    this.config = config;
    this.retire();
    if (config === undefined) return;
    const { openTracing } = await import('./tracing.js');
    // Another change came meanwhile.
    if (this.config !== config) return;
    this.current = openTracing(config, this.names, this.context);
    this.recorders.set('traces', this.current.tracer);
    this.context.dataPlane.tracer = this.current.tracer;
  }

  /** None while traces are off. */
  metrics(): Metric[] {
    if (this.current === undefined) return [];
    const { tracer, queue, exporter } = this.current;
    const by = (label: string, counts: Readonly<Record<string, number>>) =>
      Object.entries(counts).map(([name, value]) => ({ labels: { [label]: name }, value }));
    return [
      metric('outrider_traced_calls_total', by('because', { ...tracer.calls })),
      metric('outrider_spans_exported_total', one(exporter.exported)),
      metric('outrider_spans_dropped_total', by('reason', queue.dropped)),
      metric('outrider_spans_waiting', one(queue.spans)),
      metric('outrider_spans_waiting_bytes', one(queue.bytes)),
      metric('outrider_trace_export_failures_total', one(exporter.failures)),
    ];
  }

  /** Sends what is left, for a second at most. */
  async close(): Promise<void> {
    this.config = undefined;
    this.retire();
    await Promise.all(this.closing);
  }

  /** What waits is still sent, by what replaces it or beside nothing. */
  private retire(): void {
    const { current } = this;
    if (current === undefined) return;
    this.current = undefined;
    this.recorders.set('traces', null);
    this.context.dataPlane.tracer = null;
    const closed = current.exporter.close().finally(() => this.closing.delete(closed));
    this.closing.add(closed);
  }
}
