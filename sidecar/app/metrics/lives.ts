import type { Metric } from '../../telemetry/metric.js';
import { metricsOver } from '../../telemetry/metric-rows.js';
import type { LifeLog } from '../models/life/life-log.js';

/** Transitions of versions of models. */
export function lifeMetrics(lives: LifeLog): Metric[] {
  const rows = metricsOver(lives.transitions(), ({ model, version, from, to }) => ({
    ...(model === '' ? {} : { model }),
    ...(version === '' ? {} : { version }),
    ...{ from, to },
  }));
  return [rows.metric('outrider_model_transitions_total', ({ count }) => count)];
}
