import { labelOf } from '../config/codecs/address.js';
import { DEFAULT_MAX_ENDPOINTS } from '../config/defaults.js';
import type { EndpointConfig, UpstreamConfig } from '../config/model.js';
import { NO_PROBE } from '../core/outlier/ejection.js';
import { ownEndpoints } from '../discovery/endpoint-subset.js';
import { Pool } from '../transport/pool.js';
import { balancerFor, isSameBalancer } from './balancer-for.js';
import { Cluster, type ClusterDeps } from './cluster.js';
import { dialTo, isStarted, mayOpen, onConnectionChange } from './connections.js';
import { refreshEligible } from './eligibility.js';
import { Endpoint } from './endpoint.js';
import { setHealthy } from './endpoint-health.js';
import { ModelClaims } from './served-models/model-claims.js';
import { configureSweep } from './sweep-config.js';

/** A cluster that connects to the endpoints of `config`. @param clusterName among the clusters of the upstream. */
export function makeCluster(config: UpstreamConfig, deps: ClusterDeps, clusterName?: string): Cluster {
  const cluster = new Cluster(config, deps, clusterName);
  configureSweep(cluster, config);
  setEndpoints(cluster, config);
  return cluster;
}

/** Takes over a new configuration. Endpoints that stay keep their connections, statistics and ejections. */
export function updateCluster(cluster: Cluster, config: UpstreamConfig): void {
  cluster.priorities.configure(config.ejection, cluster.context.clock.now());
  cluster.budget.configure(config.budget);
  if (config.health === undefined)
    for (const endpoint of cluster.endpoints) setHealthy(cluster, endpoint, true, 'health checks are off');
  if (!isSameBalancer(config.balance, cluster.config.balance)) {
    cluster.balancer = balancerFor(config.balance, cluster.context.random);
    for (const endpoint of cluster.endpoints) endpoint.sentBlocks = null;
  }
  configureSweep(cluster, config);
  const isSameProtocol = config.tls === cluster.config.tls;
  cluster.config = config;
  setEndpoints(cluster, config, isSameProtocol);
  // More connections, if more are wanted now (those too many go at their age); other limits hold from now on.
  for (const endpoint of cluster.endpoints) if (isStarted(endpoint)) endpoint.pool.start();
}

/** No new calls; those in flight end as usual. */
export function retireCluster(cluster: Cluster): void {
  cluster.isRetired = true;
  cluster.warmer.stop();
  for (const endpoint of cluster.endpoints) endpoint.pool.retire();
}

/** Closes all connections and stops all timers. */
export function stopCluster(cluster: Cluster): void {
  cluster.warmer.stop();
  cluster.sweep?.stop();
  for (const endpoint of cluster.endpoints) endpoint.pool.stop();
}

function setEndpoints(cluster: Cluster, config: UpstreamConfig, keepPools = true): void {
  const before = cluster.byLabel;
  const now = cluster.context.clock.now();
  const chosen = chooseSubset(cluster, config.endpoints).map((each) => {
    const known = keepPools ? before.get(labelOf(each.address)) : undefined;
    if (known === undefined || !known.hasPeer(each, cluster.name)) {
      cluster.staleDiscovery.reset();
      return makeEndpoint(cluster, each);
    }
    before.delete(known.label);
    const wasCritical = known.critical !== '';
    known.configure(each);
    // Its own sidecar said that the model cannot serve, and the registry says that it can again: the next call shows it.
    const isBack = wasCritical && known.critical === '' && known.ejection.isDown;
    if (isBack) known.ejections.members.probeNow(known.ejection, now);
    known.limits.config = config.pool;
    return known;
  });
  // Connections are counted from here on, those that are begun with the groups included.
  cluster.endpoints = chosen;
  cluster.endpoints = cluster.priorities.set(chosen, now);
  cluster.balancer.limitMemory?.(cluster.endpoints);
  const { balance } = config;
  cluster.claims = ModelClaims.of(cluster.endpoints, () => balancerFor(balance, cluster.context.random));
  cluster.byLabel = new Map(cluster.endpoints.map((endpoint) => [endpoint.label, endpoint]));
  for (const gone of before.values()) {
    gone.isGone = true;
    gone.ejections.members.remove(gone.ejection, now);
    gone.eligible = false;
    gone.slowStart = null;
    cluster.sweep?.inspector?.forget(gone);
  }
  refreshEligible(cluster);
  // Calls that wait for one of these choose again at once, and should find only what is left.
  for (const gone of before.values()) gone.pool.retire();
  cluster.hadEndpoints ||= chosen.length > 0;
}

/** Of more endpoints than this sidecar may connect to, its stable random subset. */
function chooseSubset(cluster: Cluster, endpoints: readonly EndpointConfig[]): readonly EndpointConfig[] {
  const limit = cluster.config.pool.maxEndpoints ?? DEFAULT_MAX_ENDPOINTS;
  if (endpoints.length <= limit) return endpoints;
  cluster.seed ??= Math.floor(cluster.context.random() * 0x1_0000_0000);
  return ownEndpoints(endpoints, limit, cluster.seed);
}

function makeEndpoint(cluster: Cluster, config: EndpointConfig): Endpoint {
  const endpoint = new Endpoint(config, cluster.name);
  endpoint.ejection.isAvailable = false;
  endpoint.ejection.probe = NO_PROBE;
  endpoint.eligible = false;
  endpoint.isNew = !cluster.hadEndpoints;
  endpoint.availableSinceMs = cluster.context.clock.now();
  endpoint.limits = {
    config: cluster.config.pool,
    settings: cluster.deps.settings,
    dial: () => dialTo(cluster, endpoint),
    mayOpen: () => mayOpen(cluster),
    rationsPings: cluster.config.tls !== 'mesh',
    onChange: () => onConnectionChange(cluster, endpoint),
    stillTrusts: (session) => cluster.deps.stillTrusts?.(session, endpoint.peer) ?? true,
    onCut: (sinceMs, lostCalls) => cluster.sweep?.onCut(endpoint, sinceMs, lostCalls),
    ...(cluster.deps.whyNot === undefined ? {} : { whyNot: cluster.deps.whyNot }),
  };
  endpoint.pool = new Pool(endpoint.limits, cluster.context);
  return endpoint;
}
