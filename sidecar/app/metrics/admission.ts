import type { ModelBackend } from '../../inbound/model-backend.js';
import type { Inbound } from '../../inbound.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric, metricsOver, one } from '../../telemetry/metric-rows.js';

/**
 * Metrics of the queue before the local model; of several models each has its own queue, and a
 * label `model`.
 */
export function queueMetrics(inbound: Inbound | undefined): Metric[] {
  if (inbound === undefined) return [];
  const { backends } = inbound;
  const labelsOf = ({ name }: ModelBackend): Labels => (backends.length === 1 ? {} : { model: name });
  const perModel = metricsOver(backends, labelsOf);
  return [
    ...limitMetrics(backends, labelsOf),
    perModel.metric('outrider_queue_concurrency', ({ queue: { concurrency } }) => concurrency),
    perModel.metric('outrider_queue_evicted_total', ({ queue: { evictedTotal } }) => evictedTotal),
    perModel.metric('outrider_queue_running', ({ queue: { running } }) => running),
    perModel.metric('outrider_queue_waiting', ({ queue: { waiting } }) => waiting),
    perModel.metric('outrider_queue_waiting_bytes', ({ queue: { waitingBytes } }) => waitingBytes),
    perModel.metric('outrider_queue_admitted_total', ({ queue: { admittedTotal } }) => admittedTotal),
    perModel.metric('outrider_queue_expired_total', ({ queue: { expiredTotal } }) => expiredTotal),
  ];
}

type Labels = Readonly<Record<string, string>>;

/** Metrics of the limits that are configured. */
function limitMetrics(
  backends: readonly ModelBackend[],
  labelsOf: (backend: ModelBackend) => Labels,
): Metric[] {
  const { rates, memory } = backends[0]!.limits.shared;
  const unloaded = backends.flatMap((backend) => {
    const { adaptive } = backend.limits;
    return adaptive === null ? [] : [{ labels: labelsOf(backend), value: adaptive.unloadedMs / 1000 }];
  });
  const classes = backends.flatMap((backend) =>
    (backend.limits.priorities?.names ?? []).map((name, i) => ({
      labels: { ...labelsOf(backend), class: name },
      value: backend.queue.waitingOf(i),
    })),
  );
  const entered = memory === null ? [] : Object.entries(memory.entered);
  const metrics = [
    metric('outrider_queue_unloaded_seconds', unloaded),
    metric('outrider_queue_class_waiting', classes),
    metric('outrider_rate_limited_total', rates === null ? [] : one(rates.refused)),
    metric('outrider_memory_used_ratio', memory === null ? [] : one(memory.usedRatio)),
    metric(
      'outrider_memory_pressure_total',
      entered.map(([level, value]) => ({ labels: { level }, value })),
    ),
  ];
  return metrics.filter(({ samples }) => samples.length > 0);
}
