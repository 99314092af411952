/** Kinds of decisions that are asked about later; docs/AUDIT.md has their fields. */
export const AuditKind = {
  /** By a detector; readmitted by a probe, or a health check without calls. */
  ejected: 'endpoint-ejected',
  readmitted: 'endpoint-readmitted',
  /** By the intentions. */
  denied: 'call-denied',
  /** In the handshake: a certificate that is not accepted. */
  peerRefused: 'peer-refused',
  /** At the start, and by a reload. */
  configured: 'config-applied',
  configRefused: 'config-refused',
  /** For drills, by the admin port; ended by time or by a request. */
  faultInjected: 'fault-injected',
  faultsEnded: 'faults-ended',
  /** The orderly end of the sidecar. */
  draining: 'drain-began',
  /** The sidecar's own. */
  certificate: 'certificate-changed',
  certificateExpired: 'certificate-expired',
  /** Versions of models in the repository of the sidecar. */
  modelLoaded: 'model-loaded',
  modelRejected: 'model-rejected',
  modelUnloaded: 'model-unloaded',
  /** Of a version over the replicas of the service: begun, paused, gone through, rejected, rolled back, aborted. */
  rollout: 'rollout-changed',
} as const;

export type AuditKindName = (typeof AuditKind)[keyof typeof AuditKind];

/** Where decisions are recorded. */
export interface AuditTrail {
  /** Returns at once, and never throws. */
  record(kind: AuditKindName, fields: Readonly<Record<string, unknown>>): void;
}

/** Without an audit log. */
export const NO_AUDIT: AuditTrail = { record: () => {} };
