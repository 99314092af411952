import { RpcError, status } from '../rpc.js';
import type { Job } from './job.js';

/** Calls `then` after so many ms, unless what it gives is called first. */
export type Later = (ms: number, then: () => void) => () => void;

/** The longest that a timer of the runtime takes, ms. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The request parameter `timeout` (Triton's schedule policy extension): how long a job may wait. A job whose time is up is
 * refused at once, by a timer, also while other runs are waited for; one that has begun is never ended by it. A run of a
 * network holds the thread, and the timer with it: such a job is refused as soon as the run has ended.
 */
export class QueueTimeouts {
  /** Jobs with a time-out that have not begun; each with what stops its timer. */
  private readonly waiting = new Map<Job, () => void>();

  constructor(
    private readonly runNow: () => number,
    private readonly later: Later,
    private readonly onTimeout: (job: Job) => void,
  ) {}

  /** The job has been queued. */
  add(job: Job): void {
    const { queueTimeoutMs } = job;
    if (queueTimeoutMs === undefined || queueTimeoutMs === Number.POSITIVE_INFINITY) return;
    const fire = () => this.onTimeout(job);
    this.waiting.set(job, queueTimeoutMs > MAX_TIMER_MS ? () => {} : this.later(queueTimeoutMs, fire));
  }

  /** The job has begun, or has left the queue. Calling it twice is the same. */
  remove(job: Job): void {
    if (job.queueTimeoutMs === undefined) return;
    this.waiting.get(job)?.();
    this.waiting.delete(job);
  }

  /** Whether the job waits for longer than it may. */
  hasPassed(job: Job): boolean {
    if (job.queueTimeoutMs === undefined || !this.waiting.has(job)) return false;
    return this.runNow() - job.arrivedMs! >= job.queueTimeoutMs;
  }

  /** What the caller is told. */
  refusal({ runner, queueTimeoutMs, arrivedMs }: Job): RpcError {
    const us = Math.round(queueTimeoutMs! * 1000);
    const waitedMs = (this.runNow() - arrivedMs!).toFixed(1);
    return new RpcError(
      status.DEADLINE_EXCEEDED,
      `model '${runner.name}': found parameter 'timeout' ${us} (microseconds), but the request has waited for ${waitedMs} ms; it was not run`,
    );
  }
}
