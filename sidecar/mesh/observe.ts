/** What is learnt from the end of an attempt. */

import { Evidence } from '../core/ejection.js';
import type { PeakEwma } from '../core/ewma.js';
import {
  classify,
  Ended,
  Outcome,
  type OutcomeTable,
  restsOnElapsedTime,
  USUAL_OUTCOMES,
} from '../core/outcome.js';
import { Reasons } from '../core/reason.js';
import { Status } from '../core/status.js';
import type { Attempt } from '../relay/attempt.js';
import { metadataValue } from '../relay/forward.js';
import type { Relay } from '../relay/relay.js';
import type { OutboundAttempt, OutboundCall } from './outbound-call.js';

/** The one classification of the attempt's end, and everyone who learns from it. Once only: neutral after that. */
export function observe(call: OutboundCall, attempt: OutboundAttempt, relay: Relay): Outcome {
  if (attempt.outcome >= 0) return Outcome.neutral;
  if (attempt.number > 0) call.giveExtra();
  const now = relay.nowMs;
  const { endpoint } = attempt;
  const elapsed = now - attempt.startMs;
  endpoint.inFlight--;
  const outcome = classify(
    attempt.ended as Ended,
    attempt.status,
    elapsed,
    call.deadlineMs - attempt.startMs,
    endpoint.usualMs,
    outcomesFor(call, attempt),
  );
  attempt.outcome = outcome;
  endpoint.outcomes[outcome]!++;
  if (attempt.number > 0) call.upstream.budget.learn(outcome, now);
  // What is known only from time that passed proves nothing when we stood still meanwhile.
  const doubtful =
    outcome !== Outcome.success &&
    restsOnElapsedTime(attempt.ended as Ended, attempt.status) &&
    relay.hasStalled();
  if (!doubtful) learn(endpoint.latency, outcome, elapsed, endpoint.usualMs, now, call.plan.holdsResponse);
  if (!doubtful && outcome === Outcome.fault) endpoint.lastFault = describe(attempt);
  const evidence = doubtful ? Evidence.doubtful : Evidence.sound;
  const { ejection, ejections } = endpoint;
  const verdict =
    outcome === Outcome.fault && saysDown(call, attempt)
      ? ejections.recordDown(ejection, attempt.startMs, now, attempt.probe)
      : ejections.record(ejection, outcome, attempt.startMs, now, attempt.probe, evidence);
  if (verdict !== 0) call.upstream.refreshAfter(verdict, endpoint);
  const { scrutiny } = call.upstream;
  if (scrutiny !== null) {
    scrutiny.onEnd(now);
    if (outcome === Outcome.success && call.plan.holdsResponse) {
      scrutiny.onSuccess(endpoint, attempt.startMs, call, now);
      if (scrutiny.inspector !== null && attempt.status === Status.OK)
        scrutiny.inspector.offer(call, attempt, endpoint, call.match.plan.config.idempotent);
    }
  }
  return outcome;
}

/** The sidecar beside the model says that the model cannot serve. */
function saysDown(call: OutboundCall, attempt: OutboundAttempt): boolean {
  if (attempt.status !== Status.UNAVAILABLE) return false;
  return sidecarsReason(call, attempt) === Reasons.modelUnavailable.name;
}

/** Why a sidecar between us answered by itself; undefined: none did. Outside the mesh that name means nothing. */
function sidecarsReason({ plan }: OutboundCall, { trailers }: OutboundAttempt): string | undefined {
  if (trailers === null || plan.stripsResponse) return undefined;
  return metadataValue(trailers, 'outrider-reason');
}

/** @param isUnary how long it took says something about the endpoint: a stream lasts as long as it likes. */
function learn(
  latency: PeakEwma,
  outcome: Outcome,
  elapsedMs: number,
  usualMs: number,
  nowMs: number,
  isUnary: boolean,
): void {
  switch (outcome) {
    case Outcome.success:
      latency.recordAccepted(nowMs);
      if (isUnary) latency.record(elapsedMs, nowMs);
      return;
    case Outcome.neutral:
      return latency.recordAccepted(nowMs);
    case Outcome.cancelled:
      if (isUnary) latency.recordAtLeast(elapsedMs, nowMs);
      return;
    case Outcome.overload:
      return latency.recordRefusal(nowMs);
    case Outcome.fault:
      return latency.recordFault(elapsedMs, usualMs, nowMs);
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

/** The same for all attempts of a call that has been stopped; the outcome of the one that began first. */
export function observeStopped(call: OutboundCall, relay: Relay): Outcome {
  const { attempt, rival } = call;
  const outcome = attempt === null ? Outcome.neutral : observe(call, attempt as OutboundAttempt, relay);
  if (rival !== null) observe(call, rival.attempt as OutboundAttempt, relay);
  return outcome;
}

function describe(attempt: Attempt): string {
  if (attempt.ended === Ended.trailers) return `status ${attempt.status}`;
  const names = Object.entries(Ended).find(([, value]) => value === attempt.ended);
  return attempt.reason === '' ? (names?.[0] ?? '') : `${names?.[0]}: ${attempt.reason}`;
}
