/** Endpoints and queue as people see them: states in words, with the reason. */

import type { EndpointReport, QueueReport } from '../admin/view.js';
import { EjectionState } from '../core/ejection.js';
import { Outcome } from '../core/outcome.js';
import type { InboundQueue, QueueEntry } from '../core/queue.js';
import type { Endpoint } from './endpoint.js';
import type { Upstream } from './upstream.js';

export function reportOf(upstream: Upstream, endpoint: Endpoint, nowMs: number): EndpointReport {
  const { ejection, pool } = endpoint;
  const base = {
    upstream: upstream.name,
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
    return { ...base, state, why: pool.problem, sinceMs: nowMs - endpoint.availableSinceMs };
  }
  if (ejection.state === EjectionState.admitted) {
    const sinceMs = nowMs - Math.max(endpoint.availableSinceMs, ejection.sinceMs);
    return { ...base, state: 'eligible', why: '', sinceMs };
  }
  const sinceMs = nowMs - ejection.sinceMs;
  const why = `faults in a row, last: ${endpoint.lastFault}`;
  if (ejection.state === EjectionState.probing) return { ...base, state: 'probing', why, sinceMs };
  return { ...base, state: 'ejected', why, sinceMs, untilMs: Math.max(0, ejection.untilMs - nowMs) };
}

export function queueReport(queue: InboundQueue<QueueEntry>): QueueReport {
  return {
    running: queue.running,
    waiting: queue.waiting,
    waitingBytes: queue.waitingBytes,
    concurrency: queue.concurrency,
  };
}
