import { MetadataKey } from '../../core/metadata-key.js';
import { AttemptTrait } from '../../core/outcome/classify-attempt.js';
import { LocalReplyReasons } from '../../core/outcome/local-reply-reason.js';
import { AttemptEnd, Outcome } from '../../core/outcome/outcome.js';
import { Status, statusName } from '../../core/outcome/status.js';
import { PrimaryRoute } from '../../core/retry/primary-breaker.js';
import { metadataValue } from '../../http2/header-view.js';
import { Next } from '../../relay/next.js';
import {
  type Failure,
  FallbackState,
  type OutboundAttempt,
  type OutboundCall,
  type UpstreamHandler,
} from '../call.js';
import { chainOf } from '../method-state.js';

/** Local replies that a fallback step may better: the call found no endpoint, or no answer of one. */
const FALLBACK_REASONS: ReadonlySet<string> = new Set(
  [
    LocalReplyReasons.noEndpoint,
    LocalReplyReasons.discoveryPending,
    LocalReplyReasons.breakerOpen,
    LocalReplyReasons.connectFailed,
    LocalReplyReasons.connectionLost,
    LocalReplyReasons.upstreamReset,
    LocalReplyReasons.attemptTimeout,
    LocalReplyReasons.firstMessageTimeout,
    LocalReplyReasons.protocolError,
  ].map(({ name }) => name),
);

/** A call arrives whose route has a fallback. `handled`: it goes to the fallback at once, as the primary keeps failing. */
export function divert(call: OutboundCall, home: UpstreamHandler): Next {
  const methodState = call.methodState!;
  const route = methodState.primaryBreaker.route(call.context.nowMs);
  if (route === PrimaryRoute.primary) return Next.continue;
  if (route === PrimaryRoute.fallback && isDeclined(call)) return Next.continue;
  call.fallback = new FallbackState(route, home, methodState, call.match, call.cluster);
  if (route === PrimaryRoute.probe) return Next.continue;
  call.fallback.why = methodState.lastWhy;
  home.nextStep(call);
  return Next.handled;
}

/**
 * A call has failed for good at its primary. `handled`: a fallback step has it. A status of the service that says nothing about the
 * endpoint is the answer, as is every failure of a call whose chain has ended or whose caller declines degraded answers.
 */
export function fallBack(
  call: OutboundCall,
  failure: Failure,
  outcome: Outcome,
  home: UpstreamHandler,
): Next {
  const methodState = call.methodState!;
  const { reply } = failure;
  const hasChain = chainOf(call.match).length > 0;
  // What only hedges keeps no count of its successes either.
  if (!hasChain && call.fallback === null) return Next.continue;
  if (isAnswer(failure, outcome) || outcome === Outcome.cancelled || !isFallbackReason(failure)) {
    if (call.fallback !== null && reply === null) recordPrimarySuccess(call);
    return Next.continue;
  }
  const why = whyOf(failure);
  if (reply?.reason !== LocalReplyReasons.breakerOpen) recordPrimaryFailure(call, why);
  if (call.fallback !== null && call.fallback.step > 0) return Next.continue;
  if (!hasChain || !call.isWhole) return Next.continue;
  if (isDeclined(call)) {
    methodState.declined++;
    return Next.continue;
  }
  call.fallback ??= new FallbackState(PrimaryRoute.primary, home, methodState, call.match, call.cluster);
  call.fallback.failure = failure;
  call.fallback.why = why;
  home.nextStep(call);
  return Next.handled;
}

/**
 * The primary answered well: its breaker counts a success, and the response is kept where a step may need it. One that is as invalid as
 * those for which its endpoint is ejected is not.
 */
export function recordPrimaryResponse(call: OutboundCall, attempt: OutboundAttempt): void {
  const { responseCache } = call.methodState!.route;
  recordPrimarySuccess(call);
  const isKept = attempt.status === Status.OK && !attempt.isRefutedTrial && call.requestEnded && call.isWhole;
  if (responseCache !== null && isKept) responseCache.store(call, attempt, call.context.nowMs);
}

/** The primary answers with a stream, which may last: its begin is the success. */
export function recordPrimaryStream(call: OutboundCall): void {
  if (call.fallback === null || !(call.fallback.isAway || call.fallback.isRecorded))
    recordPrimarySuccess(call);
}

/** The deadline has passed, and no fallback can help: the primary's breaker counts a failure where its endpoint was at fault. */
export function recordPrimaryDeadline(call: OutboundCall): void {
  const { attempt, methodState } = call;
  if (attempt === null || methodState === null || chainOf(call.match).length === 0) return;
  if (attempt.ended !== AttemptEnd.deadline || attempt.outcome !== Outcome.fault) return;
  recordPrimaryFailure(call, LocalReplyReasons.deadlineExceeded.name);
}

function recordPrimarySuccess(call: OutboundCall): void {
  const { fallback, startMs, context } = call;
  if (fallback !== null) fallback.isRecorded = true;
  call.methodState!.primaryBreaker.succeeded(routeOf(fallback), startMs, context.nowMs);
}

function recordPrimaryFailure(call: OutboundCall, why: string): void {
  const { fallback, startMs, context } = call;
  const methodState = call.methodState!;
  if (fallback !== null) fallback.isRecorded = true;
  methodState.lastWhy = why;
  methodState.primaryBreaker.failed(routeOf(fallback), startMs, context.nowMs);
}

function routeOf(fallback: FallbackState | null): PrimaryRoute {
  return fallback === null ? PrimaryRoute.primary : fallback.route;
}

/** The caller wants no degraded answer. */
function isDeclined(call: OutboundCall): boolean {
  return metadataValue(call.original, MetadataKey.acceptDegraded) === 'no';
}

/** The service itself says what another endpoint would not change. */
function isAnswer({ attempt }: Failure, outcome: Outcome): boolean {
  return outcome === Outcome.neutral && ((attempt?.traits ?? 0) & AttemptTrait.notOfService) === 0;
}

function isFallbackReason({ reply }: Failure): boolean {
  return reply === null || FALLBACK_REASONS.has(reply.reason.name);
}

/** In one word, for metrics and `outrider-degraded`: the name of the local reply, or the status of the endpoint's answer. */
function whyOf({ reply, attempt }: Failure): string {
  if (reply !== null) return reply.reason.name;
  return statusName(attempt!.status).toLowerCase().replaceAll('_', '-');
}
