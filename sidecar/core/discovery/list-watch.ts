/** Times of a list and watch of the Kubernetes API. */

/** First wait after a failure and the longest one, ms: as client-go has them. */
const BACKOFF_BASE_MS = 800;
const BACKOFF_MAX_MS = 30_000;
/** A watch that ended sooner and told nothing has failed: else a broken server would be asked without end. */
const SHORT_WATCH_MS = 1_000;
/** How long a watch is asked for, ms. Its end costs one request; client-go asks for 5 to 10 minutes. */
const WATCH_MS = 300_000;
/** The API sends a bookmark about once a minute: a watch that is silent for so long may be of a server that hangs, ms. */
export const SILENT_WATCH_MS = 150_000;

/** Wait after the n-th failure in a row (from 1), ms: doubled each time, of which the random half is left out or not. */
export function retryDelayMs(failures: number, random: () => number): number {
  const full = Math.min(BACKOFF_BASE_MS * 2 ** Math.min(failures - 1, 16), BACKOFF_MAX_MS);
  return full * (0.5 + 0.5 * random());
}

/** `timeoutSeconds` of a watch: those of sidecars that were started together end apart. */
export function watchSeconds(random: () => number): number {
  return Math.round((WATCH_MS * (0.8 + 0.4 * random())) / 1_000);
}

/** Whether a watch that ended without an error is as good as failed. */
export function isShortWatch(openMs: number, events: number): boolean {
  return openMs < SHORT_WATCH_MS && events === 0;
}

/**
 * Whether a watch was open for so long that its cut is no failure, as by a proxy with an idle timeout. To begin the next one at once asks the
 * API no more often than the longest wait does.
 */
export function isLongWatch(openMs: number): boolean {
  return openMs >= BACKOFF_MAX_MS;
}

/** The wait that a server asks for (`Retry-After` in seconds), within bounds; undefined: it does not. */
export function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,5}$/.test(header)) return undefined;
  return Math.min(Number(header) * 1_000, BACKOFF_MAX_MS);
}
