import { inferencesOf, type Job, type Runner } from './job.js';

/** Since the start of the process. */
export interface QueueCounters {
  runs: number;
  /** Jobs that ran; divided by `runs` it is the mean batch. */
  jobs: number;
  expired: number;
  withdrawn: number;
}

/**
 * How a job left the queue. `cancelled`: its caller had gone before it was answered, or before the last answer of its stream.
 */
export type JobEnd = 'success' | 'fail' | 'cancelled';

/**
 * What becomes of each job, counted once in the statistics of its model. A job that was cancelled is neither a success nor a
 * failure there. (Triton counts it as a failure, which its metrics tell apart by `reason="CANCELED"`; ModelStatistics has no
 * such field, and callers that go away would look like a model that fails.) A run that goes on after its caller has gone is
 * counted by how it ended.
 */
export class Ledger {
  readonly counters: QueueCounters = { runs: 0, jobs: 0, expired: 0, withdrawn: 0 };
  private readonly drains = new Map<Runner, (() => void)[]>();

  /** `wallNow`: epoch ms; `runNow`: ms of a monotonic clock. */
  constructor(
    private readonly wallNow: () => number,
    private readonly runNow: () => number,
  ) {}

  arrived(job: Job): void {
    job.runner.stats.pending += 1;
    job.arrivedMs = this.runNow();
  }

  /** The jobs' wait is over. */
  begun(batch: readonly Job[]): void {
    const now = this.runNow();
    const { stats } = batch[0]!.runner;
    for (const job of batch) stats.queue.add(now - (job.arrivedMs ?? now));
    stats.lastInferenceMs = this.wallNow();
  }

  /** The job's time was up before it could run: it is to end with `fail`. */
  expired(job: Job): void {
    this.counters.expired += 1;
    job.runner.stats.expired += 1;
  }

  ended(job: Job, how: JobEnd): void {
    const { runner } = job;
    const { stats } = runner;
    if (how === 'cancelled') stats.cancelled += 1;
    else {
      const now = this.runNow();
      stats[how].add(now - (job.arrivedMs ?? now) + (job.decodeMs ?? 0));
      if (how === 'success') stats.inferences += inferencesOf(job);
    }
    stats.pending -= 1;
    if (stats.pending > 0) return;
    const waiting = this.drains.get(runner);
    if (waiting === undefined) return;
    this.drains.delete(runner);
    for (const resolve of waiting) resolve();
  }

  /** Resolves when nothing of the model waits or runs. */
  drained(runner: Runner): Promise<void> {
    if (runner.stats.pending === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = this.drains.get(runner) ?? [];
      this.drains.set(runner, waiting);
      waiting.push(resolve);
    });
  }
}
