import type { Socket } from 'node:net';
import { Readiness } from '../http2/constants.js';
import type { Cluster } from './cluster.js';
import { readmitServing } from './ejection-events.js';
import { updateAvailable } from './eligibility.js';
import type { Endpoint } from './endpoint.js';
import { onRecovered } from './endpoint-health.js';

/** There is a new identity: every connection is replaced, make before break. */
export function refreshConnections(cluster: Cluster): void {
  for (const endpoint of cluster.endpoints) if (hasConnections(endpoint)) endpoint.pool.refresh();
}

/** The identity that the connections were made with is no longer valid: they get no new calls. */
export function expireConnections(cluster: Cluster): void {
  for (const endpoint of cluster.endpoints) if (hasConnections(endpoint)) endpoint.pool.expire();
}

/** Kept ones, or those that a call has made. */
function hasConnections(endpoint: Endpoint): boolean {
  return isStarted(endpoint) || endpoint.pool.isConnected;
}

/** Whether the breaker allows one more connection; counts those it prevents. */
export function mayOpen(cluster: Cluster): boolean {
  if (hasRoom(cluster)) return true;
  cluster.connectionsRefused++;
  return false;
}

/** Of the file, which wins, or of discovery; 0: unbounded. */
function mostConnections({ config: { breaker }, maxConnections }: Cluster): number {
  return breaker === undefined ? maxConnections : breaker.maxConnections;
}

function hasRoom(cluster: Cluster): boolean {
  const max = mostConnections(cluster);
  if (max === 0) return true;
  let n = 0;
  for (const { pool } of cluster.endpoints) n += pool.activeCount;
  return n < max;
}

/** A connection has gone, which may leave room under the breaker: endpoints without one connect, or wait for their retry. */
function connectStarved(cluster: Cluster): void {
  for (const endpoint of cluster.endpoints) {
    if (!hasRoom(cluster)) return;
    if (isStarted(endpoint) && endpoint.pool.activeCount === 0) endpoint.pool.start();
  }
}

/** Opens a socket to the endpoint; undefined while there is no identity to present. */
export function dialTo(cluster: Cluster, { address, peer }: Endpoint): Socket | undefined {
  const socket = cluster.deps.dial(address, peer, cluster.config.tls);
  if (socket !== undefined) cluster.hasIdentity = true;
  return socket;
}

/** The pool of an endpoint has gained or lost a connection, or failed to make one, or its peer says how its model fares. */
export function onConnectionChange(cluster: Cluster, endpoint: Endpoint): void {
  const { isConnected, readiness } = endpoint.pool;
  // Another process may run another model.
  endpoint.engineModel = null;
  const wasReady = endpoint.isConnected && endpoint.readiness === Readiness.serving;
  const isReady = isConnected && readiness === Readiness.serving;
  // An endpoint that is there from the beginning is no colder than the others: it has no slow start.
  if (isReady && !wasReady && !endpoint.isNew) onRecovered(cluster, endpoint);
  if (isReady || endpoint.pool.failures > 0) endpoint.isNew = false;
  const isOnProbation = readiness === Readiness.probation && endpoint.readiness !== readiness;
  const isNewProcess = isConnected && isStartedAnew(endpoint.readiness, readiness);
  if (isNewProcess) {
    endpoint.engineSilence?.restart();
    // Its cache is empty.
    endpoint.sentBlocks = null;
  } else if (isConnected && !endpoint.isConnected) endpoint.engineSilence?.reconnect();
  recordReadiness(cluster, endpoint, readiness);
  if (endpoint.isConnected !== isConnected) {
    endpoint.isConnected = isConnected;
    if (isConnected) cluster.hasConnected = true;
    endpoint.availableSinceMs = cluster.context.clock.now();
    cluster.context.logger.info(
      { upstream: cluster.name, endpoint: endpoint.label, why: endpoint.pool.problem },
      isConnected ? 'endpoint connected' : 'endpoint disconnected',
    );
    if (!isConnected && !endpoint.isGone) cluster.onDisconnected?.();
  }
  // What ejected it was the process before: the next call that may be its probe is, as after a health check that passes again.
  if (isNewProcess) endpoint.ejections.members.probeNow(endpoint.ejection, cluster.context.clock.now());
  updateAvailable(cluster, endpoint);
  // Admitted and held back, it is there for a call whose replica dies. One that is not held back has its trial first.
  if (isOnProbation && endpoint.ejection.isHeld) readmitServing(cluster, endpoint);
  if (!isConnected && mostConnections(cluster) > 0) connectStarved(cluster);
  if (isConnected || endpoint.isGone) return;
  if (endpoint.pool.failures > 0 && endpoint.critical === '') reportUnreachable(cluster, endpoint);
}

/** Whether the model process that serves now is another one than before. */
function isStartedAnew(before: Readiness, now: Readiness): boolean {
  if (before === now) return false;
  return now === Readiness.probation || (now === Readiness.serving && before === Readiness.loading);
}

const SAID: Readonly<Record<Readiness, string>> = {
  [Readiness.serving]: 'endpoint serves its model',
  [Readiness.loading]: 'endpoint loads its model',
  [Readiness.probation]: 'endpoint is on probation: its model died recently',
};

/**
 * What its sidecar says of the model: while others can take them, no calls go to one that is loading or on probation. Of the latter
 * `PriorityLevel.holdBack` decides how many others it takes.
 */
function recordReadiness(cluster: Cluster, endpoint: Endpoint, readiness: Readiness): void {
  if (endpoint.readiness === readiness) return;
  endpoint.readiness = readiness;
  endpoint.availableSinceMs = cluster.context.clock.now();
  if (!endpoint.pool.isConnected) return;
  const fields = { upstream: cluster.name, endpoint: endpoint.label };
  cluster.context.logger.info(fields, SAID[readiness]);
}

/** Discovery names an endpoint that cannot be reached: it may be out of date. */
function reportUnreachable(cluster: Cluster, endpoint: Endpoint): void {
  const registered = cluster.endpoints.filter(({ critical }) => critical === '').map(({ pool }) => pool);
  const why = `${endpoint.label}: ${endpoint.pool.problem}`;
  cluster.staleDiscovery.onFailure(endpoint.pool, registered, why, cluster.context.clock.now());
}

/** Whether connections of the endpoint are kept, rather than made when a call needs one. */
export function isStarted({ isPrepared, isQueued }: Endpoint): boolean {
  return isPrepared && !isQueued;
}
