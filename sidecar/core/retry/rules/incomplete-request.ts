import {
  isHopeless,
  isOverBreaker,
  MAX_ATTEMPTS,
  NoRetry,
  PASS,
  type RetryQuestion,
} from '../retry-state.js';

/**
 * The connection was lost before the request of a unary call had been sent whole: its message is incomplete, and no gRPC server runs a
 * unary call without its message. So another endpoint may have it on any route, within the budget, as a large request is sent twice.
 */
export function incompleteRequest({ state, facts, budget, nowMs }: RetryQuestion): number {
  if (facts.isRequestIncomplete !== true || !facts.isOtherAvailable) return PASS;
  if (!facts.isRequestHeld) return NoRetry.notHeld;
  if (state.attempts >= MAX_ATTEMPTS) return NoRetry.exhausted;
  if (!(facts.timeLeftMs > 0)) return NoRetry.noTime;
  if (isHopeless(facts, 0, nowMs)) return NoRetry.noTime;
  if (isOverBreaker(facts)) return NoRetry.overBreaker;
  if (!budget.withdraw(nowMs)) return NoRetry.overBudget;
  state.processed -= 1;
  return 0;
}
