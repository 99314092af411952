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
