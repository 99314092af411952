import type { Cluster } from '../../cluster/cluster.js';
import { DISTRUST_REASONS } from '../../core/foresight/distrust.js';
import { FORESIGHT_DETECTORS } from '../../core/foresight/endpoint-foresight.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric, metricsOver } from '../../telemetry/metric-rows.js';

/** Metrics of what is suspected of endpoints. @param labelsOf labels of a cluster. */
export function foresightMetrics(
  clusters: readonly Cluster[],
  labelsOf: (cluster: Cluster) => Record<string, string>,
): Metric[] {
  const suspicions = clusters.flatMap((cluster) =>
    cluster.endpoints.flatMap(({ label, id, foresight }) => {
      if (foresight === null) return [];
      const labels = { ...labelsOf(cluster), endpoint: label, name: id };
      return [{ labels, value: foresight.suspicion.value }];
    }),
  );
  const watched = clusters.flatMap((cluster) => {
    const { config, sweep } = cluster;
    return sweep === null || config.foresight === undefined ? [] : [{ cluster, ahead: sweep.foresight }];
  });
  const perCluster = metricsOver(watched, ({ cluster }) => labelsOf(cluster));
  const begun = perCluster.by('detector', FORESIGHT_DETECTORS, ({ ahead }, _, i) => ahead.begun[i]!);
  const notLowered = perCluster.by('reason', DISTRUST_REASONS, ({ ahead }, why) => ahead.notLowered[why]);
  return [
    metric('outrider_endpoint_suspicion', suspicions),
    metric('outrider_suspicions_total', begun),
    metric('outrider_suspicions_not_enforced_total', notLowered),
  ].filter(({ samples }) => samples.length > 0);
}
