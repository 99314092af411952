import { type Job, type Runner, rowsOf } from './job.js';
import type { Later } from './queue-timeouts.js';

/** How long a batch that delays its run sleeps at once, ms: then it looks whether another model waits. */
const STEP_MS = 1;

/** How a batch grows before it runs: the requests that the socket hands over, a few per turn of the event loop. */
export class Gathering {
  /** `runNow`: ms of a monotonic clock; `othersWait`: whether a model but this one has its turn to come. */
  constructor(
    private readonly runNow: () => number,
    private readonly later: Later,
    private readonly othersWait: (runner: Runner) => boolean,
  ) {}

  /**
   * Resolves when the batch at the head of `items` is to run: it is full, or a turn brought no further job and the model's
   * `max_delay` is over.
   */
  async gather(runner: Runner, items: readonly Job[]): Promise<void> {
    let before = items.length;
    while (before < runner.maxBatch) {
      await nextTurn();
      if (items.length <= before) break;
      before = items.length;
    }
    if (runner.maxDelayMs > 0) await this.delay(runner, items);
  }

  /** Until there are rows for a preferred batch, or the first job has waited for so long. */
  private async delay(runner: Runner, items: readonly Job[]): Promise<void> {
    const full = runner.preferredRows[0] ?? runner.maxBatch;
    for (;;) {
      const head = items[0];
      if (head === undefined || items.reduce((rows, job) => rows + rowsOf(job), 0) >= full) return;
      const leftMs = runner.maxDelayMs - (this.runNow() - (head.arrivedMs ?? 0));
      // Another model's turn is not held up by this one's wait.
      if (leftMs <= 0 || this.othersWait(runner)) return;
      await new Promise<void>((resolve) => void this.later(Math.min(leftMs, STEP_MS), resolve));
    }
  }
}

/** Resolves in the next turn of the event loop, after what it reads. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
