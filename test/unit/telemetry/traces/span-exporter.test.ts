/** The way from the queue to a collector that is there, slow, away, or refuses. */
import assert from 'node:assert/strict';
import { RequestWriter } from '../../../../sidecar/telemetry/otlp/otlp-request.js';
import type { OtlpSender, SendResult } from '../../../../sidecar/telemetry/otlp/otlp-sender.js';
import { SpanExporter } from '../../../../sidecar/telemetry/traces/span-exporter.js';
import { SpanQueue } from '../../../../sidecar/telemetry/traces/span-queue.js';
import { silentLogger } from '../../../kit/stack/silent-logger.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

const TAKEN: SendResult = { kind: 'taken', rejected: 0 };
const AWAY: SendResult = { kind: 'failed', why: 'connect ECONNREFUSED' };

/** A collector that answers as the test says. */
class Collector implements OtlpSender {
  answer: () => Promise<SendResult> = async () => TAKEN;
  readonly atMs: number[] = [];
  isClosed = false;

  constructor(private readonly clock: ManualClock) {}

  send(): Promise<SendResult> {
    this.atMs.push(this.clock.now());
    return this.answer();
  }

  close(): void {
    this.isClosed = true;
  }
}

describe('the exporter of spans', () => {
  let clock: ManualClock;
  let queue: SpanQueue;
  let collector: Collector;
  let exporter: SpanExporter;
  let logged: string[];

  beforeEach(() => {
    clock = new ManualClock();
    queue = new SpanQueue();
    collector = new Collector(clock);
    logged = [];
    const note = (_: unknown, message: string): void => void logged.push(message);
    const logger = { ...silentLogger, warn: note, info: note };
    const writer = new RequestWriter({ resource: {}, version: '' });
    exporter = new SpanExporter(queue, writer, collector, { timers: clock, random: () => 0.5, logger });
  });

  const add = (spans: number): void => queue.add(Buffer.alloc(10), 10, spans);

  it('gathers spans for a second', async () => {
    add(2);
    await clock.settle(500);
    add(2);
    await clock.settle(499);
    assert.deepEqual([collector.atMs.length, queue.spans], [0, 4]);
    await clock.settle(1);
    assert.deepEqual([collector.atMs.length, queue.spans, exporter.exported], [1, 0, 4]);
  });

  it('sends many at once, and rests while there are none', async () => {
    for (let i = 0; i < 300; i++) add(2);
    await clock.settle(0);
    assert.deepEqual([exporter.exported, clock.pending()], [600, 0]);
  });

  it('keeps what fails, tries again after longer and longer pauses, and recovers', async () => {
    collector.answer = async () => AWAY;
    add(2);
    await clock.settle(100_000);
    const pauses = collector.atMs.slice(1).map((atMs, i) => atMs - collector.atMs[i]!);
    assert.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    assert.deepEqual([queue.spans, exporter.failures, logged.length], [2, 8, 1]);
    collector.answer = async () => TAKEN;
    await clock.settle(30_000);
    assert.deepEqual([queue.spans, exporter.exported, queue.isUnreachable], [0, 2, false]);
    assert.match(logged[1]!, /again/);
  });

  it('new spans do not shorten a pause', async () => {
    collector.answer = async () => AWAY;
    for (let i = 0; i < 300; i++) add(2);
    await clock.settle(0);
    for (let i = 0; i < 300; i++) add(2);
    await clock.settle(900);
    assert.equal(collector.atMs.length, 1);
  });

  it('waits as long as the collector asks, half a minute at most', async () => {
    collector.answer = async () => ({ ...AWAY, waitMs: 7_000 }) as SendResult;
    add(1);
    await clock.settle(1_000 + 6_999);
    assert.equal(collector.atMs.length, 1);
    await clock.settle(1);
    assert.equal(collector.atMs.length, 2);
    collector.answer = async () => ({ ...AWAY, waitMs: 3_600_000 }) as SendResult;
    await clock.settle(40_000);
    assert.ok(collector.atMs.length >= 3);
  });

  it('drops and counts what is refused, whole or in part', async () => {
    collector.answer = async () => ({ kind: 'refused', why: 'HTTP status 400' });
    add(3);
    await clock.settle(1_000);
    assert.deepEqual([queue.dropped.refused, queue.spans, exporter.failures], [3, 0, 1]);
    collector.answer = async () => ({ kind: 'taken', rejected: 2 });
    add(5);
    await clock.settle(1_000);
    assert.deepEqual([queue.dropped.refused, exporter.exported], [5, 3]);
  });

  it('sends one request at a time', async () => {
    const waiting: ((result: SendResult) => void)[] = [];
    collector.answer = () => new Promise((resolve) => void waiting.push(resolve));
    for (let i = 0; i < 300; i++) add(2);
    await clock.settle(5_000);
    for (let i = 0; i < 300; i++) add(2);
    await clock.settle(5_000);
    assert.equal(waiting.length, 1);
    waiting[0]!(TAKEN);
    await clock.settle(0);
    assert.equal(waiting.length, 2);
    waiting[1]!(TAKEN);
    await clock.settle(0);
    assert.equal(exporter.exported, 1_200);
  });

  describe('at the end', () => {
    it('sends what is left', async () => {
      add(2);
      const closed = exporter.close();
      await clock.settle(0);
      await closed;
      assert.deepEqual([exporter.exported, queue.dropped.shutdown, collector.isClosed], [2, 0, true]);
      add(1);
      await clock.settle(10_000);
      assert.deepEqual([collector.atMs.length, clock.pending()], [1, 0]);
    });

    it('gives up after one try where the collector is away', async () => {
      collector.answer = async () => AWAY;
      add(2);
      const closed = exporter.close();
      await clock.settle(0);
      await closed;
      assert.deepEqual([queue.dropped.shutdown, collector.atMs.length], [2, 1]);
    });

    it('takes a second at most, whatever the collector does', async () => {
      collector.answer = () => new Promise(() => {});
      add(2);
      let isClosed = false;
      const closed = exporter.close().then(() => {
        isClosed = true;
      });
      await clock.settle(999);
      assert.equal(isClosed, false);
      await clock.settle(1);
      await closed;
      assert.deepEqual([queue.dropped.shutdown, queue.spans], [2, 0]);
    });
  });
});
