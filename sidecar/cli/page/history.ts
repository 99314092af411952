import { defined } from '../../config/present.js';
import type { EdgeCounts } from './edge-counts.js';

/** What came of the calls between two moments. */
export interface EdgeRates {
  readonly perSecond: number;
  /** Absent while there are no calls. */
  readonly successRatio?: number;
  /** Seconds; absent while there are no calls. The upper bound of a bucket where the quantile lies in the last one. */
  readonly p50?: number;
  readonly p99?: number;
}

/**
 * One reading of the counters. Readings are kept, not rates, so that a rate over any window is exact.
 */
interface Entry {
  readonly atMs: number;
  readonly counts: EdgeCounts;
}

/**
 * The counts of one caller's calls to one service over the last minutes. A ring: what is older than `keepMs` goes, so that an hour
 * takes no more memory than the first minutes. A count that went back (the sidecar started anew) begins the ring again.
 */
export class EdgeHistory {
  private entries: Entry[] = [];

  constructor(private readonly keepMs: number) {}

  /** @param nowMs monotonic. */
  add(nowMs: number, counts: EdgeCounts): void {
    // Counters begin at 0 with the process.
    if (counts.calls < (this.entries.at(-1)?.counts.calls ?? 0)) this.entries = [];
    this.entries.push({ atMs: nowMs, counts });
    while (this.entries[0]!.atMs < nowMs - this.keepMs) this.entries.shift();
  }

  /** When it was last added to; undefined: never. */
  get lastMs(): number | undefined {
    return this.entries.at(-1)?.atMs;
  }

  /** Of the last `windowMs`, or of as long as is known. */
  rates(nowMs: number, windowMs: number): EdgeRates {
    const last = this.entries.at(-1);
    const first = this.entries.find(({ atMs }) => atMs >= nowMs - windowMs);
    return last === undefined || first === undefined ? { perSecond: 0 } : between(first, last);
  }

  /** One for each step between entries, oldest first. */
  steps(): readonly (EdgeRates & { readonly atMs: number })[] {
    return this.entries
      .slice(1)
      .map((entry, i) => ({ atMs: entry.atMs, ...between(this.entries[i]!, entry) }));
  }
}

/**
 * What two readings of the same counters differ by. Readings at the same moment, or without a call between
 * them, have no ratio and no quantiles: 0 of 0 is neither success nor failure.
 */
function between(first: Entry, last: Entry): EdgeRates {
  const seconds = (last.atMs - first.atMs) / 1_000;
  const calls = last.counts.calls - first.counts.calls;
  if (seconds <= 0 || calls <= 0) return { perSecond: 0 };
  const before = new Map(first.counts.within);
  const within = last.counts.within.map(
    ([bound, count]) => [bound, count - (before.get(bound) ?? 0)] as const,
  );
  const [p50, p99] = [quantile(within, 0.5), quantile(within, 0.99)];
  return {
    perSecond: calls / seconds,
    successRatio: 1 - (last.counts.failed - first.counts.failed) / calls,
    ...defined({ p50, p99 }),
  };
}

/** As Prometheus's `histogram_quantile`: linear within a bucket. `within`: cumulative, by upper bound. */
export function quantile(
  within: readonly (readonly [bound: number, calls: number])[],
  share: number,
): number | undefined {
  const total = within.at(-1)?.[1] ?? 0;
  if (total <= 0) return undefined;
  const rank = share * total;
  // Buckets are cumulative: the first that holds the rank has the value.
  const at = within.findIndex(([, calls]) => calls >= rank);
  const [bound, calls] = within[at]!;
  const [below, callsBelow] = at === 0 ? [0, 0] : within[at - 1]!;
  if (!Number.isFinite(bound) || calls === callsBelow) return Number.isFinite(bound) ? bound : below;
  return below + ((bound - below) * (rank - callsBelow)) / (calls - callsBelow);
}
