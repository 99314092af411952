/** What is learnt from the end of an attempt. */

import type { PeakEwma } from '../core/balancing/peak-ewma.js';
import { Reasons } from '../core/outcome/local-reply-reason.js';
import {
  AttemptEnd,
  classify,
  isCancelAtDeadline,
  Outcome,
  type OutcomeTable,
  restsOnElapsedTime,
  timeGivenMs,
  USUAL_OUTCOMES,
} from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { Evidence } from '../core/outlier/ejection.js';
import { metadataValue } from '../http2/header-view.js';
import type { Attempt } from '../relay/attempt.js';
import { NEVER } from '../relay/call.js';
import { endpointWaitStartMs } from '../relay/call-timer.js';
import { isTimeAsked } from '../relay/route-table.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { OutboundAttempt, OutboundCall } from './call.js';

/** Names the one of several models that an answer of a sidecar is about. */
const ONE_MODEL = 'outrider-model';

/** The one classification of the attempt's end, and everyone who learns from it. Once only: neutral after that. */
export function recordOutcome(
  call: OutboundCall,
  attempt: OutboundAttempt,
  relay: DataPlaneContext,
): Outcome {
  if (attempt.outcome >= 0) return Outcome.neutral;
  if (attempt.number > 0) call.giveExtra();
  const now = relay.nowMs;
  const { endpoint } = attempt;
  const ended = attempt.ended as AttemptEnd;
  const restsOnTime = restsOnElapsedTime(ended, attempt.status);
  endpoint.inFlight--;
  const turnedAway = turnedAwayAs(call, attempt);
  const outcome =
    turnedAway ??
    classify(
      ended,
      attempt.status,
      now - attempt.startMs,
      call.deadlineMs - attempt.startMs,
      endpoint.usualMs,
      outcomesFor(call, attempt),
      restsOnTime ? allowedMs(call, attempt, now) : 0,
    );
  attempt.outcome = outcome;
  endpoint.outcomes[outcome]!++;
  if (attempt.number > 0) call.cluster.budget.learn(outcome, now);
  // What is known only from time that passed proves nothing when we stood still meanwhile.
  const doubtful = outcome !== Outcome.success && restsOnTime && relay.hasStalled();
  const tookMs = call.plan.holdsResponse ? tookMsOf(call, attempt, now) : UNKNOWN_DURATION;
  if (!doubtful) learn(endpoint.latency, outcome, tookMs, endpoint.usualMs, now);
  if (!doubtful && outcome === Outcome.fault) endpoint.lastFault = describe(attempt);
  const evidence = doubtful ? Evidence.doubtful : evidenceOf(attempt);
  const { ejection, ejections } = endpoint;
  const verdict =
    outcome === Outcome.fault && saysDown(call, attempt)
      ? ejections.recordDown(ejection, attempt.startMs, now, attempt.probe)
      : ejections.record(ejection, outcome, attempt.startMs, now, attempt.probe, evidence);
  if (verdict !== 0) call.cluster.refreshAfter(verdict, endpoint);
  const { sweep } = call.cluster;
  if (sweep !== null) {
    sweep.onEnd(now);
    if (outcome === Outcome.success && call.plan.holdsResponse) {
      if (tookMs !== UNKNOWN_DURATION) sweep.onSuccess(endpoint, attempt.startMs, tookMs, call, now);
      if (sweep.inspector !== null && attempt.status === Status.OK)
        sweep.inspector.offer(call, attempt, endpoint, call.match.plan.config.idempotent);
    }
  }
  return outcome;
}

/** How long it took says nothing: the caller had not sent all of its request, or it is a stream, which lasts as long as it likes. */
export const UNKNOWN_DURATION = -1;

/** What the endpoint needed since it was its turn, ms: what its caller took to send the request is not its doing. */
export function tookMsOf(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): number {
  const turnMs = endpointWaitStartMs(call, attempt);
  return turnMs === NEVER ? UNKNOWN_DURATION : nowMs - turnMs;
}

function evidenceOf({ ended, stream }: OutboundAttempt): Evidence {
  if (ended === AttemptEnd.superseded) return Evidence.slow;
  return stream === null ? Evidence.doubtful : Evidence.sound;
}

function allowedMs(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): number {
  return timeGivenMs({
    isStream: !call.plan.holdsResponse,
    isCommitted: call.isCommitted,
    isDue: isAnswerDue(call, attempt, nowMs),
    turnMs: endpointWaitStartMs(call, attempt),
    deadlineMs: call.deadlineMs,
  });
}

/** Whether anyone has said when an answer was due, and it was: a stream's idle time and its longest life do not say that. */
function isAnswerDue(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): boolean {
  if (attempt.ended === AttemptEnd.attemptTimeout) return true;
  if (isCancelAtDeadline(nowMs - attempt.startMs, call.deadlineMs - attempt.startMs))
    return isTimeAsked(call.match.plan.config, call.block);
  // The service itself gave up. A sidecar between us does that for the same limits of a stream as we do.
  return attempt.ended === AttemptEnd.trailers && sidecarsReason(call, attempt) === undefined;
}

/**
 * The sidecar beside the model says that the model has not seen the call, whatever the status: a line that is too long
 * ends in DEADLINE_EXCEEDED. It has no room, or not yet, or no longer. What it says of one model of several, by its name,
 * is nothing against the endpoint, which goes on with the others. A model that cannot serve is another matter.
 */
function turnedAwayAs(call: OutboundCall, { status, trailers }: OutboundAttempt): Outcome | undefined {
  if (status <= 0 || trailers === null || call.plan.stripsResponse) return undefined;
  const isUnprocessed = metadataValue(trailers, 'outrider-unprocessed') !== undefined;
  const reason = metadataValue(trailers, 'outrider-reason');
  if (reason !== undefined && metadataValue(trailers, ONE_MODEL) !== undefined)
    return isUnprocessed ? Outcome.refusal : Outcome.neutral;
  return isUnprocessed && reason !== Reasons.modelUnavailable.name ? Outcome.overload : undefined;
}

/** The model of which the sidecar beside it says that it is not served; undefined: it does not say so. */
export function modelOut(call: OutboundCall, attempt: OutboundAttempt): string | undefined {
  if (attempt.outcome !== Outcome.refusal || attempt.trailers === null) return undefined;
  if (sidecarsReason(call, attempt) !== Reasons.modelNotReady.name) return undefined;
  return metadataValue(attempt.trailers, ONE_MODEL);
}

/** The sidecar beside the model says that the model cannot serve, or that its process has just crashed. */
function saysDown(call: OutboundCall, attempt: OutboundAttempt): boolean {
  if (attempt.status !== Status.UNAVAILABLE) return false;
  const reason = sidecarsReason(call, attempt);
  return reason === Reasons.modelUnavailable.name || reason === Reasons.modelCrashed.name;
}

/** The sidecar beside the model says that its process crashed with this call in it. */
export function saysCrashed(call: OutboundCall, attempt: OutboundAttempt): boolean {
  return attempt.status === Status.UNAVAILABLE && sidecarsReason(call, attempt) === Reasons.modelCrashed.name;
}

/** Why a sidecar between us answered by itself; undefined: none did. Outside the mesh that name means nothing. */
function sidecarsReason({ plan }: OutboundCall, { trailers }: OutboundAttempt): string | undefined {
  if (trailers === null || plan.stripsResponse) return undefined;
  return metadataValue(trailers, 'outrider-reason');
}

function learn(latency: PeakEwma, outcome: Outcome, tookMs: number, usualMs: number, nowMs: number): void {
  switch (outcome) {
    case Outcome.success:
      latency.recordAccepted(nowMs);
      if (tookMs !== UNKNOWN_DURATION) latency.record(tookMs, nowMs);
      return;
    case Outcome.neutral:
      return latency.recordAccepted(nowMs);
    case Outcome.cancelled:
      if (tookMs !== UNKNOWN_DURATION) latency.recordAtLeast(tookMs, nowMs);
      return;
    case Outcome.overload:
      return latency.recordRefusal(nowMs);
    case Outcome.fault:
      return latency.recordFault(tookMs === UNKNOWN_DURATION ? 0 : tookMs, usualMs, nowMs);
  }
}

/**
 * What the attempt's status counts as: by the route where the service itself says it, as usual where HTTP or a sidecar
 * between us does.
 */
function outcomesFor(call: OutboundCall, attempt: OutboundAttempt): OutcomeTable {
  const { outcomes } = call.match.plan;
  const { status, trailers } = attempt;
  if (outcomes === USUAL_OUTCOMES || status === Status.OK || trailers === null) return USUAL_OUTCOMES;
  return sidecarsReason(call, attempt) === undefined ? outcomes : USUAL_OUTCOMES;
}

function describe(attempt: Attempt): string {
  if (attempt.ended === AttemptEnd.trailers) return `status ${attempt.status}`;
  const names = Object.entries(AttemptEnd).find(([, value]) => value === attempt.ended);
  return attempt.reason === '' ? (names?.[0] ?? '') : `${names?.[0]}: ${attempt.reason}`;
}
