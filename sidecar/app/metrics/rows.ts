import { counter, gauge, type Metric, type Sample } from '../../telemetry/metric.js';

/** Makes metrics with one sample for each row of a table, such as each endpoint or each method. */
export interface RowMetrics<Row> {
  /** A counter of `read(row)`, with the labels of each row. */
  counter(name: string, help: string, read: (row: Row) => number): Metric;
  /** As `counter`, for a value that may also fall. */
  gauge(name: string, help: string, read: (row: Row) => number): Metric;
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
  const samples = (read: (row: Row) => number): Sample[] =>
    rows.map((row) => ({ labels: labelsOf(row), value: read(row) }));
  return {
    counter: (name, help, read) => counter(name, help, samples(read)),
    gauge: (name, help, read) => gauge(name, help, samples(read)),
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
