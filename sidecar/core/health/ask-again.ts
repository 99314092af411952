import { Status } from '../outcome/status.js';

/** Wait before the first new question after one without an answer, and the longest, ms. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;
/** Part of a wait that is left to chance, so that callers do not ask at the same time. */
const JITTER = 0.2;

/**
 * How long an endpoint that gave no answer is not asked again, ms: twice as long each time, and at once the longest where it does not
 * know the question or refuses it, as another make of server does.
 * @param failures questions in a row without an answer, before this one.
 * @param status of gRPC, of the last one; −1: none came.
 */
export function askAgainMs(failures: number, status: number): number {
  const isRefused = status === Status.UNIMPLEMENTED || status === Status.PERMISSION_DENIED;
  return isRefused ? MAX_RETRY_MS : Math.min(RETRY_MS * 2 ** failures, MAX_RETRY_MS);
}

/** A wait, longer by up to a fifth. */
export function spread(waitMs: number, random: () => number): number {
  return waitMs * (1 + JITTER * random());
}
