/**
 * Backoff of a retry with full jitter (gRFC A6), ms: uniform below min(baseMs × 2^(retry − 1), maxMs).
 * @param retry 1 for the first retry.
 */
export function fullJitterMs(retry: number, baseMs: number, maxMs: number, random: () => number): number {
  return Math.min(baseMs * 2 ** (retry - 1), maxMs) * random();
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
    const fullMs = Math.min(baseMs * 2 ** Math.min(this.deaths, 52), maxMs);
    this.deaths += 1;
    return fullMs * (0.5 + 0.5 * this.random());
  }
}
