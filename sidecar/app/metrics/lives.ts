import type { Metric } from '../../telemetry/metric.js';
import { metric, metricsOver } from '../../telemetry/metric-rows.js';
import type { LifeLog } from '../models/life/life-log.js';
import type { Recycler } from '../models/recycler.js';

/** Renewals of processes that served. */
export function recycleMetrics({ counts }: Recycler): Metric[] {
  return [
    metric(
      'outrider_model_recycles_total',
      metricsOver([counts], () => ({})).counts('result', (row) => row),
    ),
  ];
}

/** Transitions of versions of models. */
export function lifeMetrics(lives: LifeLog): Metric[] {
  const rows = metricsOver(lives.transitions(), ({ model, version, from, to }) => ({
    ...(model === '' ? {} : { model }),
    ...(version === '' ? {} : { version }),
    ...{ from, to },
  }));
  return [rows.metric('outrider_model_transitions_total', ({ count }) => count)];
}
