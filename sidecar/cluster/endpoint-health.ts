import type { Cluster } from './cluster.js';
import { updateAvailable } from './eligibility.js';
import type { Endpoint } from './endpoint.js';

/** A reconnect within this time, ms, keeps the ejection count, so that an endpoint that flaps is not reset. */
const FORGIVEN_AFTER_MS = 10_000;

/**
 * Takes the result of an active check or a golden inference, each time there is one. An unhealthy endpoint gets no calls
 * while another answers, and is not probed after an ejection. One that becomes healthy again need not wait for the end of an
 * ejection: the next call is its probe. A check that has passed all along ends no ejection while there are calls, which are
 * better evidence.
 * @param why one sentence for logs and the admin interface; only needed of an unhealthy endpoint.
 */
export function setHealthy(cluster: Cluster, endpoint: Endpoint, healthy: boolean, why: string): void {
  const wasHealthy = endpoint.unhealthy === '';
  endpoint.unhealthy = healthy ? '' : why || 'its health check failed';
  if (wasHealthy === healthy || endpoint.isGone) return;
  const now = cluster.context.clock.now();
  endpoint.availableSinceMs = now;
  if (healthy) {
    endpoint.ejections.members.probeNow(endpoint.ejection, now);
    onRecovered(cluster, endpoint);
  }
  const fields = { upstream: cluster.name, endpoint: endpoint.label, why };
  if (healthy) cluster.context.logger.info(fields, 'endpoint is healthy again');
  else cluster.context.logger.warn(fields, 'endpoint is unhealthy');
  updateAvailable(cluster, endpoint);
}

/** The endpoint has a connection or its health again: what it did before no longer counts, and slow start begins. */
export function onRecovered(cluster: Cluster, endpoint: Endpoint): void {
  const now = cluster.context.clock.now();
  endpoint.forgetPeaks();
  if (now - endpoint.backSinceMs >= FORGIVEN_AFTER_MS)
    endpoint.ejections.members.forgetHistory(endpoint.ejection, now);
  endpoint.backSinceMs = now;
  cluster.sweep?.startSlowly(endpoint);
}
