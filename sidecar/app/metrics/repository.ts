import type { Metric } from '../../telemetry/metric.js';
import { metric, metricsOver } from '../../telemetry/metric-rows.js';
import type { ModelRepository } from '../models/model-repository.js';

/** Metrics of a repository whose models have processes of their own. */
export function repositoryMetrics(repository: ModelRepository): Metric[] {
  const versions = metricsOver(repository.index(), ({ name, version }) => ({ model: name, version }));
  const loads = metricsOver(
    [...repository.loaded.loads],
    ([model]): Readonly<Record<string, string>> => ({ model }),
  );
  return [
    versions.metric('outrider_model_version_ready', ({ state }) => Number(state === 'READY')),
    metric(
      'outrider_model_loads_total',
      loads.counts('result', ([, counts]) => counts),
    ),
  ];
}
