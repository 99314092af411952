import type { CallTotals } from '../../core/history/call-deltas.js';
import { LATENCY_BOUNDS_MS } from '../../telemetry/call-stats.js';
import { samplesIn } from './samples.js';

/** As in the alerts (docs/ALERTS.md) and in telemetry/call-totals.ts: other statuses are the caller's doing or its wish. */
const FAILED = new Set([
  ...['UNKNOWN', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS'],
]);
const CALLS = 'outrider_calls_total';
const BUCKETS = 'outrider_call_seconds_bucket';

/** What a sidecar has counted since its start, from a scrape of it. Methods and models are added up: dashboards tell them apart. */
export function metricTotals(metrics: string): readonly CallTotals[] {
  const found = samplesIn(metrics, [CALLS, BUCKETS]);
  const sums = new Map<string, { calls: number; failed: number; within: Map<number, number> }>();
  const of = ({ direction = '', service = '' }: Readonly<Record<string, string>>) => {
    const kind = `${direction} ${service}`;
    const sum = sums.get(kind) ?? { calls: 0, failed: 0, within: new Map<number, number>() };
    sums.set(kind, sum);
    return sum;
  };
  for (const { labels, value } of found.get(CALLS)!) {
    const sum = of(labels);
    sum.calls += value;
    if (FAILED.has(labels['grpc_status'] ?? '')) sum.failed += value;
  }
  for (const { labels, value } of found.get(BUCKETS)!) {
    const { within } = of(labels);
    const ms = labels['le'] === '+Inf' ? Number.POSITIVE_INFINITY : 1_000 * Number(labels['le']);
    within.set(ms, (within.get(ms) ?? 0) + value);
  }
  return [...sums].map(([kind, { calls, failed, within }]) => ({
    kind,
    calls,
    failed,
    times: timesOf(within),
  }));
}

/** Cumulative counts of a scrape as counts of our buckets; those of another bound go to the next one of ours. */
function timesOf(within: ReadonlyMap<number, number>): number[] {
  const times = Array<number>(LATENCY_BOUNDS_MS.length + 1).fill(0);
  let before = 0;
  for (const [ms, count] of [...within].sort(([a], [b]) => a - b)) {
    // Seconds as decimal fractions do not come back exactly.
    const at = LATENCY_BOUNDS_MS.findIndex((bound) => bound >= ms * (1 - 1e-9));
    times[at === -1 ? LATENCY_BOUNDS_MS.length : at]! += Math.max(0, count - before);
    before = count;
  }
  return times;
}
