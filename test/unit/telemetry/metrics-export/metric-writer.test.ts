/** Every kind of metric as OTLP, by OpenTelemetry's rules for those of Prometheus. */
import assert from 'node:assert/strict';
import type { HistogramSample, Metric, Sample } from '../../../../sidecar/telemetry/metric.js';
import { histogramSample } from '../../../../sidecar/telemetry/metric-rows.js';
import { MetricWriter } from '../../../../sidecar/telemetry/metrics-export/metric-writer.js';
import { SeriesStarts } from '../../../../sidecar/telemetry/metrics-export/series-starts.js';
import { type ReadMetric, readMetrics } from '../../../kit/traces/decode-metrics.js';

const BEGAN_MS = 1_795_757_400_000;
const NOW_MS = 1_795_757_460_123;
const ALL = { from: 0, most: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };
const ns = (ms: number): bigint => BigInt(ms) * 1_000_000n;

const simple = (kind: 'counter' | 'gauge', ...samples: readonly Sample[]): Metric => ({
  ...{ kind, name: `a_${kind}`, help: 'What it is.', samples },
});
const histogram = (...samples: readonly HistogramSample[]): Metric => ({
  ...{ kind: 'histogram', name: 'a_seconds', help: 'How long.', samples },
});

describe('a metric as OTLP', () => {
  let writer: MetricWriter;
  beforeEach(() => {
    writer = new MetricWriter(new SeriesStarts(BEGAN_MS));
  });

  const written = (metric: Metric): ReadMetric => {
    writer.write(metric, ALL, NOW_MS);
    return readMetrics(writer.take())[0]!;
  };
  const one = (value: number): Sample => ({ labels: {}, value });

  it('of a counter is a monotonic sum that is cumulative, from its start on', () => {
    const labels = { direction: 'inbound', grpc_status: 'OK' };
    assert.deepEqual(written(simple('counter', { labels, value: 3 })), {
      ...{ name: 'a_counter', description: 'What it is.', unit: '', type: 'counter', kind: 'sum' },
      ...{ temporality: 2, isMonotonic: true },
      points: [{ attributes: labels, start: ns(BEGAN_MS), time: ns(NOW_MS), value: 3 }],
    });
  });

  it('of a gauge is a gauge, without a start', () => {
    assert.deepEqual(written(simple('gauge', one(-0.5), { labels: { a: 'b' }, value: 0 })), {
      ...{ name: 'a_gauge', description: 'What it is.', unit: '', type: 'gauge', kind: 'gauge' },
      ...{ temporality: 0, isMonotonic: false },
      points: [
        { attributes: {}, start: 0n, time: ns(NOW_MS), value: -0.5 },
        { attributes: { a: 'b' }, start: 0n, time: ns(NOW_MS), value: 0 },
      ],
    });
  });

  it('of a histogram has the count of each bucket alone', () => {
    const counts = [2, 0, 3, 1];
    const sample = histogramSample({ a: 'b' }, counts, { boundsMs: [5, 10, 2_500], sumMs: 4_250 });
    assert.deepEqual(sample.counts, [2, 2, 5, 6], 'cumulative, as Prometheus has them');
    assert.deepEqual(written(histogram(sample)), {
      ...{ name: 'a_seconds', description: 'How long.', unit: '', type: 'histogram', kind: 'histogram' },
      ...{ temporality: 2, isMonotonic: false },
      points: [
        {
          ...{ attributes: { a: 'b' }, start: ns(BEGAN_MS), time: ns(NOW_MS) },
          ...{ count: 6, sum: 4.25, buckets: counts, bounds: [0.005, 0.01, 2.5] },
        },
      ],
    });
  });

  it('of a histogram without observations is one of zeros', () => {
    const { points } = written(histogram(histogramSample({}, [0, 0], { boundsMs: [5], sumMs: 0 })));
    assert.deepEqual([points[0]!.count, points[0]!.sum, points[0]!.buckets], [0, 0, [0, 0]]);
  });

  it('of a histogram of differences has no sum', () => {
    const sample = histogramSample({}, [4, 1, 0], { boundsMs: [-5, 5], sumMs: -40 });
    const { sum, buckets } = written(histogram(sample)).points[0]!;
    assert.deepEqual([sum, buckets], [undefined, [4, 1, 0]]);
  });

  it('keeps labels as they are, whatever is in them', () => {
    const labels = { endpoint: '[::1]:443', method: 'a.b/C"\\\n', name: 'Größe 𝄞', empty: '' };
    assert.deepEqual(written(simple('gauge', { labels, value: 1 })).points[0]!.attributes, labels);
  });

  it('leaves out what is no number, and counts below 0', () => {
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    assert.deepEqual(
      written(simple('gauge', ...odd.map(one), one(1))).points.map(({ value }) => value),
      [1],
    );
    assert.deepEqual(
      written(simple('counter', ...odd.map(one), one(-1), one(2))).points.map(({ value }) => value),
      [2],
    );
    const sample = { labels: {}, bounds: [1, 2] };
    const wrong: HistogramSample[] = [
      { ...sample, counts: [1, 0, 2], sum: 1 },
      { ...sample, counts: [1, Number.NaN, 2], sum: 1 },
      { ...sample, counts: [1, 1.5, 2], sum: 1 },
      { ...sample, counts: [1, 2], sum: 1 },
      { ...sample, counts: [1, 1, 2], sum: Number.NaN },
    ];
    const { points } = written(histogram(...wrong, { ...sample, counts: [1, 1, 2], sum: 3 }));
    assert.deepEqual([points.length, points[0]!.sum, writer.invalid], [1, 3, 12]);
  });

  it('begins anew where its count did', () => {
    const starts = new SeriesStarts(BEGAN_MS);
    writer = new MetricWriter(starts);
    const at = (timeMs: number, value: number): bigint => {
      starts.begin(timeMs);
      const counts = { labels: {}, bounds: [], counts: [value], sum: value };
      for (const metric of [simple('counter', one(value)), histogram(counts)])
        writer.write(metric, ALL, timeMs);
      starts.end(timeMs);
      const [sum, buckets] = readMetrics(writer.take());
      assert.equal(sum!.points[0]!.start, buckets!.points[0]!.start);
      return sum!.points[0]!.start;
    };
    assert.deepEqual(
      [at(NOW_MS, 5), at(NOW_MS + 10, 2), at(NOW_MS + 20, 2)],
      [ns(BEGAN_MS), ns(NOW_MS), ns(NOW_MS)],
    );
  });

  it('is written in slices by number and by bytes', () => {
    const metric = simple('gauge', ...Array.from({ length: 10 }, (_, i) => one(i)));
    const next = writer.write(metric, { ...ALL, most: 4 }, NOW_MS);
    assert.deepEqual([next, writer.points], [4, 4]);
    const bytes = writer.bytes + 100;
    const after = writer.write(metric, { ...ALL, from: next, bytes }, NOW_MS);
    assert.ok(after > next && after < 10, String(after));
    writer.write(metric, { ...ALL, from: after }, NOW_MS);
    const values = readMetrics(writer.take()).map(({ points }) => points.map(({ value }) => value));
    assert.deepEqual([values.length, values.flat()], [3, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]);
  });
});
