import type { HistogramSample, Metric, Sample } from '../metric.js';
import { OtlpWriter } from '../otlp/otlp-writer.js';
import type { SeriesStarts } from './series-starts.js';

/** Fields of opentelemetry/proto/metrics/v1/metrics.proto as tags: number × 8 + wire type. */
const Tag = {
  /** ScopeMetrics.metrics */
  metric: 0x12,
  /** Metric */
  name: 0x0a,
  description: 0x12,
  gauge: 0x2a,
  sum: 0x3a,
  histogram: 0x4a,
  metadata: 0x62,
  /** Gauge, Sum, Histogram */
  point: 0x0a,
  temporality: 0x10,
  isMonotonic: 0x18,
  /** NumberDataPoint, HistogramDataPoint */
  start: 0x11,
  time: 0x19,
  /** NumberDataPoint */
  value: 0x21,
  attribute: 0x3a,
  /** HistogramDataPoint */
  count: 0x21,
  total: 0x29,
  buckets: 0x32,
  bounds: 0x3a,
  histogramAttribute: 0x4a,
} as const;
const DATA = { counter: Tag.sum, gauge: Tag.gauge, histogram: Tag.histogram } as const;
const CUMULATIVE = 2;
/** Of the specification Prometheus and OpenMetrics Compatibility, metric metadata. */
const TYPE_KEY = 'prometheus.type';

/** Samples of a metric: those from one place on, up to a bound. */
export interface Slice {
  readonly from: number;
  /** Samples at most. */
  readonly most: number;
  /** Bytes after which no further sample is begun. */
  readonly bytes: number;
}

/**
 * Metrics of Prometheus' kinds as fields `metrics` of a ScopeMetrics, by OpenTelemetry's specification for that: names as
 * they are, counters as monotonic cumulative sums, buckets not cumulative.
 */
export class MetricWriter {
  private readonly writer = new OtlpWriter();
  /** Points that were written since the last `take`. */
  points = 0;
  /** Samples that were left out in all: what is no finite number, or counts below 0. One such point may make a collector refuse all others. */
  invalid = 0;

  constructor(private readonly starts: SeriesStarts) {}

  /** Bytes written since the last `take`. */
  get bytes(): number {
    return this.writer.length;
  }

  /** What has been written; the writer is empty after that. */
  take(): Buffer {
    this.points = 0;
    return this.writer.take();
  }

  /** Writes samples as a metric. @returns the sample after the last one that was looked at. */
  write(metric: Metric, { from, most, bytes }: Slice, timeMs: number): number {
    const { writer } = this;
    const metricFrom = writer.open(Tag.metric);
    writer.text(Tag.name, metric.name);
    writer.text(Tag.description, metric.help);
    const data = writer.open(DATA[metric.kind]);
    const last = Math.min(metric.samples.length, from + most);
    let i = from;
    while (i < last && writer.length < bytes) {
      if (metric.kind === 'histogram') this.histogram(metric.name, metric.samples[i]!, timeMs);
      else if (metric.kind === 'counter') this.counter(metric.name, metric.samples[i]!, timeMs);
      else this.gauge(metric.samples[i]!, timeMs);
      i++;
    }
    if (metric.kind !== 'gauge') writer.varint(Tag.temporality, CUMULATIVE);
    if (metric.kind === 'counter') writer.varint(Tag.isMonotonic, 1);
    writer.close(data);
    writer.attribute(Tag.metadata, TYPE_KEY, metric.kind);
    writer.close(metricFrom);
    return i;
  }

  private gauge({ labels, value }: Sample, timeMs: number): void {
    if (Number.isFinite(value)) this.number(labels, value, 0, timeMs);
    else this.invalid++;
  }

  private counter(name: string, { labels, value }: Sample, timeMs: number): void {
    if (!Number.isFinite(value) || value < 0) this.invalid++;
    else this.number(labels, value, this.starts.startOf(name, keyOf(labels), value, timeMs), timeMs);
  }

  /** @param startMs 0: none, as it is no count. */
  private number(labels: Sample['labels'], value: number, startMs: number, timeMs: number): void {
    const { writer } = this;
    const point = writer.open(Tag.point);
    if (startMs > 0) writer.nanoseconds(Tag.start, startMs);
    writer.nanoseconds(Tag.time, timeMs);
    writer.double(Tag.value, value);
    this.attributes(Tag.attribute, labels);
    writer.close(point);
    this.points++;
  }

  private histogram(name: string, { labels, bounds, counts, sum }: HistogramSample, timeMs: number): void {
    const buckets = counts.map((count, i) => count - (i === 0 ? 0 : counts[i - 1]!));
    const isWhole = buckets.every((count) => Number.isSafeInteger(count) && count >= 0);
    if (!isWhole || buckets.length !== bounds.length + 1 || !Number.isFinite(sum)) {
      this.invalid++;
      return;
    }
    const { writer } = this;
    const count = counts.at(-1)!;
    const point = writer.open(Tag.point);
    writer.nanoseconds(Tag.start, this.starts.startOf(name, keyOf(labels), count, timeMs));
    writer.nanoseconds(Tag.time, timeMs);
    writer.fixed(Tag.count, count);
    // Where values may be below 0, the sum is no count, and OTLP wants none.
    if (!(bounds[0]! < 0)) writer.double(Tag.total, sum);
    writer.fixeds(Tag.buckets, buckets);
    writer.doubles(Tag.bounds, bounds);
    this.attributes(Tag.histogramAttribute, labels);
    writer.close(point);
    this.points++;
  }

  private attributes(tag: number, labels: Sample['labels']): void {
    for (const name of Object.keys(labels)) this.writer.attribute(tag, name, labels[name]!);
  }
}

function keyOf(labels: Sample['labels']): string {
  return JSON.stringify(labels);
}
