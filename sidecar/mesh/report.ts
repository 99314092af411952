/** Endpoints and queue as people see them: states in words, with the reason. */

import type { EndpointReport, QueueReport } from '../admin/view.js';
import { EjectionState } from '../core/ejection.js';
import { Outcome } from '../core/outcome.js';
import { PRESSURE_NAMES } from '../core/overload.js';
import type { InboundLimits } from '../inbound-limits.js';
import type { Endpoint } from './endpoint.js';
import type { Upstream } from './upstream.js';

export function reportOf(upstream: Upstream, endpoint: Endpoint, nowMs: number): EndpointReport {
  const { ejection, pool } = endpoint;
  const base = {
    upstream: upstream.name,
    ...(upstream.cluster === '' ? {} : { cluster: upstream.cluster }),
    ...(endpoint.priority === 0 ? {} : { priority: endpoint.priority }),
    endpoint: endpoint.id,
    address: endpoint.label,
    connections: pool.connectionCount,
    inFlight: endpoint.inFlight,
    ewmaMs: endpoint.latency.peakMs,
    weight: endpoint.weight,
    attempts: endpoint.attempts,
    faults: endpoint.outcomes[Outcome.fault]!,
    consecutiveFaults: ejection.consecutiveFaults,
    ejections: ejection.ejections,
  };
  if (!pool.isConnected) {
    const state = pool.isConnecting ? 'connecting' : 'disconnected';
    const why = both(pool.problem, criticalOf(endpoint));
    return { ...base, state, why, sinceMs: nowMs - endpoint.availableSinceMs };
  }
  if (ejection.state === EjectionState.admitted && endpoint.unhealthy !== '') {
    const why = both(both(endpoint.unhealthy, endpoint.eligible ? NOBODY_ELSE : ''), criticalOf(endpoint));
    return { ...base, state: 'unhealthy', why, sinceMs: nowMs - endpoint.availableSinceMs };
  }
  if (ejection.state === EjectionState.admitted) {
    const sinceMs = nowMs - Math.max(endpoint.availableSinceMs, ejection.sinceMs);
    if (!upstream.isStandby(endpoint))
      return { ...base, state: 'eligible', why: criticalOf(endpoint), sinceMs };
    return { ...base, state: 'standby', why: criticalOf(endpoint) || OTHERS, sinceMs };
  }
  const sinceMs = nowMs - ejection.sinceMs;
  const why = both(
    both(`faults in a row, last: ${endpoint.lastFault}`, endpoint.unhealthy),
    criticalOf(endpoint),
  );
  if (ejection.state === EjectionState.probing) return { ...base, state: 'probing', why, sinceMs };
  return { ...base, state: 'ejected', why, sinceMs, untilMs: Math.max(0, ejection.untilMs - nowMs) };
}

const NOBODY_ELSE = 'calls go there, for nobody else answers';
const OTHERS = 'endpoints of a lower priority number take the traffic';

function criticalOf({ critical }: Endpoint): string {
  return critical === '' ? '' : `critical in the registry: ${critical}`;
}

function both(one: string, other: string): string {
  return other === '' ? one : `${one}; ${other}`;
}

export function queueReport(limits: InboundLimits, nowMs: number): QueueReport {
  const { queue, adaptive, priorities, rates, memory } = limits;
  const { running, waiting, waitingBytes, concurrency, expiredTotal, evictedTotal } = queue;
  const classes = priorities?.names.map((name, i) => ({ name, waiting: queue.waitingOf(i) }));
  return {
    ...{ running, waiting, waitingBytes, concurrency, expired: expiredTotal, evicted: evictedTotal },
    ...(adaptive === null ? {} : { unloadedMs: adaptive.unloadedMs }),
    ...(classes === undefined ? {} : { classes }),
    ...(rates === null ? {} : { rateLimited: rates.refused }),
    ...(memory === null ? {} : { pressure: PRESSURE_NAMES[memory.at(nowMs)] }),
  };
}
