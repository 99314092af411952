import { Next } from '../../relay/next.js';
import type { FallbackState, OutboundCall } from '../call.js';
import { markDegraded, type StepConfig } from './step.js';

/**
 * Step `upstream`: another upstream takes the call as one of its own, with its balancing, breaker and retries. A request
 * that has crashed a model goes nowhere: it may crash another. One that may have been processed goes on only where its route
 * is idempotent.
 */
export function otherUpstream(
  call: OutboundCall,
  fallback: FallbackState,
  { upstream }: StepConfig<'upstream'>,
): Next {
  if (call.hasCrashed || !mayGoOn(call, fallback)) return Next.continue;
  const target = fallback.home.find(upstream);
  if (target === undefined) return Next.continue;
  fallback.wasProcessedAtHome = call.mayBeProcessedAtHome;
  fallback.isAway = true;
  markDegraded(call, fallback, upstream);
  return target.takeOver(call);
}

/** Whether another upstream may have the call: no endpoint has worked on it, or that may be done twice by the route of its own upstream. */
export function mayGoOn(call: OutboundCall, { match }: FallbackState): boolean {
  return match.plan.config.idempotent || !call.mayBeProcessed;
}
