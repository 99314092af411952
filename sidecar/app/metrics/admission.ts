import type { RateCount } from '../../core/admission/rate-limit.js';
import type { NamedQueue } from '../../inbound/backend/backend-queues.js';
import type { QueueCounts } from '../../inbound/ended-queues.js';
import type { InboundState } from '../../inbound/inbound-state.js';
import { getOrInsert } from '../../runtime/get-or-insert.js';
import type { Metric, Sample } from '../../telemetry/metric.js';
import { metric, metricsOver, one } from '../../telemetry/metric-rows.js';

/**
 * Metrics of the queue before the local model; of several models each has its own queue, and a
 * label `model`; so has a model with limits of its own, where the others share one without a label.
 */
export function queueMetrics(inbound: InboundState | undefined): Metric[] {
  if (inbound === undefined) return [];
  const { backends } = inbound;
  const isOnly = backends.length === 1 && backends[0]!.version === '';
  const labelsOf = ({ name, version, isWhole }: QueueOfBackend): Labels => {
    if (isOnly && isWhole) return {};
    return version === '' ? { model: name } : { model: name, version };
  };
  // A version that is being replaced by another load of itself is there twice.
  const queues = backends.flatMap(({ queues: { list } }) =>
    list.map((each, i) => ({ ...each, queue: each.limits.queue, isWhole: i === 0 })),
  );
  const rows = [...groupQueues(queues).values()];
  const perModel = metricsOver(rows, ([first]) => labelsOf(first!));
  const sum = (row: readonly QueueOfBackend[], of: (queue: QueueOfBackend['queue']) => number): number =>
    row.reduce((total, { queue }) => total + of(queue), 0);
  const total = (row: readonly QueueOfBackend[], of: (counts: QueueCounts) => number): number =>
    sum(row, of) + of(inbound.ended.of(row[0]!.name, row[0]!.version));
  return [
    ...limitMetrics(inbound, rows, labelsOf),
    perModel.metric('outrider_queue_concurrency', (row) => sum(row, ({ concurrency }) => concurrency)),
    perModel.metric('outrider_queue_evicted_total', (row) => total(row, ({ evictedTotal }) => evictedTotal)),
    perModel.metric('outrider_queue_running', (row) => sum(row, ({ running }) => running)),
    perModel.metric('outrider_queue_waiting', (row) => sum(row, ({ waiting }) => waiting)),
    perModel.metric('outrider_queue_waiting_bytes', (row) => sum(row, ({ waitingBytes }) => waitingBytes)),
    ...(inbound.countsWaitingTokens
      ? [
          perModel.metric('outrider_queue_waiting_tokens', (row) =>
            sum(row, ({ waitingCost }) => waitingCost),
          ),
        ]
      : []),
    perModel.metric('outrider_queue_admitted_total', (row) =>
      total(row, ({ admittedTotal }) => admittedTotal),
    ),
    perModel.metric('outrider_queue_expired_total', (row) => total(row, ({ expiredTotal }) => expiredTotal)),
  ];
}

/** A queue of a backend: its first, which takes all that has no queue of its own, or one of these. */
interface QueueOfBackend extends NamedQueue {
  readonly queue: NamedQueue['limits']['queue'];
  readonly isWhole: boolean;
}

/** By version and name. */
function groupQueues(queues: readonly QueueOfBackend[]): ReadonlyMap<string, QueueOfBackend[]> {
  const groups = new Map<string, QueueOfBackend[]>();
  for (const each of queues) getOrInsert(groups, `${each.version}/${each.name}`, () => []).push(each);
  return groups;
}

/** Refused by limits about a model, or without labels by all other limits. */
function rateSample({ model, version, refused: value }: RateCount): Sample {
  if (model === '') return { labels: {}, value };
  return { labels: version === '' ? { model } : { model, version }, value };
}

type Labels = Readonly<Record<string, string>>;

/** Metrics of the limits that are configured. */
function limitMetrics(
  inbound: InboundState,
  rows: readonly (readonly QueueOfBackend[])[],
  labelsOf: (queue: QueueOfBackend) => Labels,
): Metric[] {
  const { rates, memory, ledger } = inbound.limits;
  const backends = rows.map((row) => row.at(-1)!);
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
    metric('outrider_tokens_reserved', rates?.hasTokens === true ? one(ledger.reserved) : []),
    metric('outrider_rate_limited_total', (rates?.counts ?? []).map(rateSample)),
    metric('outrider_memory_used_ratio', memory === null ? [] : one(memory.usedRatio)),
    metric(
      'outrider_memory_pressure_total',
      entered.map(([level, value]) => ({ labels: { level }, value })),
    ),
  ];
  return metrics.filter(({ samples }) => samples.length > 0);
}
