import type { FallbackConfig } from '../../config/model.js';
import { Next } from '../../relay/next.js';
import { creditRequest } from '../../relay/request-buffer.js';
import type { FallbackState, OutboundCall } from '../call.js';
import { leaveEngineCalls } from '../engine-calls.js';
import { chainOf } from '../method-state.js';
import { cachedResponse } from './cached-response.js';
import { otherUpstream } from './other-upstream.js';
import type { FallbackStep, StepConfig } from './step.js';

/** The steps by their `kind` in the configuration. A new one is a file beside this one and a line here. */
export const FALLBACK_STEPS: { readonly [Kind in FallbackConfig['kind']]: FallbackStep<StepConfig<Kind>> } = {
  upstream: otherUpstream,
  'last-good': cachedResponse,
};

/**
 * Tries the steps of the call's route in order, each once, for as long as all of the request can be sent again. `continue`:
 * no step serves the call, which is its own upstream's again. The chain is that of the upstream the application called;
 * what that falls back to does not fall back further.
 */
export function runFallback(call: OutboundCall): Next {
  const fallback = call.fallback!;
  const chain = chainOf(fallback.match);
  returnHome(call, fallback);
  while (fallback.step < chain.length && call.isWhole) {
    const config = chain[fallback.step]!;
    fallback.step++;
    const step = FALLBACK_STEPS[config.kind] as FallbackStep;
    if (step(call, fallback, config) === Next.handled) return Next.handled;
    returnHome(call, fallback);
  }
  return Next.continue;
}

function returnHome(call: OutboundCall, fallback: FallbackState): void {
  call.degraded = '';
  if (!fallback.isAway) return;
  fallback.isAway = false;
  leaveUpstream(call);
  call.handler = fallback.home;
  call.match = fallback.match;
  call.plan = fallback.match.plan;
  call.cluster = fallback.cluster;
  call.methodState = fallback.methodState;
}

/** Forgets what the upstream that had the call decided for it, what it read of it, and its attempts there. */
export function leaveUpstream(call: OutboundCall): void {
  call.leaveBreaker();
  call.silence = null;
  // What crashed an engine goes nowhere else, and its caller is told so.
  if (call.engineCall !== null && !call.hasCrashed) {
    leaveEngineCalls(call);
    call.engineCall = null;
  }
  // Each upstream knows the request by a fingerprint of its own.
  if (call.crash !== null) call.crash.fingerprint = null;
  if (call.fallback !== null) call.fallback.attemptsBefore = call.attempts;
  call.block = call.original;
  call.routeDecision = null;
  call.retry = null;
  call.tried = [];
}

/** More of the request is here, or all of it: a step that waited for it is asked again. */
export function onFallbackRequest(call: OutboundCall, fallback: FallbackState): void {
  if (!fallback.isWaiting) return;
  if (!call.requestEnded && call.isReplayable) return creditRequest(call, call.requestBytes);
  fallback.isWaiting = false;
  fallback.home.nextStep(call);
}

/** The call is over with this gRPC status. */
export function onFallbackFinish(call: OutboundCall, fallback: FallbackState, status: number): void {
  const { methodState, route, from, why } = fallback;
  if (!fallback.isRecorded) methodState.primaryBreaker.undecided(route);
  if (call.degraded !== '' && status === 0) methodState.recordDegraded(from, why);
}
