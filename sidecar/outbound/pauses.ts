/** The pauses that endpoints asked a call for (`grpc-retry-pushback-ms`), once it has tried all of them. */
import type { Endpoint } from '../cluster/endpoint.js';
import { hasUntried } from '../cluster/picking.js';
import { canPick } from '../core/balancing/balancer.js';
import { pauseLeftMs } from '../core/retry/retry-state.js';
import type { OutboundAttempt, OutboundCall } from './call.js';
import { groupFor } from './called-model/called-model.js';

const NO_ENDPOINTS: readonly Endpoint[] = [];

/** Until one of the endpoints that can take the call has had its pause, or the one that it was at; 0: it need not wait. */
export function pauseMsOf(call: OutboundCall, { endpoint }: OutboundAttempt, nowMs: number): number {
  const { cluster, retry } = call;
  if (retry === null || retry.pauses === null) return 0;
  const { priorities } = cluster;
  if (priorities.hasFailover && priorities.failover(pausing(call, nowMs)) !== undefined) return 0;
  const group = groupOf(call);
  let leastMs = Number.POSITIVE_INFINITY;
  for (const each of cluster.active)
    if (canPick(each, NO_ENDPOINTS) && group?.has(each) !== false)
      leastMs = Math.min(leastMs, pauseLeftMs(retry, each, nowMs));
  return leastMs === Number.POSITIVE_INFINITY ? pauseLeftMs(retry, endpoint, nowMs) : leastMs;
}

/** The endpoints that the next attempt avoids: those that the call has tried, or once it has tried all, those that asked for a pause. */
export function avoidedBy(call: OutboundCall, nowMs: number): readonly Endpoint[] {
  const tried = call.tried as Endpoint[];
  if (call.retry === null || call.retry.pauses === null) return tried;
  const group = groupOf(call);
  const isLeft = group === undefined ? hasUntried(call.cluster, tried) : group.hasUntried(tried);
  return isLeft ? tried : pausing(call, nowMs);
}

function pausing({ tried, retry }: OutboundCall, nowMs: number): readonly Endpoint[] {
  return (tried as Endpoint[]).filter((endpoint) => pauseLeftMs(retry!, endpoint, nowMs) > 0);
}

/** Those that have the model which the call names; undefined: all do. */
function groupOf(call: OutboundCall) {
  return call.cluster.claims === null ? undefined : groupFor(call);
}
