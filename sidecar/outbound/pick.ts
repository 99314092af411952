import type { Endpoint } from '../cluster/endpoint.js';
import { pick, pickAgain } from '../cluster/picking.js';
import type { OutboundCall } from './call.js';

/** The endpoint for the next attempt of a call: one it has not tried, where there is any; undefined: there is none. */
export function pickEndpoint(call: OutboundCall, nowMs: number): Endpoint | undefined {
  const { cluster, kind, routeDecision } = call;
  const tried = call.tried as Endpoint[];
  if (call.attemptsHere === 0) return pick(cluster, tried, nowMs, routeDecision?.key, kind);
  return pickAgain(cluster, tried, nowMs, routeDecision?.key, kind);
}
