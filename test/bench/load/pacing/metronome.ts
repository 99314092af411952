/** Tells when calls are due, from a thread that sleeps in between. */

import { Worker } from 'node:worker_threads';

/** What the thread is given. */
export interface MetronomeWork {
  readonly ratePerSecond: number;
  readonly seed: number;
  /** One Int32: other than 0, the thread ends. */
  readonly stop: SharedArrayBuffer;
}

/**
 * Calls `due` at Poisson-distributed times, each with that time, ms of `monotonicMs`. A load process that watches the clock
 * instead never sleeps: as soon as anything else wants its core, the scheduler makes it wait for whole time slices, which
 * every call then counts as the server's latency.
 */
export class Metronome {
  private readonly stopCell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  private readonly thread: Worker;

  /** @param seed start of the random numbers. */
  constructor(ratePerSecond: number, seed: number, due: (dueMs: number) => void) {
    const stop = this.stopCell.buffer as SharedArrayBuffer;
    const workerData: MetronomeWork = { ratePerSecond, seed, stop };
    this.thread = new Worker(new URL('metronome-thread.js', import.meta.url), { workerData });
    this.thread.on('message', (dueMs: number) => {
      if (!this.isStopped) due(dueMs);
    });
  }

  /** Nothing is due after it. */
  stop(): void {
    Atomics.store(this.stopCell, 0, 1);
    Atomics.notify(this.stopCell, 0);
  }

  private get isStopped(): boolean {
    return this.stopCell[0] !== 0;
  }
}

/** Ms of the system's monotonic clock, the same for all threads, unlike `performance.now()`. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
