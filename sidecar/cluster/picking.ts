import { type CallKind, hasUntried as isAnyUntried } from '../core/balancing/balancer.js';
import type { Ejection } from '../core/outlier/ejection.js';
import type { Cluster } from './cluster.js';
import { refreshEligible } from './eligibility.js';
import type { Endpoint, EndpointEjection } from './endpoint.js';

/** Whether an endpoint may be probed by a call. */
export type MayProbe = (endpoint: Endpoint) => boolean;

/** Whether `takeProbe` would find one. */
export function isProbeDue(cluster: Cluster, nowMs: number, mayProbe?: MayProbe): boolean {
  return (cluster.priorities.onlyEjections ?? cluster.priorities).isProbeDue(nowMs, ofEjection(mayProbe));
}

function ofEjection(mayProbe: MayProbe | undefined): ((member: Ejection) => boolean) | undefined {
  return mayProbe && ((member) => mayProbe((member as EndpointEjection).endpoint));
}

/**
 * An ejected endpoint whose ejection time is over, for a call to probe; undefined: there is none. The end of that attempt
 * must be recorded with the number in `endpoint.ejection.probe`, and counts until `overMs`.
 * @param mayProbe absent: each may be probed.
 */
export function takeProbe(
  cluster: Cluster,
  nowMs: number,
  overMs: number,
  mayProbe?: MayProbe,
): Endpoint | undefined {
  const { priorities } = cluster;
  const probe = (priorities.onlyEjections ?? priorities).takeProbe(nowMs, overMs, ofEjection(mayProbe)) as
    | EndpointEjection
    | undefined;
  if (probe === undefined) return undefined;
  // The probe alone is to speak for or against the endpoint, not the latency that led to its ejection.
  probe.endpoint.forgetPeaks();
  refreshEligible(cluster);
  return probe.endpoint;
}

/**
 * The endpoint for an attempt: the balancer's choice among the eligible; when none is connected, one whose
 * connection may come in time. Undefined: there is none.
 * @param key hash of what the call sticks to; NO_KEY: nothing.
 * @param prompt its blocks; absent: it has none, or they are not read.
 */
export function pick(
  cluster: Cluster,
  tried: readonly Endpoint[],
  nowMs: number,
  key?: number,
  kind?: CallKind,
  prompt?: Uint32Array,
): Endpoint | undefined {
  return (
    cluster.balancer.pick(cluster.active, tried, nowMs, key, kind, prompt) ??
    cluster.priorities.unconnected(tried)
  );
}

/** `pick` for a further attempt, which fails over to another priority or locality when it has tried all of the active one. */
export function pickAgain(
  cluster: Cluster,
  tried: readonly Endpoint[],
  nowMs: number,
  key?: number,
  kind?: CallKind,
  prompt?: Uint32Array,
): Endpoint | undefined {
  return failover(cluster, tried) ?? pick(cluster, tried, nowMs, key, kind, prompt);
}

/** Whether an attempt could go to an endpoint that the call has not tried. */
export function hasUntried(cluster: Cluster, tried: readonly Endpoint[]): boolean {
  return isAnyUntried(cluster.active, tried) || failover(cluster, tried) !== undefined;
}

/** Up to this utilization an endpoint has room for a call that another one refused: no more wait there than run. */
const ROOMY = 2;

/** Whether an endpoint reports that it has room for a call. */
export function isRoomy({ reported, inFlight }: Endpoint, nowMs: number): boolean {
  const utilization = reported?.utilizationAt(inFlight, nowMs);
  return utilization !== undefined && utilization < ROOMY;
}

/** For a call that has tried all active endpoints: one of the next priority or of another locality. */
function failover(cluster: Cluster, tried: readonly Endpoint[]): Endpoint | undefined {
  if (!cluster.priorities.hasFailover || isAnyUntried(cluster.active, tried)) return undefined;
  return cluster.priorities.failover(tried);
}
