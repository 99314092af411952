import { Next } from '../../relay/next.js';
import type { FallbackState, OutboundCall } from '../call.js';
import { markDegraded, type StepConfig } from './step.js';

/**
 * Step `upstream`: another upstream takes the call as one of its own, with its balancing, breaker and retries. A request
 * that has crashed a model goes nowhere: it may crash another.
 */
export function otherUpstream(
  call: OutboundCall,
  fallback: FallbackState,
  { upstream }: StepConfig<'upstream'>,
): Next {
  const target = call.hasCrashed ? undefined : fallback.home.find(upstream);
  if (target === undefined) return Next.continue;
  fallback.isAway = true;
  markDegraded(call, fallback, upstream);
  return target.takeOver(call);
}
