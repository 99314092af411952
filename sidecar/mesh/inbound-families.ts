/** The line before the local model and its limits as metric families. Labels are names from the configuration. */

import type { Family, Sample } from '../admin/view.js';
import type { Inbound } from '../inbound.js';
import type { InboundLimits } from '../inbound-limits.js';
import { counter, gauge } from './family.js';

export function queueFamilies(inbound: Inbound | undefined): Family[] {
  if (inbound === undefined) return [];
  return [
    ...limitFamilies(inbound.limits),
    gauge(
      'outrider_queue_concurrency',
      'Calls the local model may hold: as configured or as found; 0 while it is not ready.',
      one(inbound.queue.concurrency),
    ),
    counter(
      'outrider_queue_evicted_total',
      'Calls that gave way in a full queue to more important ones or to callers with fewer.',
      one(inbound.queue.evictedTotal),
    ),
    gauge('outrider_queue_running', 'Calls the local model holds.', one(inbound.queue.running)),
    gauge('outrider_queue_waiting', 'Calls that wait for the local model.', one(inbound.queue.waiting)),
    gauge('outrider_queue_waiting_bytes', 'Request bytes that wait.', one(inbound.queue.waitingBytes)),
    counter(
      'outrider_queue_admitted_total',
      'Calls let through to the local model.',
      one(inbound.queue.admittedTotal),
    ),
    counter(
      'outrider_queue_expired_total',
      'Calls whose deadline passed in the queue.',
      one(inbound.queue.expiredTotal),
    ),
  ];
}

/** Only of what is configured. */
function limitFamilies({ queue, adaptive, priorities, shared }: InboundLimits): Family[] {
  const { rates, memory } = shared;
  const classes = priorities?.names.map((name, i) => ({
    labels: { class: name },
    value: queue.waitingOf(i),
  }));
  const entered = memory === null ? [] : Object.entries(memory.entered);
  const families = [
    gauge(
      'outrider_queue_unloaded_seconds',
      'Best latency of late, from which the concurrency is found; 0 while unknown.',
      adaptive === null ? [] : one(adaptive.unloadedMs / 1000),
    ),
    gauge('outrider_queue_class_waiting', 'Calls that wait for the local model, by class.', classes ?? []),
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
  return families.filter(({ samples }) => samples.length > 0);
}

function one(value: number): Sample[] {
  return [{ labels: {}, value }];
}
