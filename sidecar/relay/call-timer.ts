/** The one timer of a call: it stands for the earliest of its deadline, timeouts, pauses and idle limits. */

import type { Attempt } from './attempt.js';
import { type Call, NEVER } from './call.js';

/** Adds the call to the timing wheel. A call's entry may be early, as it is not moved back; it is never late. */
export function armTimer(call: Call): void {
  let due = Math.min(call.deadlineMs, call.attemptDueMs, call.resumeMs);
  if (call.hedge !== null) due = Math.min(due, call.hedge.dueMs);
  if (call.silence !== null) due = Math.min(due, call.silence.dueMs);
  const { idleTimeoutMs, quietAfterMs } = call.plan;
  if (idleTimeoutMs > 0) due = Math.min(due, idleSinceMs(call) + idleTimeoutMs);
  if (quietAfterMs > 0 && !call.isInactive) due = Math.min(due, quietSinceMs(call) + quietAfterMs);
  if (due === NEVER || (call.isScheduled && call.dueMs <= due)) return;
  call.context.wheel.add(call, due);
}

/** @param deadlineMs monotonic ms. */
export function setDeadline(call: Call, deadlineMs: number): void {
  call.deadlineMs = deadlineMs;
  armTimer(call);
}

/** Puts the next attempt off until `atMs`, monotonic ms; then `onResume` is called. */
export function resumeAt(call: Call, atMs: number): void {
  call.attemptDueMs = NEVER;
  call.resumeMs = atMs;
  armTimer(call);
}

/** Since when nothing has moved: no frame has come, and none of what waits has been taken. */
export function idleSinceMs(call: Call): number {
  const lastMs = lastActivityMs(call);
  return call.stall === null ? lastMs : Math.max(lastMs, call.stall.sinceMs);
}

/** When a frame last came, in either direction. */
export function lastActivityMs(call: Call): number {
  return Math.max(call.lastRequestMs, call.lastResponseMs);
}

/** Since when its silence counts: no frame has come, and `restartQuiet` has not been called. */
export function quietSinceMs(call: Call): number {
  return Math.max(lastActivityMs(call), call.activeMs);
}

/**
 * Whether the endpoint can go on only when the caller reads: it has filled the window of its response. Where it has not, it may as well be at work
 * on the request.
 */
export function waitsForReader({ attempt, stream }: Call): boolean {
  if (attempt === null || attempt.stream === null || attempt.isOver || stream.pendingBytes === 0)
    return false;
  return attempt.session!.connection.isNearlyClosed(attempt.stream);
}

/** Whether it has more of the request than it reads, and its own response is not what it waits for. */
export function waitsForEndpoint({ attempt, stream }: Call): boolean {
  return (attempt?.stream?.pendingBytes ?? 0) > 0 && stream.pendingBytes === 0;
}

/** Its silence counts from now on: the handler is told when it has lasted too long again, though no frame comes. */
export function restartQuiet(call: Call): void {
  call.isInactive = false;
  call.activeMs = call.context.nowMs;
  armTimer(call);
}

/** Something moves after a silence of which the handler has been told. */
export function markActive(call: Call): void {
  restartQuiet(call);
  call.handler.onActive?.(call);
}

/**
 * Since when the call waits for the endpoint: it has all of the request, or has not taken what there is of it. NEVER: it
 * has all that the caller has sent so far, and more is to come.
 */
export function endpointWaitStartMs(call: Call, attempt: Attempt): number {
  if (!call.requestEnded && attempt.sentBytes >= call.requestBytes) return NEVER;
  return Math.max(attempt.startMs, call.lastRequestMs);
}
