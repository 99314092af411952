import { isHopeless, isOverBreaker, isWornOut, NoRetry, PASS, type RetryQuestion } from '../retry-state.js';

/**
 * The trial of an endpoint that is ejected for invalid answers has brought another one. Its status is OK, and the answer is still held:
 * where the route is idempotent and has retries, another endpoint is asked at once, within its number of attempts and the budget.
 */
export function refutedTrial({ state, facts, route, budget, nowMs }: RetryQuestion): number {
  if (facts.isRefutedTrial !== true) return PASS;
  if (facts.isCommitted) return NoRetry.committed;
  const { retry, idempotent } = route;
  if (retry === undefined || !idempotent || !facts.isOtherAvailable) return NoRetry.notRetryable;
  if (!facts.isRequestHeld) return NoRetry.notHeld;
  if (state.processed >= retry.attempts || isWornOut(state)) return NoRetry.exhausted;
  if (!(facts.timeLeftMs > 0)) return NoRetry.noTime;
  if (isHopeless(facts, 0, nowMs)) return NoRetry.noTime;
  if (isOverBreaker(facts)) return NoRetry.overBreaker;
  return budget.withdraw(nowMs) ? 0 : NoRetry.overBudget;
}
