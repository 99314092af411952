import { isNeverProcessed } from '../outcome/outcome.js';
import { NoRetry, PASS, type RetryQuestion, type RetryRule } from './retry-state.js';
import { finalEnd } from './rules/final-end.js';
import { incompleteRequest } from './rules/incomplete-request.js';
import { neverProcessed } from './rules/never-processed.js';
import { overRate } from './rules/over-rate.js';
import { refutedTrial } from './rules/refuted-trial.js';
import { routePolicy } from './rules/route-policy.js';
import { serverPushback } from './rules/server-pushback.js';
import { unprocessedRefusal } from './rules/unprocessed-refusal.js';

/** The rules in the order in which they are asked. A new one is a file in rules/ and a line here. */
export const RETRY_RULES: readonly RetryRule[] = [
  refutedTrial,
  finalEnd,
  neverProcessed,
  serverPushback,
  overRate,
  unprocessedRefusal,
  incompleteRequest,
  routePolicy,
];

/**
 * Whether another attempt follows: the wait in ms (0 = at once), or a `NoRetry` below zero. The first rule that does not
 * pass decides. Takes from the budget when it grants an attempt that needs it, so ask once, and only when the attempt
 * would be made.
 */
export function decideRetry(question: RetryQuestion): number {
  const { state, facts } = question;
  if (facts.isEngineLost === true) state.lost += 1;
  else if (!facts.isCommitted && !isNeverProcessed(facts.ended)) state.processed += 1;
  for (const rule of RETRY_RULES) {
    const wait = rule(question);
    if (wait !== PASS) return wait;
  }
  return NoRetry.notRetryable;
}
