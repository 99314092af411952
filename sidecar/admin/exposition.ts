import { type Metric as ExposedMetric, Registry } from 'prom-client';
import type { HistogramSample, Metric } from '../telemetry/metric.js';

interface ExposedValue {
  labels: Readonly<Record<string, string | number>>;
  value: number;
  metricName?: string;
}

/** Content type of the Prometheus text format, version 0.0.4. */
export const EXPOSITION_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/**
 * Writes metrics in the Prometheus text format, in the given order; of two with the same name, the
 * first. The numbers are read at scrape time, and prom-client only formats them: nothing is
 * registered or counted between scrapes.
 */
export async function expose(metrics: Iterable<Metric>): Promise<string> {
  const registry = new Registry();
  const seen = new Set<string>();
  for (const metric of metrics) {
    if (seen.has(metric.name)) continue;
    seen.add(metric.name);
    registry.registerMetric(asMetric(metric));
  }
  return registry.metrics();
}

/** prom-client calls only `get()` of a metric when it writes the exposition. */
function asMetric(metric: Metric): ExposedMetric {
  const exposed = {
    name: metric.name,
    help: metric.help,
    type: metric.kind,
    get: async () => ({
      name: metric.name,
      help: metric.help,
      type: metric.kind,
      aggregator: 'sum',
      values:
        metric.kind === 'histogram'
          ? metric.samples.flatMap((s) => bucketsOf(metric.name, s))
          : metric.samples,
    }),
  };
  return exposed as unknown as ExposedMetric;
}

/** The lines of one histogram: `_bucket` with cumulative counts, `_sum` and `_count`. */
function bucketsOf(name: string, { labels, bounds, counts, sum }: HistogramSample): ExposedValue[] {
  const total = counts.at(-1) ?? 0;
  const buckets = counts.map((value, i) => ({
    metricName: `${name}_bucket`,
    labels: { ...labels, le: bounds[i] ?? '+Inf' },
    value,
  }));
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: total },
  ];
}
