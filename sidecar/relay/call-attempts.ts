/** The attempts of a call: one at a time, or two for a while where the first is hedged. */

import { AttemptEnd } from '../core/outcome/outcome.js';
import { MAX_RECORDED } from '../telemetry/call-record.js';
import type { Attempt } from './attempt.js';
import { type Call, NEVER } from './call.js';
import { CallEvent, step } from './call-phase.js';
import { armTimer } from './call-timer.js';

/**
 * Starts an attempt; none runs now. `attemptDueMs`: when its timeout is due. `onResume` comes at `resumeMs`, if the attempt
 * still runs then.
 */
export function beginAttempt(call: Call, attempt: Attempt, attemptDueMs: number, resumeMs = NEVER): void {
  step(call, CallEvent.attempt);
  if (call.attempt?.mayBeProcessed) call.wasProcessed = true;
  call.attempt = attempt;
  call.attempts++;
  call.attemptDueMs = attemptDueMs;
  call.resumeMs = resumeMs;
  call.lastRequestMs = call.context.nowMs;
  call.isInactive = false;
  if (call.context.recorder !== null) remember(call, attempt);
  armTimer(call);
  attempt.start();
}

/** Starts a second attempt beside the one that runs. */
export function beginHedge(call: Call, attempt: Attempt, dueMs: number): void {
  step(call, CallEvent.hedge);
  call.hedge = { attempt, dueMs };
  attempt.isHedge = true;
  call.attempts++;
  if (call.context.recorder !== null) remember(call, attempt);
  armTimer(call);
  attempt.start();
}

/** One of two attempts has failed: the call continues with the other. False: there is no other. */
export function dropAttempt(call: Call, failed: Attempt): boolean {
  const { hedge } = call;
  if (hedge === null) return false;
  call.hedge = null;
  if (failed.mayBeProcessed) call.wasProcessed = true;
  if (failed !== call.attempt) return true;
  call.attempt = hedge.attempt;
  call.attemptDueMs = hedge.dueMs;
  armTimer(call);
  return true;
}

/** One of two attempts answers, with success or not: the other one is stopped. */
export function settleOn(call: Call, winner: Attempt): void {
  const { hedge } = call;
  if (hedge === null) return;
  const loser = hedge.attempt === winner ? call.attempt! : hedge.attempt;
  dropAttempt(call, loser);
  abortAttempt(call, loser, AttemptEnd.superseded);
}

/** Stops every attempt that runs. */
export function stopAttempts(call: Call, ended: AttemptEnd): void {
  if (call.attempt !== null) abortAttempt(call, call.attempt, ended);
  if (call.hedge !== null) abortAttempt(call, call.hedge.attempt, ended);
}

/** The one way to stop an attempt, so that the handler hears of the end of each that it began. */
function abortAttempt(call: Call, attempt: Attempt, ended: AttemptEnd): void {
  if (attempt.isOver) return;
  step(call, CallEvent.end);
  attempt.abort(ended);
  if (call.context.recorder !== null) attempt.endedMs = call.context.nowMs;
  call.handler.onStopped?.(call, attempt);
}

/** Adds an attempt to the list that the recorder reads. */
function remember(call: Call, attempt: Attempt): void {
  const { lastAttempt } = call;
  attempt.previous = lastAttempt;
  call.lastAttempt = attempt;
  // The list is for what attempts say of themselves, not for their responses.
  if (lastAttempt?.isOver) lastAttempt.takeBufferedResponse();
  if (call.attempts > MAX_RECORDED) forgetBefore(attempt);
}

/** A stream that goes on and on would keep all that it had. */
function forgetBefore(last: Attempt): void {
  let kept: Attempt | null = last;
  for (let count = 1; count < MAX_RECORDED && kept !== null; count++) kept = kept.previous;
  if (kept !== null) kept.previous = null;
}
