import { Readiness } from '../http2/constants.js';
import type { Cluster } from './cluster.js';
import type { Endpoint } from './endpoint.js';

/**
 * Recomputes which priority gets traffic and which of its endpoints are eligible, and tells `onChange`. To be called after
 * every change of endpoints, connections, health or ejections; logs a change of priority and the onset of panic.
 */
export function refreshEligible(cluster: Cluster): void {
  const { priorities } = cluster;
  const { logger } = cluster.context;
  const before = priorities.active;
  const panics = priorities.refresh(cluster.context.clock.now());
  if (priorities.active !== before && cluster.hadEndpoints && priorities.active.endpoints.length > 0) {
    const fields = {
      upstream: cluster.name,
      cluster: cluster.clusterName,
      priority: priorities.active.priority,
    };
    logger.warn(fields, 'traffic goes to the endpoints of another priority');
  }
  cluster.active = priorities.active.endpoints;
  cluster.onChange?.(cluster);
  if (panics === 0) return;
  cluster.panics += panics;
  logger.warn(
    { upstream: cluster.name },
    'fewer than half of the endpoints are eligible: ejections are ignored',
  );
}

/**
 * The connection, the model or the health of an endpoint has changed: one without a connection or health, or with a model that is
 * loading, is not available to the balancer while another is.
 */
export function updateAvailable(cluster: Cluster, endpoint: Endpoint): void {
  const isLoading = endpoint.readiness === Readiness.loading;
  const isAvailable = endpoint.isConnected && !isLoading && endpoint.unhealthy === '';
  endpoint.ejections.members.setAvailable(endpoint.ejection, isAvailable ? 'available' : 'unavailable');
  refreshEligible(cluster);
}

/** Why an endpoint that could take calls gets none: those of another priority or locality do; empty: it gets calls. */
export function standbyReason(cluster: Cluster, endpoint: Endpoint): '' | 'priority' | 'locality' {
  if (endpoint.priority !== cluster.priorities.active.priority) return 'priority';
  return endpoint.eligible || cluster.priorities.locality === undefined ? '' : 'locality';
}
