import { AttemptEnd } from '../../outcome/outcome.js';
import { isHopeless, isOverBreaker, isWornOut, NoRetry, PASS, type RetryQuestion } from '../retry-state.js';

/**
 * The sidecar at the endpoint is full or not ready and says that the model did nothing: another endpoint gets the call, on any route. Where one
 * reports that it has room, that costs nobody anything, and needs no budget: a call is not lost beside an idle endpoint. Otherwise once per call,
 * within the budget. The pushback of the refusal binds the endpoint that sent it, not the others. A caller over its rate has a rule of its own.
 */
export function unprocessedRefusal({ state, facts, budget, nowMs }: RetryQuestion): number {
  const { ended, isMarkedUnprocessed, isOtherAvailable, isOtherFree = false } = facts;
  const isRefusal = ended === AttemptEnd.trailers || ended === AttemptEnd.attemptTimeout;
  if (!isMarkedUnprocessed || facts.isOverRate === true || !isRefusal || !isOtherAvailable) return PASS;
  if (state.refusals > 0 && !isOtherFree) return PASS;
  if (!facts.isRequestHeld) return NoRetry.notHeld;
  if (isWornOut(state)) return NoRetry.exhausted;
  if (!(facts.timeLeftMs > 0)) return NoRetry.noTime;
  if (!isOtherFree && isHopeless(facts, 0, nowMs)) return NoRetry.noTime;
  if (isOverBreaker(facts)) return NoRetry.overBreaker;
  if (!isOtherFree && !budget.withdraw(nowMs)) return NoRetry.overBudget;
  state.refusals += 1;
  state.processed -= 1;
  return 0;
}
