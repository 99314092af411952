/**
 * How long a call may wait for a place at its model. The caller is to hear that this replica is full while it still listens: what ends by the caller's own
 * clock looks like a replica that hangs, and five of these in a row eject it (decision 131).
 */

/**
 * Of the time that a caller allows for the first message of a stream, what is left for the model: at least this part, as the caller's clock began before,
 * by the way here; twice what the model usually needs, where that is known; and at most that part, so that slow runs do not end all waiting.
 */
const LEAST_LEFT = 0.1;
const USUAL_TIMES = 2;
const MOST_LEFT = 0.5;

/** So long before the deadline of a call in the queue it is answered: a hundredth of its time, 10 ms at least, and a tenth at most. */
const ANSWER_PART = 0.01;
const ANSWER_MS = 10;
const MOST_ANSWER_PART = 0.1;

/** What bounds the wait of a call for a place at its model; ms, points in time are monotonic. */
export interface QueuedCall {
  /** Since when it waits. */
  readonly sinceMs: number;
  /** Longest wait of its class; 0: until its deadline. */
  readonly classMs: number;
  /** What its caller allows for the first message of a stream; Infinity: it says nothing, or only its deadline counts. */
  readonly firstMessageMs: number;
  /** Since when the caller's clock runs; Infinity: more of the request is to come, and it stands. */
  readonly askedMs: number;
  /** What the model usually needs for the first message of a stream; 0: not known. */
  readonly usualMs: number;
}

/**
 * When a call in the queue is to be looked at, monotonic ms: it has waited for as long as it may where that is not after `nowMs`, else not before then.
 * Infinity: its deadline is all that bounds it (`answerByMs`).
 */
export function waitEndMs(call: QueuedCall, nowMs: number): number {
  const { sinceMs, classMs, firstMessageMs, askedMs, usualMs } = call;
  const ofClass = classMs > 0 ? sinceMs + classMs : Number.POSITIVE_INFINITY;
  if (firstMessageMs === Number.POSITIVE_INFINITY) return ofClass;
  const fromMs = askedMs === Number.POSITIVE_INFINITY ? nowMs : askedMs;
  const leftMs = Math.max(firstMessageMs * LEAST_LEFT, usualMs * USUAL_TIMES);
  return Math.min(ofClass, fromMs + firstMessageMs - Math.min(leftMs, firstMessageMs * MOST_LEFT));
}

/** When a call with this deadline that has waited since `sinceMs` is answered, where it still waits then; monotonic ms, Infinity without a deadline. */
export function answerByMs(deadlineMs: number, sinceMs: number): number {
  if (deadlineMs === Number.POSITIVE_INFINITY) return deadlineMs;
  const allowedMs = deadlineMs - sinceMs;
  return deadlineMs - Math.min(Math.max(allowedMs * ANSWER_PART, ANSWER_MS), allowedMs * MOST_ANSWER_PART);
}
