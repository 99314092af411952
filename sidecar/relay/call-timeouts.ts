import { AttemptEnd } from '../core/outcome/outcome.js';
import type { Attempt } from './attempt.js';
import { type Call, NEVER, type SilenceWatch } from './call.js';
import { stopAttempts } from './call-attempts.js';
import { CallEvent, step } from './call-phase.js';
import { armTimer, endpointWaitStartMs, idleSinceMs, quietSinceMs, waitsForReader } from './call-timer.js';

/** The timer of a call has fired: acts on the first limit that has passed, and arms it for the next. */
export function fireTimer(call: Call): void {
  const { context, handler } = call;
  const now = context.clock.now();
  context.nowMs = now;
  if (now >= call.deadlineMs) {
    stopAttempts(call, AttemptEnd.deadline);
    handler.onDeadline(call);
  } else if (now >= call.attemptDueMs) {
    call.attemptDueMs = postponedMs(call, call.attempt, now);
    if (call.attemptDueMs === NEVER) timeOut(call, call.attempt, now);
  } else if (call.hedge !== null && now >= call.hedge.dueMs) {
    timeOut(call, call.hedge.attempt, now);
  } else if (now >= call.resumeMs) {
    call.resumeMs = NEVER;
    handler.onResume(call);
  } else if (call.silence !== null && now >= call.silence.dueMs) checkSilence(call, call.silence, now);
  else checkActivity(call, now);
  if (!call.isFinished) armTimer(call);
}

/**
 * When the timeout of the attempt is due after all; NEVER: now. In a unary call, and to the first message of a stream, it
 * counts from when the endpoint has the request, which is found out only here: most calls are over before their timer fires.
 */
function postponedMs(call: Call, attempt: Attempt | null, nowMs: number): number {
  const { holdsResponse, timesFirstMessage } = call.plan;
  if (attempt === null || !(holdsResponse || timesFirstMessage)) return NEVER;
  const sinceMs = endpointWaitStartMs(call, attempt);
  const dueMs = (sinceMs === NEVER ? nowMs : sinceMs) + call.plan.attemptTimeoutMs;
  return dueMs > nowMs ? dueMs : NEVER;
}

function timeOut(call: Call, attempt: Attempt | null, nowMs: number): void {
  if (attempt === null || attempt.isOver || hasBegun(call, attempt)) return;
  step(call, CallEvent.end);
  attempt.abort(AttemptEnd.attemptTimeout);
  attempt.endedMs = nowMs;
  call.handler.onAttemptTimeout?.(call, attempt);
}

/**
 * Whether the answer has begun to flow, which is not timed: how fast it flows is up to its caller too. Headers alone are no
 * answer where the first message is timed. A message that is repeated before a stream goes on is one: to repeat many takes its time.
 */
function hasBegun({ isCommitted, plan, responseBytes, resumable }: Call, { counter }: Attempt): boolean {
  if (resumable?.isResuming) return resumable.hasSpoken;
  return isCommitted && !(plan.timesFirstMessage && counter !== null && responseBytes === 0);
}

/**
 * Whether its caller, or its endpoint, has taken some of what waits for it since this was last asked: it reads slowly, and the
 * other side can send nothing meanwhile. The first time there is nothing to compare with.
 */
function isTaken(call: Call, nowMs: number): boolean {
  const { attempt, stream, stall } = call;
  const waitingBytes = stream.pendingBytes + (attempt?.stream?.pendingBytes ?? 0);
  const takenBytes = call.requestBytes + call.responseBytes - waitingBytes;
  if (stall === null) {
    if (waitingBytes === 0) return false;
    call.stall = { takenBytes, sinceMs: nowMs };
    return true;
  }
  if (takenBytes === stall.takenBytes) return false;
  stall.takenBytes = takenBytes;
  stall.sinceMs = nowMs;
  return true;
}

/** A message that is late is waited for once more: it may be in the socket, where our own event loop stood still. */
const GRACE_MS = 250;

/** So often it is looked at whether a language-model engine hangs, ms: no later than one that is never silent may be late. */
export const SILENCE_CHECK_MS = 750;
/** So often for a call that waits for its first token: another one shows that it waits in vain. */
const WAIT_CHECK_MS = 250;

/** Ends the attempt of a stream that has brought no message for too long, though its caller reads, and has no more to say. */
function checkSilence(call: Call, watch: SilenceWatch, nowMs: number): void {
  const { attempt, plan } = call;
  const wasLate = watch.isLate;
  watch.isLate = false;
  watch.dueMs = silenceDueMs(call, nowMs);
  if (watch.dueMs > nowMs) return;
  if (!wasLate) {
    watch.isLate = true;
    watch.dueMs = nowMs + GRACE_MS;
    return;
  }
  const silence = attempt!.silence;
  watch.dueMs = nowMs + (silence === null ? plan.messageTimeoutMs : SILENCE_CHECK_MS);
  if (silence !== null && attempt!.isHeard) silence.suspect(nowMs);
  if (call.handler.mayLeaveSilent?.(call, attempt!) !== true) return;
  step(call, CallEvent.end);
  attempt!.isSilent = true;
  attempt!.abort(AttemptEnd.attemptTimeout);
  attempt!.endedMs = nowMs;
  call.handler.onAttemptTimeout?.(call, attempt!);
}

/** When its endpoint has been silent for too long, or when that is looked at next. */
function silenceDueMs(call: Call, nowMs: number): number {
  const { attempt, plan, resumable } = call;
  const isOurs = !call.requestEnded || call.stream.pendingBytes > 0;
  if (attempt === null || attempt.isOver || isOurs || call.hedge !== null)
    return nowMs + plan.messageTimeoutMs;
  const { silence } = attempt;
  if (silence !== null && !attempt.isHeard)
    return Math.max(silence.vainMs(attempt.startMs), call.lastRequestMs) <= nowMs
      ? nowMs
      : nowMs + WAIT_CHECK_MS;
  if (resumable !== null && !resumable.hasSpoken)
    return (
      Math.max(endpointWaitStartMs(call, attempt) + repeatMs(call, attempt), call.lastResponseMs) +
      plan.messageTimeoutMs
    );
  const ownMs = Math.max(call.lastResponseMs, call.lastRequestMs) + plan.messageTimeoutMs;
  // An engine has its limit in all: the message that is waited for once more comes within it.
  return silence === null || plan.endsSilent ? ownMs : Math.min(ownMs, silence.dueMs - GRACE_MS);
}

/**
 * How long an endpoint that goes on with a stream may make again, in silence, what the caller has: as long as that took
 * (decision 75). An engine reads it instead.
 */
function repeatMs({ startMs, engineCall }: Call, attempt: Attempt): number {
  return engineCall === null ? attempt.startMs - startMs : 0;
}

/** Tells the handler where no frame has come for too long, in either direction. */
function checkActivity(call: Call, nowMs: number): void {
  const { idleTimeoutMs, quietAfterMs } = call.plan;
  if (idleTimeoutMs > 0 && nowMs - idleSinceMs(call) >= idleTimeoutMs && !isTaken(call, nowMs))
    return call.handler.onIdle(call);
  if (quietAfterMs === 0 || call.isInactive) return;
  // What a caller sends that does not read is no sign that it will.
  const sinceMs = waitsForReader(call) ? Math.max(call.lastResponseMs, call.activeMs) : quietSinceMs(call);
  if (nowMs - sinceMs < quietAfterMs) return;
  call.isInactive = true;
  call.handler.onInactive?.(call);
}
