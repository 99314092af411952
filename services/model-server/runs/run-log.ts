/** Fields of the shared memory, each a Float64. Times are those of the monotonic clock, ms. */
export const Field = { runs: 0, startedMs: 1, deadlineMs: 2 } as const;
/** How many they are. */
export const FIELDS = 3;

/** What the serving thread notes; between the two calls it may be blocked. */
export interface RunLog {
  /** @param deadlineInMs until the last of the deadlines of those that run; Infinity: one has none. */
  begin(deadlineInMs: number): void;
  end(): void;
}

/** Where no watcher listens. */
export const NO_RUN_LOG: RunLog = { begin: () => {}, end: () => {} };

/**
 * What runs, noted in memory that threads share: the thread that runs inferences writes, one that watches it reads.
 */
export class SharedRunLog implements RunLog {
  private readonly fields: Float64Array;

  constructor(readonly memory: SharedArrayBuffer) {
    this.fields = new Float64Array(memory);
  }

  begin(deadlineInMs: number): void {
    const nowMs = monotonicMs();
    this.fields[Field.deadlineMs] = nowMs + deadlineInMs;
    this.fields[Field.startedMs] = nowMs;
  }

  end(): void {
    this.fields[Field.startedMs] = 0;
    this.fields[Field.runs]! += 1;
  }
}

/** The same for all threads of a process, unlike `performance.now()`. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
