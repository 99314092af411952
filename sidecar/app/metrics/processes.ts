import { getOrInsert } from '../../runtime/get-or-insert.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric, metricsOver } from '../../telemetry/metric-rows.js';
import type { ModelReport } from '../../telemetry/reports.js';

/** What `processMetrics` reads of a sidecar. */
export interface ProcessSources {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  /** Each instance of each model. */
  readonly models: readonly ModelReport[];
}

/** Which sidecar this is, and how often the processes of its models ended. */
export function processMetrics({ service, instance, version, models }: ProcessSources): Metric[] {
  const labels = { mesh_service: service, sidecar: instance, version };
  // A model server of another make that something else starts has no restarts to count.
  const own = models.filter(({ state }) => state !== 'foreign');
  const perVersion = metricsOver([...byVersion(own).values()], ([first]) => labelsOf(first!));
  return [
    metric('outrider_info', [{ labels, value: 1 }]),
    perVersion.metric('outrider_model_restarts_total', (all) =>
      all.reduce((sum, { restarts }) => sum + restarts, 0),
    ),
    perVersion.metric(
      'outrider_model_given_up',
      (all) => all.filter(({ state }) => state === 'given-up').length,
    ),
  ];
}

/** The instances of a version together: which of them died is in `/endpoints`. */
function byVersion(models: readonly ModelReport[]): ReadonlyMap<string, readonly ModelReport[]> {
  const found = new Map<string, ModelReport[]>();
  for (const model of models)
    getOrInsert(found, `${model.name ?? ''} ${model.version ?? ''}`, () => []).push(model);
  return found;
}

function labelsOf({ name, version }: ModelReport): Record<string, string> {
  return {
    ...(name === undefined ? {} : { model: name }),
    ...(version === undefined ? {} : { version }),
  };
}
