import { FORESIGHT_DETECTORS } from '../../core/foresight/endpoint-foresight.js';
import type { Cluster } from '../cluster.js';
import type { Endpoint } from '../endpoint.js';

/** Logs that a suspicion has begun or ended, once each. */
export function onSuspicion(cluster: Cluster, change: 'rose' | 'fell', endpoint: Endpoint): void {
  const { logger } = cluster.context;
  const { suspicion } = endpoint.foresight!;
  const fields = { upstream: cluster.name, endpoint: endpoint.label };
  if (change === 'fell') return logger.info(fields, 'endpoint is no longer suspect');
  const detector = FORESIGHT_DETECTORS[suspicion.detector];
  const mode = cluster.config.foresight?.mode;
  logger.warn({ ...fields, detector, why: suspicion.why, mode }, 'endpoint is suspect');
}
