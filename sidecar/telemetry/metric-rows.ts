import type { HistogramSample, Metric, Sample } from './metric.js';
import { HELP, type MetricName } from './metric-help.js';

/** A counter or gauge with its text, read at scrape time. */
export function metric(name: MetricName, samples: Sample[]): Metric {
  return { kind: isCounter(name) ? 'counter' : 'gauge', name, help: HELP[name], samples };
}

/** By its name: `…_total`, or one of Triton's, which have no such end. */
export function isCounter(name: string): boolean {
  return name.endsWith('_total') || (name.startsWith('nv_') && name !== 'nv_inference_pending_request_count');
}

/** Makes metrics with one sample for each row of a table, such as each endpoint or each method. */
export interface RowMetrics<Row> {
  /** One of `read(row)`, with the labels of each row. */
  metric(name: MetricName, read: (row: Row) => number): Metric;
  /**
   * Samples of each row for each of `values`, which become the label `label`.
   *
   * @param read the number of one row; `i` is the position in `values`.
   */
  by<Value extends string>(
    label: string,
    values: readonly Value[],
    read: (row: Row, value: Value, i: number) => number,
  ): Sample[];
  /** Samples of each row for each of the counts that `read` gives, whose names become the label `label`. */
  counts(label: string, read: (row: Row) => Readonly<Record<string, number>>): Sample[];
}

/** @param labelsOf labels that tell the rows apart; called at scrape time. */
export function metricsOver<Row>(
  rows: readonly Row[],
  labelsOf: (row: Row) => Readonly<Record<string, string>>,
): RowMetrics<Row> {
  return {
    metric: (name, read) =>
      metric(
        name,
        rows.map((row) => ({ labels: labelsOf(row), value: read(row) })),
      ),
    by: (label, values, read) =>
      rows.flatMap((row) =>
        values.map((each, i) => ({ labels: { ...labelsOf(row), [label]: each }, value: read(row, each, i) })),
      ),
    counts: (label, read) =>
      rows.flatMap((row) =>
        Object.entries(read(row)).map(([name, value]) => ({
          labels: { ...labelsOf(row), [label]: name },
          value,
        })),
      ),
  };
}

/** A sample of a histogram, from the count and the upper bound of each bucket, and the sum of all that was observed. */
export function histogramSample(
  labels: Readonly<Record<string, string>>,
  counts: Iterable<number>,
  { boundsMs, sumMs }: { readonly boundsMs: readonly number[]; readonly sumMs: number },
): HistogramSample {
  let total = 0;
  const cumulative = Array.from(counts, (n) => {
    total += n;
    return total;
  });
  return { labels, bounds: boundsMs.map((ms) => ms / 1000), counts: cumulative, sum: sumMs / 1000 };
}

/** The sample of a metric without labels. */
export function one(value: number): Sample[] {
  return [{ labels: {}, value }];
}
