import { counter, gauge, type Metric, type Sample } from '../../telemetry/metric.js';
import { HELP, type MetricName } from './help.js';

/** A counter or gauge with its text. */
export function metric(name: MetricName, samples: Sample[]): Metric {
  return (name.endsWith('_total') ? counter : gauge)(name, HELP[name], samples);
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
  };
}

/** The sample of a metric without labels. */
export function one(value: number): Sample[] {
  return [{ labels: {}, value }];
}
