import { EjectionEvent } from '../core/outlier/ejection.js';
import { AuditKind } from '../telemetry/audit/trail.js';
import type { Cluster } from './cluster.js';
import { refreshEligible } from './eligibility.js';
import { type Endpoint, whyEjected } from './endpoint.js';

/** Acts on what a recorded outcome or a sweep changed for an endpoint: eligibility, slow start and the log. */
export function onEjectionEvent(cluster: Cluster, event: EjectionEvent, endpoint: Endpoint): void {
  if (event === EjectionEvent.nothing) return;
  // Its latency while it failed no longer counts, as for an endpoint that was away.
  if (event === EjectionEvent.recovered) return endpoint.forgetPeaks();
  refreshEligible(cluster);
  if (event === EjectionEvent.readmitted) cluster.sweep?.startSlowly(endpoint);
  const { logger, audit } = cluster.context;
  const why = whyEjected(endpoint);
  const fields = { upstream: cluster.name, endpoint: endpoint.label, why };
  if (event === EjectionEvent.ejected || event === EjectionEvent.reEjected) {
    logger.warn(fields, 'endpoint ejected');
    audit.record(AuditKind.ejected, fields);
  } else if (event === EjectionEvent.readmitted) {
    logger.info(fields, 'endpoint readmitted');
    audit.record(AuditKind.readmitted, { upstream: cluster.name, endpoint: endpoint.label });
  } else {
    const held = cluster.logThrottle.pass(`${endpoint.label} ${event}`);
    if (held >= 0) logger.warn({ ...fields, verdict: event, held }, 'endpoint would have been ejected');
  }
}

/** Ends an ejection for a model that is down by the word of its sidecar, which says now that it serves. */
export function readmitServing(cluster: Cluster, endpoint: Endpoint): void {
  if (!endpoint.ejection.isDown) return;
  endpoint.ejections.members.readmit(endpoint.ejection, cluster.context.clock.now());
  onEjectionEvent(cluster, EjectionEvent.readmitted, endpoint);
}

/** Ends an ejection whose time is over where no call came to be the probe, and a health check has passed. */
export function readmitUntried(cluster: Cluster, endpoint: Endpoint): void {
  endpoint.ejections.readmitUnprobed(endpoint.ejection, cluster.context.clock.now());
  onEjectionEvent(cluster, EjectionEvent.readmitted, endpoint);
}
