import { onEjectionEvent } from '../cluster/ejection-events.js';
import { readTrailers } from '../cluster/load-reports.js';
import type { OutlierSweep, RunTime } from '../cluster/outlier-sweep.js';
import { CallKind } from '../core/balancing/balancer.js';
import type { PeakEwma } from '../core/balancing/peak-ewma.js';
import { AttemptTrait, classifyAttempt, outcomeIn } from '../core/outcome/classify-attempt.js';
import {
  AttemptEnd,
  isCancelAtDeadline,
  isDeadlineReset,
  mayBeOfRequest,
  Outcome,
} from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { Detector } from '../core/outlier/detectors.js';
import { EjectionEvent, Evidence, NO_PROBE } from '../core/outlier/ejection.js';
import { NO_TRIAL } from '../core/stats/engine-silence.js';
import { headerViewOf } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { Attempt } from '../relay/attempt.js';
import { NEVER } from '../relay/call.js';
import { type QueueTime, readQueueTime } from '../relay/queue-time-field.js';
import type { DataPlaneContext } from '../transport/context.js';
import { factsOf } from './attempt-facts.js';
import type { OutboundAttempt, OutboundCall } from './call.js';
import { messagesBy } from './retry.js';
import { isIncomplete } from './sequence-home.js';

/**
 * Classifies the end of an attempt, once, and tells everything that learns from it: counters, the retry budget, latency,
 * ejection and the outlier sweep. The class stays in `attempt.outcome` and `attempt.traits`. A second visit gives `neutral`.
 */
export function recordOutcome(
  call: OutboundCall,
  attempt: OutboundAttempt,
  context: DataPlaneContext,
): Outcome {
  if (attempt.outcome >= 0) return Outcome.neutral;
  if (attempt.number > 0) call.giveExtra();
  const now = context.nowMs;
  const { endpoint } = attempt;
  endpoint.inFlight--;
  if (attempt.trial !== NO_TRIAL) attempt.silence!.endTrial(attempt.trial, attempt.startMs, now);
  const isUnanswered = attempt.isUnanswered && answer(attempt);
  const { trailers } = attempt;
  if (trailers !== null && trailers.extras.length > 0)
    readTrailers(call.cluster, endpoint, trailers.extras, now);
  const facts = factsOf(call, attempt, context);
  // The time a caller takes to send its request is not the endpoint's.
  attempt.tookMs = facts.turnMs === NEVER ? UNKNOWN_DURATION : now - facts.turnMs;
  attempt.traits = classifyAttempt(facts);
  attempt.isRefused = facts.isUnprocessed || isIncomplete(call, attempt);
  const outcome = outcomeIn(attempt.traits);
  attempt.outcome = outcome;
  endpoint.outcomes[outcome]!++;
  if (outcome === Outcome.success) endpoint.unansweredInRow = 0;
  if (
    attempt.number > 0 &&
    !isOverRate(attempt) &&
    (outcome === Outcome.success || messagesBy(call, attempt) === 0)
  )
    call.cluster.budget.recordOutcome(outcome, now);
  const tookMs = call.kind === CallKind.unary ? attempt.tookMs : UNKNOWN_DURATION;
  recordTime(call, attempt, tookMs, now);
  if (outcome === Outcome.success && tookMs !== UNKNOWN_DURATION) recordRun(call, attempt, now);
  if ((attempt.traits & AttemptTrait.doubtful) === 0) {
    recordLatency(endpoint.latency, attempt, tookMs, endpoint.usualMs, now);
    if (call.kind === CallKind.stream || endpoint.firstMessage !== null)
      recordForStreams(attempt, isUnanswered, now);
    if (outcome === Outcome.fault) endpoint.lastFault = describeEnd(attempt);
  }
  const event = recordForEjection(call, attempt, trialOutcome(call, attempt, outcome), now);
  if (event !== EjectionEvent.nothing) onEjectionEvent(call.cluster, event, endpoint);
  const { sweep } = call.cluster;
  if (sweep !== null) recordForSweep(sweep, call, attempt, tookMs, now);
  return outcome;
}

/** Its caller is over its rate, which says nothing of the endpoint, nor of what other extra attempts would bring. */
function isOverRate({ traits }: OutboundAttempt): boolean {
  return (traits & AttemptTrait.overRate) !== 0;
}

/** Whether calls are answered in the time that their deadlines leave to extra attempts. */
function recordTime(call: OutboundCall, attempt: OutboundAttempt, tookMs: number, nowMs: number): void {
  const { shortDeadlines } = call.cluster;
  const { startMs, number, outcome } = attempt;
  if (outcome === Outcome.success) {
    if (!shortDeadlines.isIdle && tookMs !== UNKNOWN_DURATION)
      shortDeadlines.recordAnswer(headerViewOf(call.block).path, tookMs);
  } else if (number > 0 && call.kind === CallKind.unary && endsByDeadline(call, attempt, nowMs))
    shortDeadlines.recordLate(headerViewOf(call.block).path, call.deadlineMs - startMs, nowMs);
}

/** Whether the attempt ended by the deadline of its call, or was refused as it would have. */
function endsByDeadline({ deadlineMs }: OutboundCall, attempt: OutboundAttempt, nowMs: number): boolean {
  const { startMs, status } = attempt;
  const ended = attempt.ended as AttemptEnd;
  if (ended === AttemptEnd.deadline || isDeadlineReset(ended, status, deadlineMs - nowMs)) return true;
  if (ended === AttemptEnd.cancelled) return isCancelAtDeadline(nowMs - startMs, deadlineMs - startMs);
  return ended === AttemptEnd.trailers && status === Status.DEADLINE_EXCEEDED;
}

/** The time an attempt took, where it says nothing: the request was not all there, so the endpoint waited for the caller. */
export const UNKNOWN_DURATION = -1;

/**
 * The first message of a stream has come: the time to it counts as the latency of a unary call does, among streams. Of a
 * caller that has more to say it is the time since it last said something: the endpoint may have needed longer, but not less.
 */
export function recordFirstMessage(
  call: OutboundCall,
  attempt: OutboundAttempt,
  { nowMs }: DataPlaneContext,
): void {
  const { endpoint, startMs } = attempt;
  // One whose answers have a single message is judged by its end.
  if (call.kind === CallKind.unary) return;
  if (attempt.isUnanswered) answer(attempt);
  attempt.tookMs = nowMs - Math.max(startMs, call.lastRequestMs);
  endpoint.unansweredInRow = 0;
  recordRun(call, attempt, nowMs);
  endpoint.latencyOf(CallKind.stream).record(attempt.tookMs, nowMs, balancedMs(attempt, nowMs));
  call.cluster.sweep?.onSuccess(endpoint, startMs, attempt.tookMs, ran, call, nowMs);
}

/** Shared: it holds until the next attempt. */
const queueTime: QueueTime = { leastMs: 0, mostMs: 0 };
/** Shared likewise: of the attempt that `recordRun` was last told of. A field of each attempt would be an object of its own each. */
const ran: RunTime = { leastMs: 0, mostMs: 0 };

/**
 * Notes in `ran` for how long an attempt that was answered ran: its time without the wait in a queue there, as the sidecar there says. Where none says it, without
 * the wait that our own calls before it explain.
 */
function recordRun({ plan, kind }: OutboundCall, attempt: OutboundAttempt, nowMs: number): void {
  const { session, endpoint, tookMs, head, trailers } = attempt;
  ran.leastMs = tookMs;
  ran.mostMs = tookMs;
  if (session === null) return;
  // Metadata of an endpoint outside the mesh is not believed.
  if (!plan.stripsResponse && (saysQueueTime(trailers) || saysQueueTime(head))) {
    session.tellsQueueTime = true;
    ran.leastMs = Math.max(0, tookMs - queueTime.mostMs);
    ran.mostMs = Math.max(0, tookMs - queueTime.leastMs);
    return;
  }
  if (session.tellsQueueTime) return;
  const wait = endpoint.serialWaits[kind];
  wait.record(nowMs - tookMs, nowMs);
  ran.leastMs = tookMs - wait.mostMs;
  ran.mostMs = tookMs - wait.leastMs;
}

function saysQueueTime(block: HeaderBlock | null): boolean {
  return block !== null && block.extras.length > 0 && readQueueTime(block.extras, queueTime);
}

/** Its time as the balancer takes it, ms: where the endpoint reports its load, calls that wait there are counted, and not timed as well. */
function balancedMs({ session, endpoint, tookMs }: OutboundAttempt, nowMs: number): number {
  const isCounted = session?.tellsQueueTime === true && endpoint.reported?.counts(nowMs) === true;
  return isCounted ? ran.mostMs : tookMs;
}

/** It waits for its first message no more. Returns true. */
function answer(attempt: OutboundAttempt): true {
  attempt.isUnanswered = false;
  attempt.endpoint.unanswered--;
  return true;
}

/**
 * How any attempt ended says something of its endpoint to streams. That one waited for its first message counts where that was
 * due, or a hedge was faster.
 */
function recordForStreams(attempt: OutboundAttempt, isUnanswered: boolean, nowMs: number): void {
  const { endpoint, ended } = attempt;
  const outcome = attempt.outcome as Outcome;
  const isJudged = outcome === Outcome.fault || ended === AttemptEnd.superseded;
  const tookMs = isUnanswered && isJudged ? attempt.tookMs : UNKNOWN_DURATION;
  const usualMs = endpoint.usualMsOf(CallKind.stream);
  recordLatency(endpoint.latencyOf(CallKind.stream), attempt, tookMs, usualMs, nowMs);
}

/** A trial of an endpoint that is out for invalid answers has failed with another one of these, whatever its status. */
function trialOutcome(call: OutboundCall, attempt: OutboundAttempt, outcome: Outcome): Outcome {
  const { endpoint, probe } = attempt;
  if (probe === NO_PROBE || outcome !== Outcome.success) return outcome;
  const inspector = call.cluster.sweep?.inspector ?? null;
  if (inspector === null || endpoint.ejection.detector !== Detector.invalidOutput) return outcome;
  attempt.isRefutedTrial = inspector.isSuspicious(call, attempt, endpoint);
  return attempt.isRefutedTrial ? Outcome.fault : outcome;
}

/** What the front of an engine answers by itself counts neither way: polls of it would make up for answers that fail, or thin out their share. */
function recordForEjection(
  call: OutboundCall,
  attempt: OutboundAttempt,
  outcome: Outcome,
  nowMs: number,
): EjectionEvent {
  const { endpoint, startMs, probe, traits } = attempt;
  const { ejection, ejections } = endpoint;
  if ((traits & AttemptTrait.modelDown) !== 0) return ejections.recordDown(ejection, startMs, nowMs, probe);
  if (probe === NO_PROBE && call.isOfFront) return EjectionEvent.nothing;
  return ejections.record(ejection, outcome, startMs, nowMs, probe, evidenceOf(attempt));
}

/** An attempt that never had a stream proves as little as one that ended while the event loop stood still. */
function evidenceOf({ ended, status, stream, traits }: OutboundAttempt): Evidence {
  if ((traits & AttemptTrait.doubtful) !== 0) return Evidence.doubtful;
  if (ended === AttemptEnd.superseded) return Evidence.slow;
  if (stream === null) return Evidence.doubtful;
  if ((traits & AttemptTrait.closed) !== 0) return Evidence.closed;
  return mayBeOfRequest(ended as AttemptEnd, status) ? Evidence.answered : Evidence.sound;
}

function recordForSweep(
  sweep: OutlierSweep,
  call: OutboundCall,
  attempt: OutboundAttempt,
  tookMs: number,
  nowMs: number,
): void {
  sweep.onEnd(nowMs);
  if ((attempt.traits & AttemptTrait.modelLost) !== 0)
    sweep.onLostAtModel(attempt.endpoint, attempt.startMs, nowMs);
  if (attempt.outcome !== Outcome.success || call.kind !== CallKind.unary) return;
  const { endpoint, startMs } = attempt;
  if (tookMs !== UNKNOWN_DURATION) sweep.onSuccess(endpoint, startMs, tookMs, ran, call, nowMs);
  const { inspector } = sweep;
  if (inspector === null || attempt.status !== Status.OK) return;
  // A method that is known by its answers only: nothing of it is held, and nothing says what is in them.
  if (!call.plan.holdsResponse) inspector.passUnread(call);
  else inspector.offer(call, attempt, endpoint, call.match.plan.config.idempotent);
}

function recordLatency(
  latency: PeakEwma,
  attempt: OutboundAttempt,
  tookMs: number,
  usualMs: number,
  nowMs: number,
): void {
  switch (attempt.outcome) {
    case Outcome.success:
      latency.recordAccepted(nowMs);
      if (tookMs !== UNKNOWN_DURATION) latency.record(tookMs, nowMs, balancedMs(attempt, nowMs));
      return;
    case Outcome.neutral:
      return latency.recordAccepted(nowMs);
    case Outcome.cancelled:
      if (tookMs === UNKNOWN_DURATION) return;
      // That another endpoint has answered the same request shows more than that a caller has left.
      if (attempt.ended === AttemptEnd.superseded) latency.recordSlower(tookMs, nowMs);
      else latency.recordAtLeast(tookMs, nowMs);
      return;
    case Outcome.overload:
      return latency.recordRefusal(nowMs);
    case Outcome.refusal:
      // No fault of the endpoint, but another one may have room for the caller: the next first attempts go there.
      if (isOverRate(attempt)) latency.recordRefusal(nowMs);
      return;
    case Outcome.fault:
      return latency.recordFault(tookMs === UNKNOWN_DURATION ? 0 : tookMs, usualMs, nowMs);
  }
}

/** For logs and the admin interface: what the last fault of an endpoint was. */
function describeEnd(attempt: Attempt): string {
  if (attempt.ended === AttemptEnd.trailers) return `status ${attempt.status}`;
  const names = Object.entries(AttemptEnd).find(([, value]) => value === attempt.ended);
  return attempt.reason === '' ? (names?.[0] ?? '') : `${names?.[0]}: ${attempt.reason}`;
}
