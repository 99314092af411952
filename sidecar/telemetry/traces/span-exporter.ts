import type { Logger } from '../../runtime/log/logger.js';
import { messageOf } from '../../runtime/log/message-of.js';
import type { Random } from '../../runtime/random.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import type { RequestWriter } from '../otlp/otlp-request.js';
import type { OtlpSender, SendResult } from '../otlp/otlp-sender.js';
import { RetryPause } from '../otlp/retry-pause.js';
import type { Batch, SpanQueue } from './span-queue.js';

/** Spans wait this long for others, ms. */
const GATHER_MS = 1_000;
/** So many are sent at once, or a few more; as many do not wait. */
const BATCH_SPANS = 512;
/** What is left at the end of the process has this long to get away, ms. */
const CLOSE_MS = 1_000;

/** What an exporter works with. */
export interface ExporterDeps {
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Brings spans from their queue to a collector, in batches, one request at a time. A batch that fails is kept and tried
 * again after a pause; meanwhile the queue fills, and what finds no room there is counted.
 */
export class SpanExporter {
  exported = 0;
  /** Requests that failed, retried or not. */
  failures = 0;
  private timer: Timer | undefined;
  private sending: Promise<void> | undefined;
  private readonly pause: RetryPause;
  /** The timer fires at the end of this turn. */
  private isDue = false;
  private isClosed = false;
  /** What was left has been counted as dropped. */
  private isOver = false;
  private closing: Promise<void> | undefined;

  constructor(
    private readonly queue: SpanQueue,
    private readonly writer: RequestWriter,
    private readonly sender: OtlpSender,
    private readonly deps: ExporterDeps,
  ) {
    this.pause = new RetryPause(deps.random);
    queue.onAdded = () => this.schedule();
  }

  /** Arranges for the next request. Called for each call that is exported. */
  private schedule(): void {
    if (this.isClosed || this.sending !== undefined || this.pause.ms > 0) return;
    const isFull = this.queue.spans >= BATCH_SPANS;
    if (this.timer !== undefined && (!isFull || this.isDue)) return;
    this.arm(isFull ? 0 : GATHER_MS);
  }

  private arm(delayMs: number): void {
    this.timer?.cancel();
    this.isDue = delayMs === 0;
    this.timer = this.deps.timers.after(delayMs, () => this.begin(), { unref: true });
  }

  /** Takes the oldest spans and sends them; what came meanwhile is next, without a pause where it is much. */
  private begin(): void {
    this.timer = undefined;
    this.isDue = false;
    const batch = this.queue.first(BATCH_SPANS);
    if (batch === undefined || this.isClosed) return;
    this.sending = this.export(batch).finally(() => {
      this.sending = undefined;
      if (this.pause.ms > 0 && !this.isClosed) this.arm(this.pause.ms);
      else if (this.queue.spans > 0) this.schedule();
    });
  }

  /** One request. Never rejects. */
  private async export(batch: Batch): Promise<void> {
    const result = await this.sendSafely(batch);
    if (this.isOver) return;
    if (result.kind === 'failed') return this.onFailed(result);
    this.queue.remove(batch);
    if (result.kind === 'taken') {
      const rejected = Math.min(batch.spans, result.rejected);
      this.exported += batch.spans - rejected;
      if (rejected > 0) this.queue.countDropped('refused', rejected);
      return this.onAnswer();
    }
    this.failures++;
    this.queue.countDropped('refused', batch.spans);
    this.deps.logger.warn({ problem: result.why, spans: batch.spans }, 'the collector refused traces');
    this.onAnswer();
  }

  private async sendSafely(batch: Batch): Promise<SendResult> {
    try {
      return await this.sender.send(this.writer.write(batch));
    } catch (error) {
      return { kind: 'refused', why: messageOf(error) };
    }
  }

  private onFailed({ why, waitMs }: Extract<SendResult, { kind: 'failed' }>): void {
    this.failures++;
    if (!this.queue.isUnreachable)
      this.deps.logger.warn({ problem: why }, 'traces cannot be exported; they are tried again and dropped');
    this.queue.isUnreachable = true;
    this.pause.lengthen(waitMs);
  }

  /** The collector is there, whatever it says. */
  private onAnswer(): void {
    this.pause.end();
    if (!this.queue.isUnreachable) return;
    this.queue.isUnreachable = false;
    const { spans } = this.queue;
    this.deps.logger.info(
      { waiting: spans, dropped: { ...this.queue.dropped } },
      'traces are exported again',
    );
  }

  /** Sends what is left within a second; what does not get away is counted as dropped. */
  close(): Promise<void> {
    this.closing ??= this.closeNow();
    return this.closing;
  }

  private async closeNow(): Promise<void> {
    this.isClosed = true;
    this.timer?.cancel();
    const { timers } = this.deps;
    let timer: Timer | undefined;
    const isLate = new Promise<void>((resolve) => {
      timer = timers.after(CLOSE_MS, resolve);
    });
    await Promise.race([this.sendRest(), isLate]);
    timer?.cancel();
    this.isOver = true;
    this.sender.close();
    if (this.queue.spans > 0) this.queue.countDropped('shutdown', this.queue.spans);
    this.queue.clear();
  }

  /** One try for each batch: there is no time for pauses. */
  private async sendRest(): Promise<void> {
    await this.sending;
    for (
      let batch = this.queue.first(BATCH_SPANS);
      batch !== undefined;
      batch = this.queue.first(BATCH_SPANS)
    ) {
      const { failures } = this;
      await this.export(batch);
      if (this.failures > failures) return;
    }
  }
}
