/**
 * Of the time that a caller allows for the first message of a stream, the part that it may wait for a place. The caller's clock began before, by the
 * way here; and a model that has a tenth of the time left can hardly begin in it. So the caller hears that this replica is full while it still
 * listens, instead of taking it for a broken one.
 */
const IN_LINE = 0.9;

/** What bounds the wait of a call for a place at its model; ms, points in time are monotonic. */
export interface CallInLine {
  /** Since when it waits. */
  readonly sinceMs: number;
  /** Longest wait of its class; 0: until its deadline. */
  readonly classMs: number;
  /** What its caller allows for the first message of a stream; Infinity: it says nothing, or the call is unary. */
  readonly firstMessageMs: number;
  /** Since when its request is complete; Infinity: more is to come, and the caller's clock stands. */
  readonly askedMs: number;
}

/**
 * When a call in line is to be looked at, monotonic ms: it has waited for as long as it may where that is not after `nowMs`, else not before then.
 * Infinity: its deadline is all that bounds it.
 */
export function waitEndMs({ sinceMs, classMs, firstMessageMs, askedMs }: CallInLine, nowMs: number): number {
  const ofClass = classMs > 0 ? sinceMs + classMs : Number.POSITIVE_INFINITY;
  const fromMs = askedMs === Number.POSITIVE_INFINITY ? nowMs : askedMs;
  return Math.min(ofClass, fromMs + firstMessageMs * IN_LINE);
}
