/** The export of metrics to a collector that is there, slow, away, or refuses. */
import assert from 'node:assert/strict';
import type { LogFields } from '../../../../sidecar/runtime/log/logger.js';
import type { Metric } from '../../../../sidecar/telemetry/metric.js';
import { ExportCounts } from '../../../../sidecar/telemetry/metrics-export/export-counts.js';
import { MetricsExporter } from '../../../../sidecar/telemetry/metrics-export/metrics-exporter.js';
import { SeriesStarts } from '../../../../sidecar/telemetry/metrics-export/series-starts.js';
import { RequestWriter } from '../../../../sidecar/telemetry/otlp/otlp-request.js';
import type { OtlpSender, SendResult } from '../../../../sidecar/telemetry/otlp/otlp-sender.js';
import { silentLogger } from '../../../kit/stack/silent-logger.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';
import { readMetricsRequest } from '../../../kit/traces/decode-metrics.js';

const TAKEN: SendResult = { kind: 'taken', rejected: 0 };
const AWAY: SendResult = { kind: 'failed', why: 'connect ECONNREFUSED' };
const INTERVAL_MS = 10_000;

/** A collector that answers as the test says. */
class Collector implements OtlpSender {
  answer: () => Promise<SendResult> = async () => TAKEN;
  readonly atMs: number[] = [];
  readonly bodies: Buffer[] = [];
  isClosed = false;

  constructor(private readonly clock: ManualClock) {}

  send(body: Buffer): Promise<SendResult> {
    this.atMs.push(this.clock.now());
    this.bodies.push(body);
    return this.answer();
  }

  close(): void {
    this.isClosed = true;
  }

  /** Values of the counter in each request. */
  get values(): unknown[] {
    return this.bodies.map((body) => readMetricsRequest(body).metrics[0]!.points.map(({ value }) => value));
  }
}

describe('the exporter of metrics', () => {
  let clock: ManualClock;
  let collector: Collector;
  let counts: ExportCounts;
  let exporter: MetricsExporter;
  let logged: [string, LogFields][];
  let value: number;
  let read: () => Promise<readonly Metric[]>;

  const counter = (samples: Metric['samples']): Metric =>
    ({ kind: 'counter', name: 'a_total', help: '', samples }) as Metric;

  beforeEach(() => {
    clock = new ManualClock();
    collector = new Collector(clock);
    counts = new ExportCounts();
    logged = [];
    value = 1;
    read = async () => [counter([{ labels: {}, value }])];
    const note = (fields: LogFields, message: string): void => void logged.push([message, fields]);
    const logger = { ...silentLogger, warn: note, info: note };
    const deps = { clock, timers: clock, random: () => 0, logger };
    const starts = new SeriesStarts(clock.wallNow());
    const plan = { intervalMs: INTERVAL_MS, read: () => read(), starts, counts };
    exporter = new MetricsExporter(plan, new RequestWriter({ resource: {}, version: '' }), collector, deps);
  });

  /** To the first export, which comes after half of the interval here. */
  const first = () => clock.settle(INTERVAL_MS / 2);

  it('exports what the metrics are, once in each interval', async () => {
    await clock.settle(INTERVAL_MS / 2 - 1);
    assert.equal(collector.bodies.length, 0);
    await clock.settle(1);
    for (value = 2; value < 4; value++) await clock.settle(INTERVAL_MS);
    assert.deepEqual(collector.values, [[1], [2], [3]]);
    assert.deepEqual(
      collector.atMs.map((atMs) => atMs - collector.atMs[0]!),
      [0, INTERVAL_MS, 2 * INTERVAL_MS],
    );
    assert.deepEqual([counts.exported, counts.failures, logged], [3, 0, []]);
  });

  it('begins at some time between half of an interval and all of it', async () => {
    const deps = { clock, timers: clock, random: () => 0.999, logger: silentLogger };
    const plan = { intervalMs: INTERVAL_MS, read, starts: new SeriesStarts(0), counts };
    const late = new Collector(clock);
    exporter.stop();
    exporter = new MetricsExporter(plan, new RequestWriter({ resource: {}, version: '' }), late, deps);
    await clock.settle(INTERVAL_MS - 10);
    assert.equal(late.bodies.length, 0);
    await clock.settle(10);
    assert.equal(late.bodies.length, 1);
  });

  it('has one export under way, and the next one has what is new by then', async () => {
    const waiting: ((result: SendResult) => void)[] = [];
    collector.answer = () => new Promise((resolve) => void waiting.push(resolve));
    await first();
    for (value = 2; value < 5; value++) await clock.settle(INTERVAL_MS);
    assert.deepEqual([collector.values, counts.dropped.late], [[[1]], 3]);
    waiting[0]!(TAKEN);
    await clock.settle(INTERVAL_MS);
    assert.deepEqual([collector.values, counts.exported], [[[1], [5]], 1]);
  });

  it('loses only points while the collector is away, and says so once', async () => {
    collector.answer = async () => AWAY;
    await first();
    for (value = 2; value < 10; value++) await clock.settle(INTERVAL_MS);
    const tries = collector.atMs.length;
    assert.ok(tries >= 3 && tries < 9, `${tries} tries: it is left alone for up to half a minute`);
    assert.deepEqual([counts.failures, counts.dropped.unreachable, counts.exported], [tries, 9, 0]);
    assert.deepEqual(logged, [
      [
        'metrics cannot be exported; the next interval tries again',
        { problem: AWAY.kind === 'failed' && AWAY.why },
      ],
    ]);
    collector.answer = async () => TAKEN;
    await clock.settle(4 * INTERVAL_MS);
    assert.deepEqual(collector.values.at(-1), [10]);
    assert.ok(counts.exported > 0);
    assert.deepEqual([logged.length, logged[1]![0]], [2, 'metrics are exported again']);
  });

  it('waits as long as the collector asks, half a minute at most', async () => {
    collector.answer = async () => ({ ...AWAY, waitMs: 3_600_000 }) as SendResult;
    await first();
    await clock.settle(29_999);
    assert.equal(collector.atMs.length, 1);
    await clock.settle(INTERVAL_MS);
    assert.equal(collector.atMs.length, 2);
  });

  it('counts what is refused, whole or in part, and says it when that changes', async () => {
    read = async () => [counter([1, 2, 3].map((i) => ({ labels: { i: String(i) }, value: i })))];
    collector.answer = async () => ({ kind: 'refused', why: 'HTTP status 400' });
    await first();
    await clock.settle(INTERVAL_MS);
    assert.deepEqual([counts.dropped.refused, counts.failures, counts.exported], [6, 2, 0]);
    collector.answer = async () => ({ kind: 'taken', rejected: 2, why: 'no' });
    await clock.settle(2 * INTERVAL_MS);
    assert.deepEqual([counts.dropped.refused, counts.failures, counts.exported], [10, 2, 2]);
    collector.answer = async () => ({ kind: 'taken', rejected: 1_000_000 });
    await clock.settle(INTERVAL_MS);
    assert.deepEqual([counts.dropped.refused, counts.exported], [13, 2]);
    collector.answer = async () => TAKEN;
    await clock.settle(INTERVAL_MS);
    assert.deepEqual(
      logged.map(([message, fields]) => [message, fields['problem']]),
      [
        ['the collector refused metrics', 'HTTP status 400'],
        ['the collector takes metrics, but not all data points', 'no'],
        ['metrics are exported again', undefined],
      ],
    );
  });

  it('survives metrics that cannot be read, and a sender that throws', async () => {
    await first();
    const well = read;
    read = () => Promise.reject(new Error('a bug'));
    await clock.settle(INTERVAL_MS);
    assert.deepEqual([counts.dropped.encode, logged[0]![1]['problem']], [1, 'a bug']);
    read = well;
    collector.answer = () => Promise.reject(new Error('another'));
    await clock.settle(INTERVAL_MS);
    assert.deepEqual([counts.dropped.refused, logged[1]![1]['problem']], [1, 'another']);
    collector.answer = async () => TAKEN;
    await clock.settle(INTERVAL_MS);
    assert.equal(counts.exported, 2);
  });

  describe('with many metrics', () => {
    const POINTS = 6_000;
    beforeEach(() => {
      const label = 'x'.repeat(200);
      const samples = Array.from({ length: POINTS }, (_, i) => ({ labels: { i: `${i}${label}` }, value: i }));
      read = async () => [counter(samples)];
    });

    it('sends one request after the other', async () => {
      let isWaiting = false;
      collector.answer = async () => {
        assert.equal(isWaiting, false);
        isWaiting = true;
        await new Promise((resolve) => void clock.after(5, () => resolve(undefined)));
        isWaiting = false;
        return TAKEN;
      };
      await first();
      await clock.settle(200);
      assert.ok(collector.bodies.length >= 3, String(collector.bodies.length));
      assert.equal(counts.exported, POINTS);
    });

    it('tries no further where one fails, and goes on where one is refused', async () => {
      let answers = 0;
      collector.answer = async () => (++answers === 2 ? AWAY : TAKEN);
      await first();
      await clock.settle(200);
      assert.equal(collector.bodies.length, 2);
      assert.equal(counts.exported + counts.dropped.unreachable, POINTS);
      collector.bodies.length = 0;
      collector.answer = async () => (++answers === 4 ? { kind: 'refused', why: 'no' } : TAKEN);
      await clock.settle(INTERVAL_MS);
      assert.ok(collector.bodies.length >= 3);
      assert.equal(counts.exported + counts.dropped.unreachable + counts.dropped.refused, 2 * POINTS);
      assert.ok(counts.dropped.refused > 0);
    });
  });

  describe('at the end', () => {
    it('exports the metrics of that moment, and no more', async () => {
      await first();
      value = 2;
      const closed = exporter.close();
      value = 3;
      await clock.settle(0);
      await closed;
      assert.deepEqual([collector.values, collector.isClosed, clock.pending()], [[[1], [2]], true, 0]);
      assert.equal(counts.dropped.shutdown, 0);
    });

    it('waits for the export that is under way', async () => {
      const waiting: ((result: SendResult) => void)[] = [];
      collector.answer = () => new Promise((resolve) => void waiting.push(resolve));
      await first();
      value = 2;
      const closed = exporter.close();
      await clock.settle(500);
      waiting[0]!(TAKEN);
      await clock.settle(0);
      waiting[1]!(TAKEN);
      await closed;
      assert.deepEqual([collector.values, counts.exported], [[[1], [2]], 2]);
    });

    it('tries a collector that was away once more', async () => {
      collector.answer = async () => AWAY;
      await first();
      const closed = exporter.close();
      await clock.settle(0);
      await closed;
      assert.deepEqual([collector.atMs.length, counts.dropped.unreachable], [2, 2]);
    });

    it('takes a second at most, whatever the collector does', async () => {
      collector.answer = () => new Promise(() => {});
      let isClosed = false;
      const closed = exporter.close().then(() => {
        isClosed = true;
      });
      await clock.settle(999);
      assert.equal(isClosed, false);
      await clock.settle(1);
      await closed;
      assert.deepEqual([counts.dropped.shutdown, collector.isClosed, clock.pending()], [1, true, 0]);
    });
  });

  it('that is replaced ends at once, with what is under way', async () => {
    let answer: (result: SendResult) => void = () => {};
    collector.answer = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    await first();
    exporter.stop();
    answer(TAKEN);
    await clock.settle(3 * INTERVAL_MS);
    assert.deepEqual([collector.bodies.length, collector.isClosed, clock.pending()], [1, true, 0]);
    assert.deepEqual([counts.exported, counts.dropped.shutdown], [0, 1]);
  });
});
