import type { Endpoint } from '../cluster/endpoint.js';
import { AttemptTrait } from '../core/outcome/classify-attempt.js';
import { AttemptEnd, Outcome } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { RetryState, recordFailure } from '../core/retry/retry-state.js';
import { headerViewOf } from '../http2/header-view.js';
import { NEVER } from '../relay/call.js';
import { dropAttempt } from '../relay/call-attempts.js';
import { endpointWaitStartMs } from '../relay/call-timer.js';
import { Next } from '../relay/next.js';
import type { OutboundAttempt, OutboundCall } from './call.js';
import { UNKNOWN_DURATION } from './outcome-recorder.js';
import { pickForHedge } from './pick.js';
import { noteFailure, retryFacts } from './retry.js';

/** When a hedge of the call is due, monotonic ms; NEVER: none is. First attempts only. */
export function hedgeDueMs(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): number {
  const { hedge } = call.match.plan.config;
  if (hedge === undefined || attempt.number > 0) return NEVER;
  const methodState = call.methodState!;
  const latencies = methodState.latenciesOf(call.cluster);
  return nowMs + methodState.hedgePolicy.begin(hedge, latencies, call.deadlineMs - nowMs, nowMs);
}

/** Whether a hedge that was due is put off, as the caller took time to send its request: only the endpoint's time counts. */
export function postponeHedge(call: OutboundCall, first: OutboundAttempt, nowMs: number): boolean {
  const { hedge } = call.match.plan.config;
  const turnMs = endpointWaitStartMs(call, first);
  if (hedge === undefined || turnMs === first.startMs) return false;
  const methodState = call.methodState!;
  const latencies = methodState.latenciesOf(call.cluster);
  const delayMs = methodState.hedgePolicy.delayMs(hedge, latencies, call.deadlineMs - nowMs, nowMs);
  // A caller that sends for long is looked at less and less often.
  const dueMs = turnMs === NEVER ? nowMs + Math.max(delayMs, (nowMs - first.startMs) / 2) : turnMs + delayMs;
  if (dueMs <= nowMs) return false;
  call.resumeMs = dueMs;
  return true;
}

/** The endpoint for a hedge of a late attempt, taken from the budgets (core/retry/hedge.ts); undefined: none may be sent. */
export function takeHedge(call: OutboundCall, first: OutboundAttempt, nowMs: number): Endpoint | undefined {
  const { cluster } = call;
  const breaker = call.breaker === null ? null : call.breaker.limits;
  const { hedgePolicy } = call.methodState!;
  const tried = [...(call.tried as Endpoint[]), first.endpoint];
  const isRepeatable = call.requestEnded && call.isReplayable && !call.isCommitted;
  // Picked before it is granted: what is granted is counted, and paid for.
  const endpoint = pickForHedge(call, tried, nowMs);
  const leftMs = call.deadlineMs - nowMs;
  const isHopeless = () => !cluster.shortDeadlines.mayTry(headerViewOf(call.block).path, leftMs, nowMs);
  const facts = { isRepeatable, isOtherAvailable: endpoint !== undefined, breaker, isHopeless };
  if (!hedgePolicy.grant(facts, cluster.budget, nowMs)) return undefined;
  call.tried = tried;
  call.takeExtra();
  return endpoint;
}

/**
 * One of two hedged attempts has not succeeded. `handled`: it is dropped, and the call continues with the other;
 * `continue`: its answer is the call's. Either the service itself says it, and another attempt would not change that, or the other one is
 * over.
 */
export function deferToOtherAttempt(
  call: OutboundCall,
  attempt: OutboundAttempt,
  outcome: Outcome,
  nowMs: number,
): Next {
  const { ended, status, endpoint, traits } = attempt;
  const isOfService = ended === AttemptEnd.trailers && (traits & AttemptTrait.notOfService) === 0;
  const isOfTime = status === Status.DEADLINE_EXCEEDED || status === Status.CANCELLED;
  const isRetried = call.match.plan.config.retry?.on.includes(status) === true;
  if (outcome === Outcome.neutral && isOfService && !isOfTime && !isRetried) return Next.continue;
  call.retry ??= new RetryState();
  noteFailure(call.retry, attempt, nowMs);
  recordFailure(call.retry, retryFacts(call, attempt, nowMs));
  if (!call.tried.includes(endpoint)) call.tried = [...call.tried, endpoint];
  return dropAttempt(call, attempt) ? Next.handled : Next.continue;
}

/** A first attempt succeeded, or had its first message: its latency counts. Hedges do not, as they go where it is fast. */
export function recordSuccess(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): void {
  const { tookMs } = attempt;
  if (attempt.number === 0 && tookMs !== UNKNOWN_DURATION)
    call.methodState!.latenciesOf(call.cluster).record(tookMs, nowMs);
}

/** A first attempt was overtaken by its hedge: it would have taken at least this long. */
export function recordHedgeWin(call: OutboundCall, loser: OutboundAttempt, nowMs: number): void {
  const { hedge } = call.match.plan.config;
  if (loser.number > 0 || hedge === undefined) return;
  const methodState = call.methodState!;
  methodState.hedgePolicy.recordWin(hedge, methodState.latenciesOf(call.cluster), loser.tookMs, nowMs);
}
