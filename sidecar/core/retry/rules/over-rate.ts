import { isOverBreaker, isWornOut, NoRetry, PASS, type RetryQuestion } from '../retry-state.js';

/**
 * The caller is over its rate at the endpoint. Each endpoint counts for itself, so one other gets the call, on any route. Only once, as that one
 * may refuse it too: then at most as many calls are added as are refused. So no budget is needed, and a caller over its limit does not spend
 * what other calls need when an endpoint fails.
 */
export function overRate({ state, facts }: RetryQuestion): number {
  if (facts.isOverRate !== true || state.overRate > 0 || !facts.isOtherAvailable) return PASS;
  if (!facts.isRequestHeld) return NoRetry.notHeld;
  if (isWornOut(state)) return NoRetry.exhausted;
  if (!(facts.timeLeftMs > 0)) return NoRetry.noTime;
  if (isOverBreaker(facts)) return NoRetry.overBreaker;
  state.overRate += 1;
  state.processed -= 1;
  return 0;
}
