/** Doublings at most: more would leave the exact numbers. */
const MOST_DOUBLINGS = 52;

/**
 * The wait after so many failures in a row, ms: baseMs × 2^(failures − 1), maxMs at most.
 * @param failures 1 for the first.
 */
export function exponentialMs(failures: number, baseMs: number, maxMs = Number.POSITIVE_INFINITY): number {
  return Math.min(baseMs * 2 ** Math.min(failures - 1, MOST_DOUBLINGS), maxMs);
}

/** Between half and all of a wait, so that those who failed together do not come back together. */
export function halfJitterMs(fullMs: number, random: () => number): number {
  return fullMs * (0.5 + 0.5 * random());
}

/**
 * Backoff of a retry with full jitter (gRFC A6), ms: uniform below min(baseMs × 2^(retry − 1), maxMs).
 * @param retry 1 for the first retry.
 */
export function fullJitterMs(retry: number, baseMs: number, maxMs: number, random: () => number): number {
  return exponentialMs(retry, baseMs, maxMs) * random();
}

/** Backoff of process restarts; times in ms. */
export interface RestartSettings {
  readonly baseMs: number;
  readonly maxMs: number;
}

/** A run at least this long was healthy: the backoff begins anew, ms. */
export const HEALTHY_RUN_MS = 60_000;

/** Waits between the end of a process and its restart, with half jitter. */
export class RestartBackoff {
  /** Ends in a row without a healthy run between them. */
  private deaths = 0;

  constructor(
    private readonly settings: RestartSettings,
    private readonly random: () => number,
  ) {}

  /**
   * The wait before the next start, ms: between half and all of min(baseMs × 2^n, maxMs).
   * @param readyForMs how long the process had been ready when it ended; 0 when it never was.
   */
  next(readyForMs: number): number {
    const { baseMs, maxMs } = this.settings;
    if (readyForMs >= HEALTHY_RUN_MS) this.deaths = 0;
    this.deaths += 1;
    return halfJitterMs(exponentialMs(this.deaths, baseMs, maxMs), this.random);
  }
}
