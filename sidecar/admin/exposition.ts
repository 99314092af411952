/**
 * Turns metric families into the Prometheus text format (version 0.0.4).
 *
 * The only importer of prom-client. Families are read at scrape time from plain numbers, so nothing is
 * registered, incremented or allocated between scrapes.
 */

import { type Metric as ExposedMetric, Registry } from 'prom-client';
import type { HistogramSample, Metric } from '../telemetry/metric.js';

interface ExposedValue {
  labels: Readonly<Record<string, string | number>>;
  value: number;
  metricName?: string;
}

export const EXPOSITION_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** One exposition of every family, in the order given. A family named twice keeps its first occurrence. */
export async function expose(families: Iterable<Metric>): Promise<string> {
  const registry = new Registry();
  const seen = new Set<string>();
  for (const family of families) {
    if (seen.has(family.name)) continue;
    seen.add(family.name);
    registry.registerMetric(asMetric(family));
  }
  return registry.metrics();
}

/** prom-client asks a metric only for `get()` when it writes the exposition; the numbers are already ours. */
function asMetric(family: Metric): ExposedMetric {
  const metric = {
    name: family.name,
    help: family.help,
    type: family.kind,
    get: async () => ({
      name: family.name,
      help: family.help,
      type: family.kind,
      aggregator: 'sum',
      values:
        family.kind === 'histogram'
          ? family.samples.flatMap((s) => bucketsOf(family.name, s))
          : family.samples,
    }),
  };
  return metric as unknown as ExposedMetric;
}

/** `_bucket` lines, whose counts are cumulative already, then `_sum` and `_count`, as the text format wants them. */
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
