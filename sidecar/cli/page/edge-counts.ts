import { samplesIn } from './samples.js';

/** What one sidecar has counted of its calls to one service, since its start. */
export interface EdgeCounts {
  readonly calls: number;
  /** Those that ended with a status which says that the service failed. */
  readonly failed: number;
  /** Calls that took at most so many seconds, by that bound; the last bound is infinite. */
  readonly within: readonly (readonly [seconds: number, calls: number])[];
}

/** As in the alerts (docs/ALERTS.md): other statuses are the caller's doing or its wish. */
const FAILED = new Set([
  ...['UNKNOWN', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS'],
]);
const CALLS = 'outrider_calls_total';
const BUCKETS = 'outrider_call_seconds_bucket';

/** The counts of a scrape of a sidecar, by the service that it calls. */
export function edgeCounts(metrics: string): ReadonlyMap<string, EdgeCounts> {
  const found = samplesIn(metrics, [CALLS, BUCKETS]);
  // Methods and models are added up: the page shows services, dashboards show the rest.
  const sums = new Map<string, { calls: number; failed: number; within: Map<number, number> }>();
  const of = (service: string) => {
    const sum = sums.get(service) ?? { calls: 0, failed: 0, within: new Map<number, number>() };
    sums.set(service, sum);
    return sum;
  };
  for (const { labels, value } of found.get(CALLS)!) {
    if (labels['direction'] !== 'outbound') continue;
    const sum = of(labels['service'] ?? '');
    sum.calls += value;
    if (FAILED.has(labels['grpc_status'] ?? '')) sum.failed += value;
  }
  for (const { labels, value } of found.get(BUCKETS)!) {
    if (labels['direction'] !== 'outbound') continue;
    const { within } = of(labels['service'] ?? '');
    const seconds = labels['le'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels['le']);
    within.set(seconds, (within.get(seconds) ?? 0) + value);
  }
  return new Map(
    [...sums].map(([service, { calls, failed, within }]) => [
      service,
      { calls, failed, within: [...within].sort(([a], [b]) => a - b) },
    ]),
  );
}
