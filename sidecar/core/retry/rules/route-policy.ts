import { AttemptEnd } from '../../outcome/outcome.js';
import { fullJitterMs } from '../backoff.js';
import type { RetryQuestion } from '../retry-state.js';
import {
  isHopeless,
  isOverBreaker,
  isWornOut,
  LONGEST_PUSHBACK_MS,
  NO_PUSHBACK,
  NoRetry,
} from '../retry-state.js';

/**
 * A failure that may have been processed: the route has to be idempotent and to ask for retries of this status, within its
 * number of attempts and the retry budget. Waits a full-jitter backoff, or the server's pushback where no endpoint is left that
 * asked for none. Says the last word: never `PASS`.
 */
export function routePolicy({ state, facts, route, budget, random, nowMs }: RetryQuestion): number {
  const { retry } = route;
  if (retry === undefined || !route.idempotent) return NoRetry.notRetryable;
  if (facts.ended === AttemptEnd.trailers && !retry.on.includes(facts.status)) return NoRetry.notRetryable;
  if (!facts.isRequestHeld) return NoRetry.notHeld;
  if (state.processed >= retry.attempts || isWornOut(state)) return NoRetry.exhausted;
  if (facts.isLastMove === true) return NoRetry.exhausted;
  const backoffMs = fullJitterMs(
    state.processed + state.lost,
    retry.backoff.baseMs,
    retry.backoff.maxMs,
    random,
  );
  const { pushbackMs, pauseMs = pushbackMs === NO_PUSHBACK ? 0 : pushbackMs, isOtherAvailable } = facts;
  const isBound = !isOtherAvailable && (pauseMs > 0 || pushbackMs === 0);
  const delayMs = isBound ? pauseMs : backoffMs;
  if (delayMs >= facts.timeLeftMs) return NoRetry.noTime;
  if (isBound && facts.timeLeftMs === Number.POSITIVE_INFINITY && delayMs > LONGEST_PUSHBACK_MS)
    return NoRetry.pushback;
  if (isHopeless(facts, delayMs, nowMs)) return NoRetry.noTime;
  if (isOverBreaker(facts)) return NoRetry.overBreaker;
  // Only where the attempt is about to be made: what streams deposit that end otherwise would be spent by other calls.
  const { streamMs = 0, isMoved = false } = facts;
  if (isMoved) budget.depositMoved(nowMs);
  else if (streamMs > 0) budget.depositStream(streamMs, nowMs);
  if (!budget.withdraw(nowMs)) return NoRetry.overBudget;
  return delayMs;
}
