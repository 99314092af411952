import assert from 'node:assert/strict';
import type { Metric } from '../../../../sidecar/telemetry/metric.js';
import { SeriesStarts } from '../../../../sidecar/telemetry/metrics-export/series-starts.js';
import { encodeSnapshot, type Snapshot } from '../../../../sidecar/telemetry/metrics-export/snapshot.js';
import { readMetrics } from '../../../kit/traces/decode-metrics.js';

const gauge = (name: string, values: readonly number[], label = ''): Metric => ({
  ...{ kind: 'gauge', name, help: '' },
  samples: values.map((value) => ({ labels: { i: `${value}${label}` }, value })),
});
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe('a snapshot of metrics', () => {
  const encoded = (metrics: readonly Metric[], starts = new SeriesStarts(1)) => {
    const encoding = encodeSnapshot(metrics, 2, starts);
    for (let turns = 1; ; turns++) {
      const step = encoding.next();
      if (step.done === true) return { turns, snapshot: step.value };
    }
  };
  const pointsOf = ({ parts }: Snapshot) =>
    parts.flatMap(({ metrics }) =>
      readMetrics(metrics).flatMap(({ name, points }) => points.map(({ value }) => [name, value] as const)),
    );

  it('is one part and one turn where there are few', () => {
    const { turns, snapshot } = encoded([gauge('a', [1, 2]), gauge('none', []), gauge('b', [3])]);
    assert.deepEqual([turns, snapshot.parts.length, snapshot.parts[0]!.points], [1, 1, 3]);
    assert.deepEqual(
      readMetrics(snapshot.parts[0]!.metrics).map(({ name, points }) => [name, points.length]),
      [
        ['a', 2],
        ['b', 1],
      ],
    );
  });

  it('is nothing where there are none', () => assert.deepEqual(encoded([]).snapshot.parts, []));

  it('takes the first of two metrics of one name, as a scrape does', () =>
    assert.deepEqual(pointsOf(encoded([gauge('a', [1]), gauge('a', [2])]).snapshot), [['a', 1]]));

  it('has a turn of the event loop for each few hundred points', () => {
    const { turns, snapshot } = encoded([gauge('a', upTo(1_200)), gauge('b', upTo(1_300))]);
    assert.deepEqual([turns, pointsOf(snapshot).length], [13, 2_500]);
  });

  it('is cut into requests that any server takes, with each point once', () => {
    const { snapshot } = encoded([gauge('a', upTo(4_000), 'x'.repeat(400)), gauge('b', [7])]);
    assert.ok(snapshot.parts.length >= 3, String(snapshot.parts.length));
    for (const { metrics } of snapshot.parts) assert.ok(metrics.length < 600 * 1024, String(metrics.length));
    assert.deepEqual(pointsOf(snapshot), [...upTo(4_000).map((i) => ['a', i] as const), ['b', 7]]);
    assert.equal(
      snapshot.parts.reduce((sum, { points }) => sum + points, 0),
      4_001,
    );
  });

  it('says how many were left out, and sends no request for them', () => {
    const { snapshot } = encoded([gauge('a', [Number.NaN, Number.NaN])]);
    assert.deepEqual([snapshot.invalid, snapshot.parts], [2, []]);
  });

  it('remembers the series of whole snapshots', () => {
    const starts = new SeriesStarts(1);
    const counter: Metric = { ...gauge('a_total', upTo(700)), kind: 'counter' } as Metric;
    const encoding = encodeSnapshot([counter], 2, starts);
    encoding.next();
    assert.equal(starts.size, 200);
    encoded([counter], starts);
    assert.equal(starts.size, 700);
  });
});
