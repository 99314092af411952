/** No time limit. */
export const UNLIMITED_MS = Number.POSITIVE_INFINITY;

/**
 * Time limit of a call from its arrival, ms. A hop may shorten what the caller allowed, never extend it (gRFC A31).
 * @param callerMs value of `grpc-timeout`; UNLIMITED_MS when absent. NaN (malformed) counts as absent.
 * @param routeMs the route's limit; 0 = none.
 * @param grantedMs the longest deadline that callers are granted; 0 = no bound. It bounds the life of a stream whose
 *   route has no limit and whose caller names none.
 */
export function allowedMs(callerMs: number, routeMs: number, grantedMs = 0): number {
  const limitMs = grantedMs > 0 && !(routeMs > 0 && routeMs < grantedMs) ? grantedMs : routeMs;
  if (limitMs > 0 && !(callerMs < limitMs)) return limitMs;
  return callerMs >= 0 ? callerMs : UNLIMITED_MS;
}

/** Whether it is the attempt's own limit, not the call's deadline, that ends an attempt allowed `attemptTimeoutMs`. */
export function isAttemptTimeoutFirst(attemptTimeoutMs: number, leftMs: number): boolean {
  return attemptTimeoutMs > 0 && attemptTimeoutMs < leftMs;
}

/**
 * When an answer that has begun has to be complete, monotonic ms. The limit of the attempt applies to its beginning only. After that the
 * deadline of the call applies, within the limits of the route.
 * @param attemptEndMs the limit of the attempt, monotonic; the answer never has less.
 * @param callMs what was left of the call at `startMs`; NaN when its caller does not say.
 */
export function answerDeadlineMs(
  attemptEndMs: number,
  startMs: number,
  callMs: number,
  routeMs: number,
  grantedMs = 0,
): number {
  if (!(callMs >= 0)) return attemptEndMs;
  return Math.max(attemptEndMs, startMs + allowedMs(callMs, routeMs, grantedMs));
}
