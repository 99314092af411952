import { isNeverProcessed } from '../../outcome/outcome.js';
import { fullJitterMs } from '../backoff.js';
import { isOverBreaker, isWornOut, NoRetry, PASS, type RetryQuestion } from '../retry-state.js';

/** Wait before a never-processed call goes back to the only endpoint there is, ms: time to make a new connection. */
const SAME_ENDPOINT_BASE_MS = 25;
const SAME_ENDPOINT_MAX_MS = 250;

/**
 * The endpoint certainly did nothing (gRFC A6, transparent retries), so that neither the route nor the budget is asked:
 * at once at every other endpoint, and once more at the only one.
 */
export function neverProcessed({ state, facts, random }: RetryQuestion): number {
  if (!isNeverProcessed(facts.ended)) return PASS;
  if (!facts.isRequestHeld) return NoRetry.notHeld;
  if (isWornOut(state)) return NoRetry.exhausted;
  if (facts.isOtherAvailable) {
    if (!(facts.timeLeftMs > 0)) return NoRetry.noTime;
    return isOverBreaker(facts) ? NoRetry.overBreaker : 0;
  }
  if (state.returns > 0) return NoRetry.exhausted;
  const delayMs = fullJitterMs(state.attempts, SAME_ENDPOINT_BASE_MS, SAME_ENDPOINT_MAX_MS, random);
  if (delayMs >= facts.timeLeftMs) return NoRetry.noTime;
  if (isOverBreaker(facts)) return NoRetry.overBreaker;
  state.returns += 1;
  return delayMs;
}
