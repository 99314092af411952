import type { RuntimeDeps } from '../../runtime/deps.js';
import type { LogFields, Logger } from '../../runtime/log/logger.js';
import { messageOf } from '../../runtime/log/message-of.js';
import type { Timer } from '../../runtime/time/timers.js';
import type { Metric } from '../metric.js';
import type { RequestWriter } from '../otlp/otlp-request.js';
import type { OtlpSender, SendResult } from '../otlp/otlp-sender.js';
import { RetryPause } from '../otlp/retry-pause.js';
import type { ExportCounts } from './export-counts.js';
import type { SeriesStarts } from './series-starts.js';
import { encodeSnapshot, type Snapshot } from './snapshot.js';

/** The last export has this long, ms. */
const CLOSE_MS = 1_000;

/** What an exporter works with. */
export interface MetricsExporterDeps extends RuntimeDeps {
  readonly logger: Logger;
}

/** What is exported, and how often. */
export interface MetricsExportPlan {
  readonly intervalMs: number;
  /** The metrics now: what is read before its first turn ends belongs together. */
  readonly read: () => Promise<readonly Metric[]>;
  readonly starts: SeriesStarts;
  readonly counts: ExportCounts;
}

/** Metrics as they were read. */
interface Reading {
  readonly atMs: number;
  readonly metrics: Promise<readonly Metric[]>;
}

/** How exports go; a change is logged, not each one. */
type State = 'well' | 'partial' | 'refused' | 'failed' | 'defect';

const PROBLEMS: Readonly<Record<Exclude<State, 'well'>, string>> = {
  partial: 'the collector takes metrics, but not all data points',
  refused: 'the collector refused metrics',
  failed: 'metrics cannot be exported; the next interval tries again',
  defect: 'metrics could not be read or encoded',
};

/**
 * Sends all metrics to a collector, once in each interval: one export at a time, of one request after the other. What fails
 * is not kept: counts are cumulative, so the next export says it all again, and only points in between are lost.
 */
export class MetricsExporter {
  private timer: Timer | undefined;
  private exporting: Promise<void> | undefined;
  private closing: Promise<void> | undefined;
  private readonly pause: RetryPause;
  /** No export begins before that, by the monotonic clock. */
  private notBeforeMs = 0;
  /** Points of the newest export. */
  private points = 0;
  private isOver = false;
  private state: State = 'well';

  constructor(
    private readonly plan: MetricsExportPlan,
    private readonly writer: RequestWriter,
    private readonly sender: OtlpSender,
    private readonly deps: MetricsExporterDeps,
  ) {
    this.pause = new RetryPause(deps.random);
    // Sidecars that are started together do not export together. By then the predecessor of a successor has exported its last.
    this.arm((plan.intervalMs * (1 + deps.random())) / 2);
  }

  private arm(delayMs: number): void {
    this.timer = this.deps.timers.after(delayMs, () => this.tick(), { unref: true });
  }

  private tick(): void {
    this.arm(this.plan.intervalMs);
    const { counts } = this.plan;
    if (this.exporting !== undefined) counts.dropped.late += this.points;
    else if (this.deps.clock.now() < this.notBeforeMs) counts.dropped.unreachable += this.points;
    else this.begin(this.read());
  }

  private begin(reading: Reading): void {
    this.exporting = this.export(reading).finally(() => {
      this.exporting = undefined;
    });
  }

  private read(): Reading {
    const metrics = this.plan.read();
    // It is awaited later, perhaps after another export.
    metrics.catch(() => {});
    return { atMs: this.deps.clock.wallNow(), metrics };
  }

  /** Never rejects. */
  private async export(reading: Reading): Promise<void> {
    const { counts } = this.plan;
    let snapshot: Snapshot | undefined;
    try {
      snapshot = await this.encode(reading);
    } catch (error) {
      counts.dropped.encode += this.points;
      this.announce('defect', { problem: messageOf(error) });
    }
    if (snapshot === undefined || this.isOver) return;
    this.points = snapshot.parts.reduce((sum, { points }) => sum + points, 0);
    counts.dropped.invalid += snapshot.invalid;
    await this.sendAll(snapshot);
  }

  /** In turns of the event loop that are short, however many metrics there are. Undefined: the exporter is over. */
  private async encode({ atMs, metrics }: Reading): Promise<Snapshot | undefined> {
    const encoding = encodeSnapshot(await metrics, atMs, this.plan.starts);
    for (;;) {
      const step = encoding.next();
      if (step.done === true) return step.value;
      await new Promise<void>((resolve) => void this.deps.timers.after(0, resolve, { unref: true }));
      if (this.isOver) return undefined;
    }
  }

  /** One request after the other; where one fails, the rest has no better chance. */
  private async sendAll({ parts }: Snapshot): Promise<void> {
    const { counts } = this.plan;
    let state: State = 'well';
    let fields: LogFields = {};
    let left = this.points;
    for (const { metrics, points } of parts) {
      const result = await this.sendSafely(metrics);
      // What was left was counted at the end.
      if (this.isOver) return;
      if (result.kind === 'failed') {
        counts.failures++;
        counts.dropped.unreachable += left;
        this.pause.lengthen(result.waitMs);
        this.notBeforeMs = this.deps.clock.now() + this.pause.ms;
        return this.announce('failed', { problem: result.why });
      }
      left -= points;
      this.pause.end();
      if (result.kind === 'refused') {
        counts.failures++;
        counts.dropped.refused += points;
        state = 'refused';
        fields = { problem: result.why, points };
        continue;
      }
      const rejected = Math.min(points, result.rejected);
      counts.exported += points - rejected;
      counts.dropped.refused += rejected;
      if (rejected === 0 || state === 'refused') continue;
      state = 'partial';
      fields = { problem: result.why, rejected };
    }
    this.announce(state, fields);
  }

  private async sendSafely(metrics: Buffer): Promise<SendResult> {
    try {
      return await this.sender.send(this.writer.write({ parts: [metrics], bytes: metrics.length }));
    } catch (error) {
      return { kind: 'refused', why: messageOf(error) };
    }
  }

  private announce(state: State, fields: LogFields): void {
    if (state === this.state) return;
    this.state = state;
    const { logger } = this.deps;
    if (state === 'well')
      logger.info({ dropped: { ...this.plan.counts.dropped } }, 'metrics are exported again');
    else logger.warn(fields, PROBLEMS[state]);
  }

  /** Ends at once. What replaces it exports soon; a request under way fails. */
  stop(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.timer?.cancel();
    this.sender.close();
    if (this.exporting !== undefined) this.plan.counts.dropped.shutdown += this.points;
  }

  /** The last export, of the metrics as they are now. It takes a second at most. */
  close(): Promise<void> {
    this.closing ??= this.closeNow();
    return this.closing;
  }

  private async closeNow(): Promise<void> {
    if (this.isOver) return;
    this.timer?.cancel();
    const reading = this.read();
    const { timers } = this.deps;
    let timer: Timer | undefined;
    const isLate = new Promise<void>((resolve) => {
      timer = timers.after(CLOSE_MS, resolve);
    });
    await Promise.race([this.exportLast(reading), isLate]);
    timer?.cancel();
    this.stop();
  }

  /** After the one that is under way; the pause after a failure does not matter any more. */
  private async exportLast(reading: Reading): Promise<void> {
    await this.exporting;
    if (this.isOver) return;
    this.begin(reading);
    await this.exporting;
  }
}
