import type { ModelBackend } from '../../inbound/model-backend.js';
import type { Inbound } from '../../inbound.js';
import type { Metric } from '../../telemetry/metric.js';
import { counter, gauge } from '../../telemetry/metric.js';
import { metricsOver, one } from './rows.js';

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
    perModel.gauge(
      'outrider_queue_concurrency',
      'Calls the local model may hold: as configured or as found; 0 while it is not ready.',
      ({ queue: { concurrency } }) => concurrency,
    ),
    perModel.counter(
      'outrider_queue_evicted_total',
      'Calls that gave way in a full queue to more important ones or to callers with fewer.',
      ({ queue: { evictedTotal } }) => evictedTotal,
    ),
    perModel.gauge(
      'outrider_queue_running',
      'Calls the local model holds.',
      ({ queue: { running } }) => running,
    ),
    perModel.gauge(
      'outrider_queue_waiting',
      'Calls that wait for the local model.',
      ({ queue: { waiting } }) => waiting,
    ),
    perModel.gauge(
      'outrider_queue_waiting_bytes',
      'Request bytes that wait.',
      ({ queue: { waitingBytes } }) => waitingBytes,
    ),
    perModel.counter(
      'outrider_queue_admitted_total',
      'Calls let through to the local model.',
      ({ queue: { admittedTotal } }) => admittedTotal,
    ),
    perModel.counter(
      'outrider_queue_expired_total',
      'Calls whose deadline passed in the queue.',
      ({ queue: { expiredTotal } }) => expiredTotal,
    ),
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
    gauge(
      'outrider_queue_unloaded_seconds',
      'Best latency of late, from which the concurrency is found; 0 while unknown.',
      unloaded,
    ),
    gauge('outrider_queue_class_waiting', 'Calls that wait for the local model, by class.', classes),
    counter(
      'outrider_rate_limited_total',
      'Calls refused because their caller calls too often.',
      rates === null ? [] : one(rates.refused),
    ),
    gauge(
      'outrider_memory_used_ratio',
      'Share in use of the memory this process may hold, at the last look.',
      memory === null ? [] : one(memory.usedRatio),
    ),
    counter(
      'outrider_memory_pressure_total',
      'Times memory ran short: high sheds what is less important, critical every new call.',
      entered.map(([level, value]) => ({ labels: { level }, value })),
    ),
  ];
  return metrics.filter(({ samples }) => samples.length > 0);
}
