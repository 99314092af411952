import { AttemptEnd } from '../../outcome/outcome.js';
import { Status } from '../../outcome/status.js';
import { NoRetry, PASS, type RetryQuestion } from '../retry.js';

/**
 * No attempt follows an end that is the call's own: the response has begun to reach the caller, it was a success, the
 * caller went away, or the deadline passed.
 */
export function finalEnd({ facts: { ended, status, isCommitted } }: RetryQuestion): number {
  if (isCommitted) return NoRetry.committed;
  if (ended === AttemptEnd.trailers && status === Status.OK) return NoRetry.notRetryable;
  return ended === AttemptEnd.cancelled || ended === AttemptEnd.deadline ? NoRetry.notRetryable : PASS;
}
