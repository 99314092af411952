import { NoRetry, PASS, type RetryQuestion } from '../retry-state.js';

/** The server asked for no other attempt: a negative or malformed `grpc-retry-pushback-ms` (gRFC A6). */
export function serverPushback({ state, facts }: RetryQuestion): number {
  return state.isForbidden || !(facts.pushbackMs >= 0) ? NoRetry.pushback : PASS;
}
