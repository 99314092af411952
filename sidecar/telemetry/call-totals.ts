import type { CallTotals } from '../core/history/call-deltas.js';
import type { CallStats } from './call-stats.js';

/**
 * gRPC statuses that say that the service failed: UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, DATA_LOSS. As in the
 * alerts (docs/ALERTS.md): other statuses are the caller's doing or its wish.
 */
export const FAILED_STATUSES: readonly number[] = [2, 4, 8, 13, 14, 15];

/** What has been counted since the start, each direction and service; methods, models and versions are added up. */
export function callTotals(all: readonly CallStats[]): readonly CallTotals[] {
  const sums = new Map<string, { kind: string; calls: number; failed: number; times: Float64Array }>();
  for (const { direction, service, byStatus, latency } of all) {
    const kind = `${direction} ${service}`;
    let sum = sums.get(kind);
    if (sum === undefined) {
      sum = { kind, calls: 0, failed: 0, times: new Float64Array(latency.length) };
      sums.set(kind, sum);
    }
    for (const count of byStatus) sum.calls += count;
    for (const status of FAILED_STATUSES) sum.failed += byStatus[status]!;
    for (let i = 0; i < latency.length; i++) sum.times[i]! += latency[i]!;
  }
  return [...sums.values()];
}
