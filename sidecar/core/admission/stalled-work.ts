/**
 * How long nothing has come of a message that has begun, before that counts as stalled, ms. TCP sends a lost segment again several
 * times within it, and an upload of a few KB/s sends something every second.
 */
export const STALLED_MS = 5_000;
/** The same where there is no memory left: other calls, which wait for their endpoint, would be lost instead. */
export const STALLED_EXHAUSTED_MS = 1_000;

/** A call that waits for the rest of a message of its caller. */
export interface StalledCall {
  /** When anything of it last moved, monotonic ms. */
  readonly sinceMs: number;
  /** Memory that it holds. */
  readonly bytes: number;
}

/** @param sinceMs when anything last moved; Infinity: something moves, or is not the peer's to move. */
export function hasStalled(sinceMs: number, nowMs: number, stalledMs = STALLED_MS): boolean {
  return nowMs - sinceMs >= stalledMs;
}

/** Which of the calls are to end so that `bytes` become free: those that stalled first, and no more than that takes. */
export function callsToEnd<E extends StalledCall>(
  calls: readonly E[],
  bytes: number,
  nowMs: number,
  isExhausted: boolean,
): E[] {
  const stalledMs = isExhausted ? STALLED_EXHAUSTED_MS : STALLED_MS;
  const stalled = calls.filter(({ sinceMs }) => hasStalled(sinceMs, nowMs, stalledMs));
  stalled.sort((a, b) => a.sinceMs - b.sinceMs);
  let n = 0;
  for (let freed = 0; n < stalled.length && freed < bytes; n++) freed += stalled[n]!.bytes;
  return stalled.slice(0, n);
}

/** A connection, and since when no call of it has moved; Infinity: one moves, or waits for its endpoint. */
export interface QuietConnection {
  readonly quietSinceMs: number;
}

/** Which connections may be closed for new ones, the first to be closed first, `most` of them. */
export function connectionsToClose<E extends QuietConnection>(
  connections: Iterable<E>,
  most: number,
  nowMs: number,
): E[] {
  const quiet: E[] = [];
  for (const each of connections) if (hasStalled(each.quietSinceMs, nowMs)) quiet.push(each);
  return quiet.sort((a, b) => a.quietSinceMs - b.quietSinceMs).slice(0, most);
}
