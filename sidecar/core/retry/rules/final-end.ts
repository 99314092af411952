import { AttemptEnd, isDeadlineReset } from '../../outcome/outcome.js';
import { Status } from '../../outcome/status.js';
import { NoRetry, PASS, type RetryQuestion } from '../retry-state.js';

/**
 * No attempt follows an end that is the call's own: the response has begun to reach the caller, it was a success, its headers are
 * too long, the caller went away, or the deadline passed.
 */
export function finalEnd({ facts: { ended, status, isCommitted, timeLeftMs } }: RetryQuestion): number {
  if (isCommitted) return NoRetry.committed;
  if (ended === AttemptEnd.trailers && status === Status.OK) return NoRetry.notRetryable;
  if (isDeadlineReset(ended, status, timeLeftMs)) return NoRetry.noTime;
  if (ended === AttemptEnd.headersTooLong) return NoRetry.notRetryable;
  return ended === AttemptEnd.cancelled || ended === AttemptEnd.deadline ? NoRetry.notRetryable : PASS;
}
