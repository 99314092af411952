/** The pauses that endpoints asked a call for (`grpc-retry-pushback-ms`), once it has tried all of them. */
import type { Endpoint } from '../cluster/endpoint.js';
import { pauseLeftMs } from '../core/retry/retry-state.js';
import type { OutboundAttempt, OutboundCall } from './call.js';
import { candidatesOf, groupOf, hasUntried, withOthers } from './candidates.js';

/** Until one of the endpoints that can take the call has had its pause, or the one that it was at; 0: it need not wait. */
export function pauseMsOf(call: OutboundCall, { endpoint }: OutboundAttempt, nowMs: number): number {
  const { retry } = call;
  if (retry === null || retry.pauses === null) return 0;
  const { priorities } = call.cluster;
  const mayFailOver = priorities.hasFailover && groupOf(call) === undefined;
  if (mayFailOver && priorities.failover(withOthers(call, pausing(call, nowMs))) !== undefined) return 0;
  let leastMs = Number.POSITIVE_INFINITY;
  for (const each of candidatesOf(call)) leastMs = Math.min(leastMs, pauseLeftMs(retry, each, nowMs));
  return leastMs === Number.POSITIVE_INFINITY ? pauseLeftMs(retry, endpoint, nowMs) : leastMs;
}

/** The endpoints that the next attempt avoids: those that the call has tried, or once it has tried all, those that asked for a pause. */
export function avoidedBy(call: OutboundCall, nowMs: number): readonly Endpoint[] {
  const tried = call.tried as Endpoint[];
  if (call.retry === null || call.retry.pauses === null) return tried;
  return hasUntried(call) ? tried : pausing(call, nowMs);
}

function pausing({ tried, retry }: OutboundCall, nowMs: number): readonly Endpoint[] {
  return (tried as Endpoint[]).filter((endpoint) => pauseLeftMs(retry!, endpoint, nowMs) > 0);
}
