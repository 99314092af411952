/** What a reader that has stopped gets beyond its deadline, ms. */
const STALLED_MS = 1_000;
/** What a reader that goes on gets beyond its deadline, ms. */
const SLOW_MS = 10_000;
/** How long a reader without a deadline may take nothing, ms: Envoy's `stream_idle_timeout`, which limits its flush as well. */
const IDLE_MS = 300_000;

/** What limits the time that a caller may take to read a response. Times in ms. */
export interface ReadLimits {
  /** Monotonic; Infinity: none. */
  readonly deadlineMs: number;
  /** 0: the usual one. */
  readonly idleTimeoutMs: number;
}

/**
 * When a response that is complete on our side is given up, monotonic ms. Within its deadline it waits for its reader. Without
 * one it waits as long as the reader takes anything from time to time.
 * @param sinceMs when the reader last took something.
 */
export function giveUpAtMs({ deadlineMs, idleTimeoutMs }: ReadLimits, sinceMs: number): number {
  if (deadlineMs < Number.POSITIVE_INFINITY)
    return Math.min(Math.max(deadlineMs, sinceMs + STALLED_MS), deadlineMs + SLOW_MS);
  return sinceMs + (idleTimeoutMs > 0 ? idleTimeoutMs : IDLE_MS);
}
